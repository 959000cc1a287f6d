"""Batches: small sets stay on the device as uint8, large ones are streamed to it; augmentation and distortion happen there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from deepcorrect.augmentation import augment
from deepcorrect.datasets.images import Images
from deepcorrect.distortions import Distortion
from deepcorrect.recipes import Recipe
from deepcorrect.seeding import Use, generator


class Batch(NamedTuple):
    """Images (B, C, H, W) in [0, 1], their labels (B,) and their positions in the data set (B,)."""

    images: Tensor
    labels: Tensor
    indices: Tensor


class TrainingBatch(NamedTuple):
    """Images (B, C, H, W) in [0, 1] as the network sees them, the same without distortion, and their labels (B,)."""

    images: Tensor
    clean: Tensor
    labels: Tensor


def as_float(images: Tensor) -> Tensor:
    """uint8 images to float32 in [0, 1], channels last in memory."""
    return images.to(memory_format=torch.channels_last).float().div_(255)


def batches(images: Images, size: int, device: torch.device) -> Iterator[Batch]:
    """The images in order, ``size`` at a time."""
    groups = torch.arange(len(images)).split(size)  # type: ignore[no-untyped-call]
    for group, pixels in zip(groups, images.read(groups), strict=True):
        yield Batch(as_float(pixels.to(device)), images.labels[group].to(device), images.indices[group].to(device))


def distort_share(
    images: Tensor, share: float, distortion: Distortion, levels: Sequence[float], stream: torch.Generator
) -> Tensor:
    """Distort the first share of a shuffled batch, each image at a level drawn uniformly (section 5.1.1)."""
    count = int(len(images) * share)
    steps = torch.tensor(levels, device=images.device)
    severity = steps[torch.randint(len(steps), (count,), generator=stream, device=images.device)]
    return torch.cat([distortion(images[:count], severity, generator=stream), images[count:]])


class TrainingBatches:
    """The shuffled, augmented and partly distorted batches of one epoch after another.

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
    ) -> None:
        self._images = images.on(device)
        self._recipe = recipe
        self._distortion = distortion
        self._levels = tuple(levels)
        self._seed = seed
        self._device = device

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
            for step, (group, pixels) in enumerate(zip(groups, self._images.read(groups), strict=True)):
                stream = generator(self._seed, Use.STEP, number, passing, step, device=self._device)
                clean = self._augmented(pixels.to(self._device), stream)
                images = clean
                if self._distortion is not None:
                    images = distort_share(clean, self._recipe.distorted, self._distortion, self._levels, stream)
                    images = images.contiguous(memory_format=torch.channels_last)
                yield TrainingBatch(images, clean, self._images.labels[group.to(self._device)])

    def _augmented(self, pixels: Tensor, stream: torch.Generator) -> Tensor:
        recipe = self._recipe
        images = as_float(pixels)
        if recipe.flip or recipe.shift or recipe.rotation:
            images = augment(images, flip=recipe.flip, shift=recipe.shift, rotation=recipe.rotation, generator=stream)
        return images.contiguous(memory_format=torch.channels_last)
