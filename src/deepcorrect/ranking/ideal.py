"""How well a network does with some filters of a layer ideally corrected (Figures 4 and 5)."""

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
from deepcorrect.tasks.base import Task
from deepcorrect.tasks.classification import CLASSIFICATION


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
    task: Task = CLASSIFICATION,
) -> list[tuple[float, ...]]:
    """The mean of the task's first score, of a classifier top-1 accuracy, with each choice of filters ideally corrected.

    Args:
        model: takes images (B, C, H, W) in [0, 1], returns the task's outputs. It is run in eval mode and left as it was.
        images: test images, with labels.
        distortion: what they suffer.
        levels: severities above 0.
        layer: whose filters are corrected.
        choices: sets of filters, each measured on its own.
        progress: called with the number of passes (one an image and choice) done since its last call.
        swaps: of the same network and task, so that it is captured once for several layers.
        task: what outputs and labels mean.

    Returns:
        One tuple a choice, one number a level.

    Raises:
        DeepcorrectError: the network or the layer does not answer every image by itself, or images have no label.
    """
    task.check_labels(images.labels)
    device = device or torch.device("cpu")
    swap = (swaps or swaps_of(model, images, device, task)).of(layer)
    scores = torch.zeros(len(choices), len(levels), len(images))
    for column, level in enumerate(levels):
        start = 0
        for batch in batches(images, batch_size or fitting_batch(images), device):
            distorted = laid_out(distortion.at(batch.images, level, batch.indices, seed), model)
            with looking(model), autocast(device, precision):
                prepared = swap.prepare(laid_out(batch.images, model), distorted)
                for row, filters in enumerate(choices):
                    reached = task.score(prepared.answer(filters), batch.labels)[0]
                    scores[row, column, start : start + len(reached)] = reached.cpu()
                    progress(len(reached))
            start += len(batch.labels)
    return [tuple(row) for row in scores.double().mean(2).tolist()]
