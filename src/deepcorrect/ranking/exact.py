"""Correction priority (section 4.1, Algorithm 1): which filters does a distortion ruin, and which are worth correcting?

For every filter the output on distorted images is swapped for the output on the same images undistorted, that filter's
alone, and the rest of the network runs. The priority is the gain in top-1 accuracy (Equation 1),

    tau(i, j) = p_swap(i, j) - p_b,

averaged over the severity levels, and under a mixture over its members. The same passes give the gains of the task's other
scores; of a classifier two smoother ones, in the probability of the true class and in its margin (its logit less the largest
other one). Pairs of a filter and an image whose result the swap cannot change are not run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deepcorrect.base.device import Precision, device_of
from deepcorrect.base.processes import Processes
from deepcorrect.datasets.door import as_images
from deepcorrect.distortions.base import Distortion
from deepcorrect.models.layers import Layer
from deepcorrect.models.normalized_input import normalization_of
from deepcorrect.ranking.gain_files import GainFiles
from deepcorrect.ranking.gains import GainMeter
from deepcorrect.ranking.mean_gains import MeanGains, mean_over_members
from deepcorrect.ranking.reliability import summarize_gains
from deepcorrect.ranking.result import Ranking, Score
from deepcorrect.tasks.base import Task
from deepcorrect.tasks.classification import CLASSIFICATION


def rank_filters(
    model: nn.Module,
    images: Any,
    distortion: Distortion,
    levels: Sequence[float],
    *,
    layers: Sequence[Layer],
    score: Score | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
    precision: Precision = "fp32",
    memory: int | None = None,
    processes: Processes | None = None,
    parts: Path | None = None,
    progress: Callable[[int], None] = lambda pairs: None,
    task: Task = CLASSIFICATION,
) -> Ranking:
    """Measure every filter's correction priority, exactly.

    Args:
        model: takes images (B, C, H, W) in [0, 1], returns the task's outputs: logits (B, classes) of a classifier. It is run
            in eval mode and left as it was.
        images: labelled, in any of the forms of ``as_images``, all of which are used: 10 a class in the paper. Of a data set
            with parts, the validation images.
        distortion: what they suffer.
        levels: severities above 0.
        layers: those to rank, of ``deepcorrect.models.layers.find_layers``.
        score: what the priority is the mean gain of, one of the task's scores; the first without it, top-1 accuracy.
        seed: of the distortion's noise.
        device: where the network is; that of its first parameter without it.
        precision: of the passes.
        memory: bytes that a pass may take, such as 500_000_000 for 0.5 GB; without it 0.08 GB, near what caches hold, or half
            of what is free on a GPU. The ranking does not depend on it.
        processes: those that share the work; each returns the whole ranking.
        parts: a folder to keep every finished layer and level in, and to continue from.
        progress: called with the number of pairs of a filter and an image done since its last call.
        task: what outputs and labels mean, and its scores.

    Raises:
        DeepcorrectError: the network does not answer every image by itself, labels are missing or lie outside its outputs, the
            score is unknown, or the folder holds gains of something else.
    """
    score = score or task.default_score(gradient=False)
    task.index_of(score)
    processes = processes or Processes()
    images = as_images(images, "validation", normalization=normalization_of(model), hold=False)
    images.require_labels("ranking")
    meter = GainMeter(
        model, images, distortion, seed, device_of(model, device), precision, memory, processes, progress, task
    )  # fmt: skip
    return rank_from(GainFiles(meter, parts), levels, layers=layers, score=score)


def rank_from(files: GainFiles, levels: Sequence[float], *, layers: Sequence[Layer], score: Score) -> Ranking:
    """The exact ranking from what ``files`` hold or measure; under a mixture, the mean over its members."""

    def measure(part: GainMeter, severities: Sequence[float]) -> MeanGains:
        own = files.of(part)
        measured = {layer.name: [own.measure(layer, level) for level in severities] for layer in layers}
        gains = {name: torch.stack([each.each for each in parts]).double().mean(0) for name, parts in measured.items()}
        before = [each.before[0].double().mean().item() for each in next(iter(measured.values()))]
        return MeanGains(before, gains)

    meter = files.meter
    return summarize_gains(meter, levels, mean_over_members(meter, meter.parts(levels), measure), score)
