"""Batch normalisation with the statistics of other images: what needs no labels and no training."""

from __future__ import annotations

import copy

import torch
from torch import nn

from deepcorrect.base.device import laid_out
from deepcorrect.datasets.batches import batches
from deepcorrect.datasets.images import Images


def with_statistics_of(network: nn.Module, images: Images, batch_size: int = 500) -> nn.Module:
    """A copy of a network, in eval mode, whose batch normalisations have the means and variances of these images.

    Each batch of the images counts equally (Schneider et al., NeurIPS 2020, without the old statistics).
    """
    adapted = copy.deepcopy(network).eval()
    for module in adapted.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # a plain average over the batches
            module.train()
    device = next(adapted.parameters()).device
    with torch.no_grad():
        for batch in batches(images, batch_size, device):
            adapted(laid_out(batch.images, adapted))
    return adapted.eval()
