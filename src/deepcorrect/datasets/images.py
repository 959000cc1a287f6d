"""Labelled images, in memory or streamed, and seeded ways to take a part of them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Self, TypeVar

import torch
from torch import Tensor

from deepcorrect.errors import DeepcorrectError
from deepcorrect.seeding import Use, generator

TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1
SMALL = 64
"""Images up to this many pixels wide take the CIFAR ladder, larger ones ImageNet's."""


class Images(ABC):
    """Images of one size with their labels, in memory or not.

    Attributes:
        labels: (N,), int64.
        indices: (N,), int64, each image's position in its source; evaluation noise is keyed by it.
    """

    labels: Tensor
    indices: Tensor

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""

    @abstractmethod
    def take(self, positions: Tensor) -> Self:
        """The images at ``positions``, with their own indices."""

    @abstractmethod
    def read(self, groups: Sequence[Tensor]) -> Iterator[Tensor]:
        """Group after group of images at the given positions, (B, C, H, W) uint8."""

    @abstractmethod
    def held(self) -> ImageSet:
        """The same set with its images in memory."""

    @abstractmethod
    def on(self, device: torch.device) -> Images:
        """The same set, with what is in memory on a device."""

    @abstractmethod
    def signature(self) -> bytes:
        """What tells these images from others."""

    def __len__(self) -> int:
        return len(self.labels)

    def balanced(self, count: int, seed: int) -> Self:
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

    def limited(self, count: int, seed: int) -> Self:
        """At most ``count`` images of each class, drawn without replacement."""
        shuffled = torch.randperm(len(self), generator=generator(seed, Use.SUBSET))
        return self.take(shuffled[_rank_within_class(self.labels[shuffled]) < count].sort().values)


@dataclass(frozen=True)
class ImageSet(Images):
    """Images in memory.

    Attributes:
        images: (N, C, H, W), uint8.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor

    @classmethod
    def whole(cls, images: Tensor, labels: Tensor) -> ImageSet:
        """A set whose indices count from zero."""
        return cls(images, labels, torch.arange(len(images)))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        count, channels, height, width = self.images.shape
        return count, channels, height, width

    def take(self, positions: Tensor) -> ImageSet:
        """The images at ``positions``, with their own indices."""
        return ImageSet(self.images[positions], self.labels[positions], self.indices[positions])

    def read(self, groups: Sequence[Tensor]) -> Iterator[Tensor]:
        """Group after group of images at the given positions, (B, C, H, W) uint8."""
        return (self.images[group.to(self.images.device)] for group in groups)

    def held(self) -> ImageSet:
        """Itself."""
        return self

    def on(self, device: torch.device) -> ImageSet:
        """The same set on a device."""
        return ImageSet(self.images.to(device), self.labels.to(device), self.indices.to(device))

    def signature(self) -> bytes:
        """Every pixel."""
        return self.images.cpu().numpy().tobytes()


Kind = TypeVar("Kind", bound=Images)


class Counts(NamedTuple):
    """How many images of every class are for training and for validation, by which seed; the rest is for testing."""

    train: int
    validation: int
    seed: int = 0


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
    train: Images
    validation: Images
    test: Images

    @classmethod
    def of_parts(
        cls, name: str, classes: tuple[str, ...], parts: Mapping[str, Images], counts: Counts | None = None
    ) -> Dataset:
        """As ``divide`` has them, with the ladder that suits their size.

        Raises:
            DeepcorrectError: too few images for one of the three.
        """
        train, validation, test = divide(parts, counts)
        for part, images in (("train", train), ("validation", validation), ("test", test)):
            if not len(images):
                raise DeepcorrectError(f"{name}: too few images for a {part} set; give every class ten or more")
        return cls(name, classes, "cifar" if test.shape[-1] <= SMALL else "imagenet", train, validation, test)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        return self.test.shape[1:]

    def fingerprint(self) -> str:
        """SHA-256 over classes, images, labels and their split."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for part in (self.train, self.validation, self.test):
            digest.update(part.signature())
            for tensor in (part.labels, part.indices):
                digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()


def split(source: Kind, share: float, seed: int) -> tuple[Kind, Kind]:
    """Set ``share`` of every class aside (rounded, at least one image where a class has two): (rest, set aside)."""
    shuffled = torch.randperm(len(source), generator=generator(seed, Use.SPLIT))
    labels = source.labels[shuffled]
    sizes = torch.bincount(labels)
    quota = (sizes * share).round().clamp_min(1).minimum((sizes - 1).clamp_min(0))
    aside = _rank_within_class(labels) < quota[labels]
    return source.take(shuffled[~aside].sort().values), source.take(shuffled[aside].sort().values)


def draw(labels: Tensor, counts: Counts) -> tuple[Tensor, Tensor, Tensor]:
    """Positions of so many images of every class for training and for validation, and of the rest, drawn by their seed."""
    shuffled = torch.randperm(len(labels), generator=generator(counts.seed, Use.SPLIT))
    rank = _rank_within_class(labels[shuffled])
    ends = (0, counts.train, counts.train + counts.validation, len(labels))
    train, validation, test = (shuffled[(rank >= start) & (rank < end)].sort().values for start, end in pairwise(ends))
    return train, validation, test


def divide(parts: Mapping[str, Kind], counts: Counts | None = None) -> tuple[Kind, Kind, Kind]:
    """Training, validation and test images from those under ``train``, ``val`` and ``test``, or under any one name.

    Of only one part, a fifth of every class is set aside for testing and a tenth for validation, always the same ones, or as
    ``counts`` say. Where only one of ``val`` and ``test`` is there, it is tested on, and a tenth of the training images
    validates.

    Raises:
        DeepcorrectError: counts for images that are divided already.
    """
    if counts is not None:
        if len(parts) > 1:
            raise DeepcorrectError(f"--split: these images are divided already, into {', '.join(parts)}")
        source = next(iter(parts.values()))
        train, validation, test = (source.take(positions) for positions in draw(source.labels, counts))
        return train, validation, test
    if len(parts) == 3:
        return parts["train"], parts["val"], parts["test"]
    if len(parts) == 2:
        train, validation = split(parts["train"], VALIDATION_SHARE, seed=0)
        return train, validation, parts["test"] if "test" in parts else parts["val"]
    rest, test = split(next(iter(parts.values())), TEST_SHARE, seed=0)
    train, validation = split(rest, VALIDATION_SHARE / (1 - TEST_SHARE), seed=0)
    return train, validation, test


def _rank_within_class(labels: Tensor) -> Tensor:
    """For each position, how many earlier positions have the same label."""
    order = torch.argsort(labels, stable=True)
    sizes = torch.bincount(labels)
    starts = (sizes.cumsum(0) - sizes)[labels[order]]
    rank = torch.empty_like(labels)
    rank[order] = torch.arange(len(labels)) - starts
    return rank
