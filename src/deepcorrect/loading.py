"""Batches: small sets stay on the device as uint8, large ones are streamed to it; augmentation and distortion happen there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from deepcorrect.augmentation import augment
from deepcorrect.datasets.images import Images
from deepcorrect.distortions import Distortion
from deepcorrect.errors import DeepcorrectError
from deepcorrect.parallel import Part, Processes
from deepcorrect.recipes import Recipe
from deepcorrect.seeding import Use, generator


class Batch(NamedTuple):
    """Images (B, C, H, W) in [0, 1], their labels (B,) and their positions in the data set (B,)."""

    images: Tensor
    labels: Tensor
    indices: Tensor


class TrainingBatch(NamedTuple):
    """Images (B, C, H, W) in [0, 1] as the network sees them, the same without distortion, their labels (B,), and what share of
    the whole batch they are."""

    images: Tensor
    clean: Tensor
    labels: Tensor
    share: float = 1.0


ROUNDING = 1e-4
"""How far beyond [0, 1] floating-point images may lie."""


def as_float(images: Tensor) -> Tensor:
    """Images as float32 in [0, 1]: uint8 is divided by 255, floating-point numbers in [0, 1] are those already.

    Raises:
        DeepcorrectError: numbers of another kind, or outside [0, 1].
    """
    if images.dtype == torch.uint8:
        return images.float().div_(255)
    if not images.is_floating_point():
        raise DeepcorrectError(f"images of {_name(images)} numbers: give uint8, 0 to 255, or floating point, 0 to 1")
    if images.numel():
        least, most = (float(value) for value in images.aminmax())
        if not (least >= -ROUNDING and most <= 1 + ROUNDING):  # as NaN is not either
            raise DeepcorrectError(
                f"images of {_name(images)} numbers from {least:g} to {most:g}: floating-point images lie in [0, 1]; "
                "divide them by their largest value, and leave normalisation to the network"
            )
    return images.float()


def _name(images: Tensor) -> str:
    return str(images.dtype).removeprefix("torch.")


def batches(images: Images, size: int, device: torch.device) -> Iterator[Batch]:
    """The images in order, ``size`` at a time; nothing is kept of one batch while the next is made."""
    groups = [torch.arange(start, min(start + size, len(images))) for start in range(0, len(images), size)]
    read = images.read(groups)
    for group in groups:
        yield Batch(as_float(next(read).to(device)), images.labels[group].to(device), images.indices[group].to(device))


def distort_share(
    images: Tensor, share: float, distortion: Distortion, levels: Sequence[float], stream: torch.Generator, part: Part
) -> Tensor:
    """Distort the first share of a shuffled batch, each image at a level drawn uniformly (section 5.1.1)."""
    count = int(part.whole * share)
    steps = torch.tensor(levels, device=images.device)
    severity = part.of(steps[torch.randint(len(steps), (count,), generator=stream, device=images.device)])
    mine = len(severity)
    distorted = distortion(images[:mine], severity, generator=stream, part=part._replace(whole=count))
    return torch.cat([distorted, images[mine:]])


class TrainingBatches:
    """The shuffled, augmented and partly distorted batches of one epoch after another, or a process's part of each.

    What a step sees depends on (seed, epoch, step) alone, so that an interrupted training continues as if it had not been.
    """

    def __init__(
        self,
        images: Images,
        recipe: Recipe,
        *,
        distortion: Distortion | None,
        levels: Sequence[float],
        seed: int,
        device: torch.device,
        processes: Processes | None = None,
    ) -> None:
        self._images = images.on(device)
        self._recipe = recipe
        self._distortion = distortion
        self._levels = tuple(levels)
        self._seed = seed
        self._device = device
        self._processes = processes or Processes()

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch, the last of a pass no smaller than its share."""
        return self._recipe.steps or self._recipe.passes * self._steps_per_pass

    @property
    def _steps_per_pass(self) -> int:
        return -(-len(self._images) // self._recipe.batch_size)

    def epoch(self, number: int) -> Iterator[TrainingBatch]:
        """The batch of each step of epoch ``number``."""
        left = self.steps_per_epoch
        for passing in range(-(-left // self._steps_per_pass)):
            order = torch.randperm(len(self._images), generator=generator(self._seed, Use.ORDER, number, passing))
            groups = order.tensor_split(self._steps_per_pass)[:left]
            left -= len(groups)
            parts = [self._processes.part(len(group)) for group in groups]
            mine = [part.of(group) for part, group in zip(parts, groups, strict=True)]
            for step, (part, group, pixels) in enumerate(zip(parts, mine, self._images.read(mine), strict=True)):
                stream = generator(self._seed, Use.STEP, number, passing, step, device=self._device)
                clean = self._augmented(pixels.to(self._device), stream, part)
                images = clean
                if self._distortion is not None:
                    images = distort_share(clean, self._recipe.distorted, self._distortion, self._levels, stream, part)
                yield TrainingBatch(images, clean, self._images.labels[group.to(self._device)], len(group) / part.whole)

    def _augmented(self, pixels: Tensor, stream: torch.Generator, part: Part) -> Tensor:
        recipe = self._recipe
        images = as_float(pixels)
        if recipe.flip or recipe.shift or recipe.rotation:
            images = augment(
                images, flip=recipe.flip, shift=recipe.shift, rotation=recipe.rotation, generator=stream, part=part
            )  # fmt: skip
        return images
