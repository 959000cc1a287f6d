"""Images of one size, labelled or not, in memory or streamed."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.seeding import Use, generator
from deepcorrect.base.words import argument

UNLABELLED = -1
"""The label of an image whose class is not known."""
HELD_BYTES = 2_000_000_000
"""Images that come to no more are held in memory."""


class Images(ABC):
    """Images of one size with their labels, in memory or not.

    Attributes:
        labels: (N,), int64; ``UNLABELLED`` where the class is not known.
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
        """Group after group of images at the given positions, (B, C, H, W), uint8 or float32 in [0, 1]."""

    @abstractmethod
    def held(self) -> ImageSet:
        """The same set with its images in memory."""

    @abstractmethod
    def on(self, device: torch.device) -> Images:
        """The same set, with what is in memory on a device."""

    def file_names(self) -> np.ndarray | None:
        """The path of each image's file as bytes, (N,); None where images do not come from files of their own."""
        return None

    @abstractmethod
    def signature(self) -> bytes:
        """What tells these images from others."""

    def of_pass(self, seed: int, *index: int) -> Self:
        """The images as one pass of a training sees them.

        They are the same in every pass, unless a random transform makes them anew: then (seed, pass, image) decide each.

        Args:
            seed: of the training.
            index: what numbers the pass, such as its epoch.
        """
        return self

    def require_labels(self, purpose: str) -> None:
        """Refuse images of which some have no label.

        Args:
            purpose: what the labels are needed for, as in "ranking".

        Raises:
            DeepcorrectError: images without labels; the message counts them.
        """
        missing = int((self.labels == UNLABELLED).sum())
        if missing:
            which = "the images have no labels" if missing == len(self) else f"{missing} of {len(self)} images have no label"
            raise DeepcorrectError(f"{which}, which {purpose} needs: give pairs of an image and its class number")

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        count, channels, height, width = self.shape
        return f"{type(self).__name__}({count:,} images of {channels} x {height} x {width})"

    def balanced(self, count: int, seed: int) -> Self:
        """``count`` images drawn without replacement, as equally over the classes as their numbers allow.

        Raises:
            DeepcorrectError: ``count`` is below 1.
        """
        if count < 1:
            raise DeepcorrectError(f"{argument('images', count)}: at least one image is needed")
        if count >= len(self):
            return self
        shuffled = torch.randperm(len(self), generator=generator(seed, Use.SUBSET))
        rank = rank_within_class(self.labels[shuffled])
        chosen = shuffled[torch.argsort(rank, stable=True)[:count]]
        return self.take(chosen.sort().values)

    def labelled(self, labels: Tensor) -> Self:
        """The same images with other labels, (N,) int64."""
        relabelled = copy.copy(self)
        object.__setattr__(relabelled, "labels", labels)
        return relabelled

    def unlabelled(self) -> Self:
        """The same images without labels."""
        return self.labelled(torch.full_like(self.labels, UNLABELLED))

    def limited(self, count: int, seed: int) -> Self:
        """At most ``count`` images of each class, drawn without replacement."""
        shuffled = torch.randperm(len(self), generator=generator(seed, Use.SUBSET))
        return self.take(shuffled[rank_within_class(self.labels[shuffled]) < count].sort().values)


@dataclass(frozen=True, repr=False)
class ImageSet(Images):
    """Images in memory.

    Attributes:
        images: (N, C, H, W), uint8, or float32 in [0, 1].
        names: (N,), the path of each image's file as bytes, where images come from files of their own.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    names: np.ndarray | None = None

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
        names = None if self.names is None else self.names[positions.cpu().numpy()]
        return ImageSet(self.images[positions], self.labels[positions], self.indices[positions], names)

    def read(self, groups: Sequence[Tensor]) -> Iterator[Tensor]:
        """Group after group of images at the given positions, (B, C, H, W)."""
        return (self.images[group.to(self.images.device)] for group in groups)

    def held(self) -> ImageSet:
        """Itself."""
        return self

    def on(self, device: torch.device) -> ImageSet:
        """The same set on a device."""
        return ImageSet(self.images.to(device), self.labels.to(device), self.indices.to(device), self.names)

    def file_names(self) -> np.ndarray | None:
        """As they were when the images were read."""
        return self.names

    def signature(self) -> bytes:
        """Every pixel, and for other numbers than uint8 their type."""
        pixels = self.images.cpu().numpy()
        return pixels.tobytes() if pixels.dtype == "uint8" else f"{pixels.dtype}".encode() + pixels.tobytes()


def rank_within_class(labels: Tensor) -> Tensor:
    """For each position, how many earlier positions have the same label; those without a label are a class of their own."""
    labels = labels - UNLABELLED
    order = torch.argsort(labels, stable=True)
    sizes = torch.bincount(labels)
    starts = (sizes.cumsum(0) - sizes)[labels[order]]
    rank = torch.empty_like(labels)
    rank[order] = torch.arange(len(labels)) - starts
    return rank
