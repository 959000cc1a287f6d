"""Ideal correction (section 4.1, Figures 4 and 5): what a perfect correction of some filters of a layer would give.

The network sees distorted images, but the outputs of the chosen filters are swapped for those on the same images undistorted.
It bounds what correction units behind these filters can reach, and compares choices of filters without any training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from deepcorrect.datasets.images import Images
from deepcorrect.distortions import Distortion
from deepcorrect.evaluation import EVALUATION_BATCH
from deepcorrect.graph import capture
from deepcorrect.layers import Layer
from deepcorrect.loading import batches
from deepcorrect.runtime import Precision, autocast
from deepcorrect.swapping import make_swap


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
    batch_size: int = EVALUATION_BATCH,
    progress: Callable[[int], None] = lambda images: None,
) -> list[tuple[float, ...]]:
    """Top-1 accuracy at every level with each choice of the layer's filters ideally corrected.

    Args:
        model: takes images (B, C, H, W) in [0, 1]. It is put into eval mode.
        levels: severities above 0.
        layer: whose filters are corrected.
        choices: sets of filters, each measured on its own.
        progress: called with the number of passes (one an image and choice) done since its last call.

    Returns:
        One tuple a choice, one accuracy a level.
    """
    device = device or torch.device("cpu")
    model.eval()
    example = next(batches(images, 1, device)).images
    with torch.inference_mode(False), torch.no_grad():
        swap = make_swap(model, capture(model, example.clone()), layer, example.shape[1:])
    hits = torch.zeros(len(choices), len(levels), dtype=torch.int64)
    for place, level in enumerate(levels):
        for batch in batches(images, batch_size, device):
            distorted = distortion.at(batch.images, level, batch.indices, seed)
            distorted = distorted.contiguous(memory_format=torch.channels_last)
            with autocast(device, precision):
                prepared = swap.prepare(batch.images, distorted)
                for row, filters in enumerate(choices):
                    logits = prepared.answer(filters)
                    hits[row, place] += int((logits.argmax(1) == batch.labels).sum())
                    progress(len(batch.labels))
    return [tuple(row) for row in (hits.double() / len(images)).tolist()]
