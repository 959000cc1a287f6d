"""The batches that are trained on: shuffled, augmented and partly distorted, on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from deepcorrect.base.processes import Part, Processes
from deepcorrect.base.seeding import Use, generator
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.images import Images
from deepcorrect.distortions.base import Distortion
from deepcorrect.training.augmentation import augment
from deepcorrect.training.recipes import Recipe


class TrainingBatch(NamedTuple):
    """Images (B, C, H, W) in [0, 1] as the network sees them, the same without distortion, their labels (B, ...), and what
    share of the whole batch they are."""

    images: Tensor
    clean: Tensor
    labels: Tensor
    share: float = 1.0


def distort_share(
    images: Tensor, share: float, distortion: Distortion, levels: Sequence[float], stream: torch.Generator, part: Part
) -> Tensor:
    """Distort the first share of a shuffled batch, each image at a level drawn uniformly (section 5.1.1), or as often as the
    distortion says; a mixture also draws the distortion of each."""
    count = int(part.whole * share)
    steps = torch.tensor(levels, device=images.device)
    shares = distortion.shares(levels)
    if shares is None or not count:
        drawn = torch.randint(len(steps), (count,), generator=stream, device=images.device)
    else:
        drawn = torch.tensor(shares, device=images.device).multinomial(count, replacement=True, generator=stream)
    severity = part.of(steps[drawn])
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
            read = self._images.of_pass(self._seed, number, passing).read(mine)
            for step, (part, group, pixels) in enumerate(zip(parts, mine, read, strict=True)):
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
