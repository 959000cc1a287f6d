"""How well a network does at every level of a distortion, by the metrics of its task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor, nn

from deepcorrect.base.device import Precision, autocast, device_of, laid_out
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.processes import Processes
from deepcorrect.base.showing import Shown, View
from deepcorrect.datasets.batches import Batch, batches
from deepcorrect.datasets.images import Images
from deepcorrect.distortions.base import Distortion
from deepcorrect.evaluation.answers import Answers
from deepcorrect.evaluation.levels import level_line, levels_view
from deepcorrect.tasks.base import Measured, Task
from deepcorrect.tasks.classification import CLASSIFICATION

Progress = Callable[[int], None]
LARGEST_BATCH = 500
PIXELS_A_BATCH = 2_500_000
"""Bound the memory of a pass: 500 images of 32 x 32, 38 of 256 x 256."""


@dataclass(frozen=True, repr=False)
class Evaluation(Shown):
    """A network measured over the levels of one distortion, the clean level first.

    Attributes:
        distortion: its name.
        levels: severities; ``levels[0]`` is 0, the clean images.
        metrics: by name, each of the task's metrics at every level, the first the headline; of a classifier ``top1`` and
            ``top5``, shares of images in [0, 1].
        per_class: the headline by level and class, NaN for a class without images; nothing a level where there are no classes.
        images: how many images each level was measured on.
        answers: of every image, where the task keeps them; of a classifier the predicted class. A mixture has none of its own.
        members: of a mixture, the evaluations under each member; its own metrics are means over these at each step.
    """

    distortion: str
    levels: tuple[float, ...]
    metrics: Mapping[str, tuple[float, ...]] = field(hash=False)
    per_class: tuple[tuple[float, ...], ...]
    images: int
    answers: Answers | None = field(compare=False, repr=False)
    members: tuple[Evaluation, ...] = ()

    def mean(self, metric: str) -> float:
        """A metric's mean over all levels, the clean one included ("Avg" in the paper's tables)."""
        return sum(self.metrics[metric]) / len(self.metrics[metric])

    def as_agreement(self) -> Evaluation:
        """The same where the network's own answers to the clean images are the labels: its headline is no accuracy."""
        metrics = {"agreement": next(iter(self.metrics.values()))}
        return replace(self, metrics=metrics, members=tuple(member.as_agreement() for member in self.members))

    @property
    def top1(self) -> tuple[float, ...]:
        """Of a classifier: share of images whose true class is predicted, a level each."""
        return self.metrics["top1"]

    @property
    def top5(self) -> tuple[float, ...]:
        """Of a classifier: share whose true class is among the five most likely (of fewer classes: among all)."""
        return self.metrics["top5"]

    @property
    def mean_top1(self) -> float:
        """Mean top-1 over all levels."""
        return self.mean("top1")

    @property
    def mean_top5(self) -> float:
        """Mean top-5 over all levels."""
        return self.mean("top5")

    def views(self) -> list[View]:
        """Every metric at each level; of a mixture, under each member."""
        if self.members:
            return [view for member in self.members for view in member.views()]
        rows = {name: (values, self.mean(name)) for name, values in self.metrics.items()}
        title = f"Measured under {self.distortion} ({self.images:,} images)"
        return [levels_view(title, self.distortion, self.levels, rows, heading="Metric", measured="metric")]

    def __repr__(self) -> str:
        headline = next(iter(self.metrics))
        line = level_line(self.levels, self.metrics[headline])
        return f"Evaluation({self.distortion}, {self.images:,} images: {headline} {line}; mean {self.mean(headline):.4f})"


def fitting_batch(images: Images) -> int:
    """How many of these images are passed through at once: fewer of larger ones."""
    height, width = images.shape[-2:]
    return max(1, min(LARGEST_BATCH, PIXELS_A_BATCH // (height * width)))


@torch.inference_mode()
def observe(
    model: nn.Module,
    images: Images,
    distortion: Distortion,
    levels: Sequence[float],
    *,
    seed: int = 0,
    device: torch.device | str | None = None,
    precision: Precision = "fp32",
    batch_size: int | None = None,
    processes: Processes | None = None,
    progress: Progress | None = None,
    task: Task = CLASSIFICATION,
) -> Tensor:
    """All that the task's metrics need of every image at each level, (levels, N, K) on the CPU, each image read once.

    The model must be in eval mode. ``batch_size`` changes nothing but the memory that a pass takes.
    """
    device, processes = device_of(model, device), processes or Processes()
    batch_size = batch_size or fitting_batch(images)
    starts = processes.mine(range(0, len(images), batch_size))
    mine = torch.tensor([index for start in starts for index in range(start, min(start + batch_size, len(images)))])
    read = batches(images.take(mine.long()), batch_size, device)
    observed: Tensor | None = None
    for start in starts:
        for index, rows in enumerate(_rows(task, model, next(read), distortion, levels, seed, precision)):
            if observed is None:
                observed = torch.zeros(len(levels), len(images), *rows.shape[1:], dtype=rows.dtype)
            observed[index, start : start + len(rows)] = rows.cpu()
            if progress is not None:
                progress(len(rows) * processes.count)
    shape, dtype = processes.agreed((None, None) if observed is None else (observed.shape, observed.dtype))
    if shape is None:
        raise DeepcorrectError("there are no images to measure on")
    return processes.total(torch.zeros(shape, dtype=dtype) if observed is None else observed)


def evaluate(
    model: nn.Module,
    images: Images,
    distortion: Distortion,
    levels: Sequence[float],
    *,
    classes: int,
    seed: int = 0,
    device: torch.device | str | None = None,
    precision: Precision = "fp32",
    batch_size: int | None = None,
    processes: Processes | None = None,
    progress: Progress | None = None,
    tell: Callable[[float, float], None] = lambda level, headline: None,
    task: Task = CLASSIFICATION,
    clean: Tensor | None = None,
) -> Evaluation:
    """Measure a network on clean images and at each of ``levels`` (Tables 3 and 4); of a mixture, under each member.

    Args:
        model: takes images (B, C, H, W) in [0, 1], returns the task's outputs: logits (B, classes) of a classifier. It is put
            into eval mode.
        images: test images, with labels.
        distortion: what ruins them.
        levels: severities above 0; the clean level is added in front.
        classes: how many classes the labels may name.
        seed: of the evaluation noise.
        device: where the network is; that of its first parameter if it is not given.
        precision: of the network's passes.
        batch_size: images a pass, which changes nothing but the memory that it takes; ``fitting_batch`` without it.
        processes: those that share the images; each returns the whole.
        progress: called with the number of images done since its last call.
        tell: called with each level and the first metric; with the clean level's before the others are measured.
        task: what outputs and labels mean.
        clean: what ``observe`` gave for the clean images, (N, K), where that is known: they are not passed through again.

    Raises:
        DeepcorrectError: the network answers with NaN or without outputs of the task, or images have no label.
    """
    model.eval()
    labels = images.labels.cpu()
    task.check_labels(labels)
    look = partial(
        observe, model, images, seed=seed, device=device, precision=precision, batch_size=batch_size, processes=processes,
        progress=progress, task=task,
    )  # fmt: skip

    def at(level: float, rows: Tensor) -> _Level:
        measured = task.measure(rows, labels, classes)
        tell(level, measured.metrics[task.metrics[0]])
        return _Level(level, measured, task.answers(rows))

    first = at(0.0, look(distortion, (0.0,))[0] if clean is None else clean)
    evaluations = []
    for part, severities in distortion.parts([float(level) for level in levels]):
        observed = look(part, severities) if severities else ()
        measured = [first, *(at(level, rows) for level, rows in zip(severities, observed, strict=True))]
        evaluations.append(_evaluation(part.name, task.metrics, measured, labels))
    return evaluations[0] if len(evaluations) == 1 else _mean(distortion.name, levels, evaluations)


class _Level(NamedTuple):
    level: float
    measured: Measured
    answers: Tensor | None


def _evaluation(distortion: str, metrics: Sequence[str], levels: Sequence[_Level], labels: Tensor) -> Evaluation:
    """What was measured at each level, together."""
    answers = [each.answers for each in levels if each.answers is not None]
    return Evaluation(
        distortion,
        tuple(each.level for each in levels),
        {name: tuple(each.measured.metrics[name] for each in levels) for name in metrics},
        tuple(each.measured.per_class for each in levels),
        len(labels),
        Answers(torch.stack(answers), labels) if answers else None,
    )


def _mean(distortion: str, levels: Sequence[float], members: Sequence[Evaluation]) -> Evaluation:
    """The mean over the members of a mixture, at each of its steps."""
    metrics = {
        name: tuple(fmean(values) for values in zip(*(member.metrics[name] for member in members), strict=True))
        for name in members[0].metrics
    }
    per_class = torch.tensor([member.per_class for member in members], dtype=torch.float64).mean(0).tolist()
    return Evaluation(
        distortion, (0.0, *map(float, levels)), metrics, tuple(map(tuple, per_class)), members[0].images, None, tuple(members)
    )


def _rows(
    task: Task,
    model: nn.Module,
    batch: Batch,
    distortion: Distortion,
    levels: Sequence[float],
    seed: int,
    precision: Precision,
) -> Iterator[Tensor]:
    """What the task observes of a batch at each level.

    Its caller keeps no reference to the batch, so that its memory is free before the next is read.
    """
    for level in levels:
        distorted = distortion.at(batch.images, level, batch.indices, seed)
        with autocast(batch.images.device, precision):
            outputs = task.outputs(model(laid_out(distorted, model)))
        if outputs.isnan().any():
            where = f"images under {distortion.name} at level {level:g}" if level else "clean images"
            raise DeepcorrectError(f"the network answers {where} with NaN: its values overflow, or its weights are broken")
        yield task.observe(outputs.float(), batch.labels)
