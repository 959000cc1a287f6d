"""Labelled images in memory, and seeded ways to take a part of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from deepcorrect.errors import DeepcorrectError
from deepcorrect.seeding import Use, generator


@dataclass(frozen=True)
class ImageSet:
    """Images of one size with their labels.

    Attributes:
        images: (N, C, H, W), uint8.
        labels: (N,), int64.
        indices: (N,), int64, each image's position in its source; evaluation noise is keyed by it.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor

    @classmethod
    def whole(cls, images: Tensor, labels: Tensor) -> ImageSet:
        """A set whose indices count from zero."""
        return cls(images, labels, torch.arange(len(images)))

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, positions: Tensor) -> ImageSet:
        """The images at ``positions``, with their own indices."""
        return ImageSet(self.images[positions], self.labels[positions], self.indices[positions])

    def to(self, device: torch.device) -> ImageSet:
        """The same set on a device."""
        return ImageSet(self.images.to(device), self.labels.to(device), self.indices.to(device))

    def balanced(self, count: int, seed: int) -> ImageSet:
        """``count`` images drawn without replacement, as equally over the classes as their numbers allow.

        Raises:
            DeepcorrectError: ``count`` is below 1.
        """
        if count < 1:
            raise DeepcorrectError(f"--images {count}: at least one image is needed")
        if count >= len(self):
            return self
        shuffled = torch.randperm(len(self), generator=generator(seed, Use.SUBSET))
        rank = _rank_within_class(self.labels[shuffled])
        chosen = shuffled[torch.argsort(rank, stable=True)[:count]]
        return self.take(chosen.sort().values)


@dataclass(frozen=True)
class Dataset:
    """Training, validation and test images of one task.

    Attributes:
        name: the spec it was loaded from.
        classes: class names; a label is a position in this list.
        ladder: which severity ladder suits the images.
    """

    name: str
    classes: tuple[str, ...]
    ladder: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        channels, height, width = self.test.images.shape[1:]
        return channels, height, width

    def fingerprint(self) -> str:
        """SHA-256 over classes, images, labels and their split."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for part in (self.train, self.validation, self.test):
            for tensor in (part.images, part.labels, part.indices):
                digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()


def split(source: ImageSet, share: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """Set ``share`` of every class aside (rounded, at least one image where a class has two): (rest, set aside)."""
    shuffled = torch.randperm(len(source), generator=generator(seed, Use.SPLIT))
    labels = source.labels[shuffled]
    sizes = torch.bincount(labels)
    quota = (sizes * share).round().clamp_min(1).minimum((sizes - 1).clamp_min(0))
    aside = _rank_within_class(labels) < quota[labels]
    return source.take(shuffled[~aside].sort().values), source.take(shuffled[aside].sort().values)


def _rank_within_class(labels: Tensor) -> Tensor:
    """For each position, how many earlier positions have the same label."""
    order = torch.argsort(labels, stable=True)
    sizes = torch.bincount(labels)
    starts = (sizes.cumsum(0) - sizes)[labels[order]]
    rank = torch.empty_like(labels)
    rank[order] = torch.arange(len(labels)) - starts
    return rank
