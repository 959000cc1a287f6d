"""Accuracy with some filters of a layer ideally corrected."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from deepcorrect.base.device import Precision, autocast, laid_out
from deepcorrect.datasets.batches import batches
from deepcorrect.datasets.images import Images
from deepcorrect.distortions.base import Distortion
from deepcorrect.evaluation.sweep import fitting_batch
from deepcorrect.models.inspection import looking
from deepcorrect.models.layers import Layer
from deepcorrect.swapping.swaps import Swaps, swaps_of


@torch.inference_mode()
def evaluate_ideal(
    model: nn.Module,
    images: Images,
    distortion: Distortion,
    levels: Sequence[float],
    layer: Layer,
    choices: Sequence[Sequence[int]],
    *,
    seed: int = 0,
    device: torch.device | None = None,
    precision: Precision = "fp32",
    batch_size: int | None = None,
    progress: Callable[[int], None] = lambda images: None,
    swaps: Swaps | None = None,
) -> list[tuple[float, ...]]:
    """Top-1 accuracy at every level with each choice of the layer's filters ideally corrected.

    Args:
        model: takes images (B, C, H, W) in [0, 1]. It is run in eval mode and left as it was.
        levels: severities above 0.
        layer: whose filters are corrected.
        choices: sets of filters, each measured on its own.
        progress: called with the number of passes (one an image and choice) done since its last call.
        swaps: of the same network, so that it is captured once for several layers.

    Returns:
        One tuple a choice, one accuracy a level.
    """
    device = device or torch.device("cpu")
    swap = (swaps or swaps_of(model, images, device)).of(layer)
    hits = torch.zeros(len(choices), len(levels), dtype=torch.int64)
    for place, level in enumerate(levels):
        for batch in batches(images, batch_size or fitting_batch(images), device):
            distorted = laid_out(distortion.at(batch.images, level, batch.indices, seed), model)
            with looking(model), autocast(device, precision):
                prepared = swap.prepare(laid_out(batch.images, model), distorted)
                for row, filters in enumerate(choices):
                    logits = prepared.answer(filters)
                    hits[row, place] += int((logits.argmax(1) == batch.labels).sum())
                    progress(len(batch.labels))
    return [tuple(row) for row in (hits.double() / len(images)).tolist()]
