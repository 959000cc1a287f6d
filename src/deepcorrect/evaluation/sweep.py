"""How well a network does at every level of a distortion: top-1, top-5, each class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from deepcorrect.base.device import Precision, autocast, device_of, laid_out
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.processes import Processes
from deepcorrect.datasets.batches import Batch, batches
from deepcorrect.datasets.images import Images
from deepcorrect.distortions.base import Distortion
from deepcorrect.evaluation.answers import Answers

Progress = Callable[[int], None]
LARGEST_BATCH = 500
PIXELS_A_BATCH = 2_500_000
"""Bound the memory of a pass: 500 images of 32 x 32, 38 of 256 x 256."""


@dataclass(frozen=True)
class Evaluation:
    """Accuracies over the levels of one distortion, the clean level first.

    Attributes:
        distortion: its name.
        levels: severities; ``levels[0]`` is 0, the clean images.
        top1: share of images whose true class is predicted, a level each.
        top5: share whose true class is among the five most likely (of fewer classes: among all).
        per_class: top-1 by level and class; NaN for a class without images.
        images: how many images each level was measured on.
        answers: the predicted class of each.
    """

    distortion: str
    levels: tuple[float, ...]
    top1: tuple[float, ...]
    top5: tuple[float, ...]
    per_class: tuple[tuple[float, ...], ...]
    images: int
    answers: Answers = field(compare=False, repr=False)

    @property
    def mean_top1(self) -> float:
        """Mean over all levels, the clean one included ("Avg" in the paper's tables)."""
        return sum(self.top1) / len(self.top1)

    @property
    def mean_top5(self) -> float:
        """Mean top-5 over all levels."""
        return sum(self.top5) / len(self.top5)


def fitting_batch(images: Images) -> int:
    """How many of these images are passed through at once: fewer of larger ones."""
    height, width = images.shape[-2:]
    return max(1, min(LARGEST_BATCH, PIXELS_A_BATCH // (height * width)))


@torch.inference_mode()
def top_classes(
    model: nn.Module,
    images: Images,
    distortion: Distortion,
    levels: Sequence[float],
    *,
    count: int = 5,
    seed: int = 0,
    device: torch.device | str | None = None,
    precision: Precision = "fp32",
    batch_size: int | None = None,
    processes: Processes | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """The most likely classes of every image at each level, (levels, N, count), most likely first, each image read once.

    Where there are fewer classes, -1 stands for the rest. The model must be in eval mode. ``batch_size`` changes nothing but
    the memory that a pass takes.
    """
    device, processes = device_of(model, device), processes or Processes()
    batch_size = batch_size or fitting_batch(images)
    starts = processes.mine(range(0, len(images), batch_size))
    mine = torch.tensor([place for start in starts for place in range(start, min(start + batch_size, len(images)))])
    found = torch.zeros(len(levels), len(images), count, dtype=torch.int64)
    read = batches(images.take(mine.long()), batch_size, device)
    for start in starts:
        for place, tops in enumerate(_answers(model, next(read), distortion, levels, count, seed, precision)):
            found[place, start : start + len(tops), : tops.shape[1]] = tops.cpu()
            found[place, start : start + len(tops), tops.shape[1] :] = -1
            if progress is not None:
                progress(len(tops) * processes.count)
    return processes.total(found)


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
    tell: Callable[[float, float], None] = lambda level, top1: None,
) -> Evaluation:
    """Measure a network on clean images and at each of ``levels`` (Tables 3 and 4).

    Args:
        model: takes images (B, C, H, W) in [0, 1], returns logits (B, classes). It is put into eval mode.
        images: test images.
        distortion: what ruins them.
        levels: severities above 0; the clean level is added in front.
        classes: how many classes the labels may name.
        seed: of the evaluation noise.
        device: where the network is; found out if it is not given.
        processes: those that share the images; each returns the whole.
        progress: called with the number of images done since its last call.
        tell: called with each level and its top-1 accuracy; with the clean level's before the others are measured.

    Raises:
        DeepcorrectError: the network answers with NaN.
    """
    model.eval()
    everything = (0.0, *(float(level) for level in levels))
    top1, top5, per_class, answers = [], [], [], []
    labels = images.labels.cpu()
    for part in (everything[:1], everything[1:]):
        if not part:
            continue
        found = top_classes(
            model, images, distortion, part,
            seed=seed, device=device, precision=precision, batch_size=batch_size, processes=processes, progress=progress,
        )  # fmt: skip
        for level, tops in zip(part, found, strict=True):
            hits = tops == labels[:, None]
            answers.append(tops[:, 0])
            top1.append(hits[:, 0].double().mean().item())
            top5.append(hits.any(1).double().mean().item())
            counts = torch.bincount(labels, minlength=classes)
            right = torch.bincount(labels[hits[:, 0]], minlength=classes)
            per_class.append(tuple((right.double() / counts).tolist()))
            tell(level, top1[-1])
    return Evaluation(
        distortion.name, everything, tuple(top1), tuple(top5), tuple(per_class), len(images),
        Answers(torch.stack(answers), labels),
    )  # fmt: skip


def _answers(
    model: nn.Module,
    batch: Batch,
    distortion: Distortion,
    levels: Sequence[float],
    count: int,
    seed: int,
    precision: Precision,
) -> Iterator[Tensor]:
    """The most likely classes of a batch at each level, which alone holds the batch: it is gone before the next is there."""
    for level in levels:
        distorted = distortion.at(batch.images, level, batch.indices, seed)
        with autocast(batch.images.device, precision):
            logits = model(laid_out(distorted, model))
        if logits.isnan().any():
            where = f"images under {distortion.name} at level {level:g}" if level else "clean images"
            raise DeepcorrectError(f"the network answers {where} with NaN: its values overflow, or its weights are broken")
        yield logits.float().topk(min(count, logits.shape[1]), dim=1).indices
