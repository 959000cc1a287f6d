"""Images that are decoded when they are read, in worker processes: memory does not grow with their number."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from deepcorrect.datasets.decoding import Resize, decode
from deepcorrect.datasets.images import Images, ImageSet
from deepcorrect.errors import DeepcorrectError

READ_AT_ONCE = 64


@dataclass(frozen=True)
class Stream:
    """Images of one shape to be decoded in groups.

    Attributes:
        items: what there is to open, one an image: names of files as bytes, or row numbers. An array, because worker processes
            share its memory where they would each come to have a list's.
        open: opens one of them, a file's path or a number.
        source: stands before an item in messages.
        resize, grey: how they are decoded.
        image_shape: (C, H, W) of every image.
        workers: processes that decode; without any, the reading process does.
    """

    items: np.ndarray
    open: Callable[[Any], Image.Image]
    resize: Resize | None
    grey: bool
    image_shape: tuple[int, int, int]
    source: str
    workers: int

    @classmethod
    def of(
        cls,
        items: np.ndarray,
        open: Callable[[Any], Image.Image],
        resize: Resize | None,
        grey: bool,
        *,
        source: str = "",
        workers: int = 0,
    ) -> Stream:
        """A stream of images of the first one's shape, which is opened for it unless all are resized.

        Raises:
            DeepcorrectError: it cannot be decoded.
        """
        if resize is not None:
            height, width, channels = resize.size, resize.size, 1 if grey else 3
        else:
            first = _plain(items[0])
            height, width, channels = decode(f"{source}{first}", partial(open, first), None, grey).shape
        return cls(items, open, resize, grey, (channels, height, width), source, workers)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, position: int) -> Tensor | DeepcorrectError:
        """One image, (C, H, W) uint8, or why it cannot be had: what a worker raises would lose its one line."""
        item = _plain(self.items[position])
        name = f"{self.source}{item}"
        try:
            pixels = torch.from_numpy(decode(name, partial(self.open, item), self.resize, self.grey).copy()).permute(2, 0, 1)
        except DeepcorrectError as error:
            return error
        if pixels.shape != self.image_shape:
            (_, height, width), (_, wanted, wide) = pixels.shape, self.image_shape
            return DeepcorrectError(
                f"{name}: {width}x{height} pixels, others {wide}x{wanted}; give --size to bring all to one size"
            )
        return pixels

    def take(self, positions: Tensor) -> Stream:
        """The images at some positions."""
        return replace(self, items=self.items[positions.numpy()])

    def decoded(self, groups: Sequence[Tensor]) -> Iterator[list[Tensor | DeepcorrectError]]:
        """Group after group of images, each or why it cannot be had."""
        positions = [group.tolist() for group in groups]
        workers = min(self.workers, len(positions)) if len(positions) > 1 else 0
        return iter(DataLoader(self, batch_sampler=positions, num_workers=workers, collate_fn=list))  # type: ignore[arg-type]


@dataclass(frozen=True)
class StreamedSet(Images):
    """Images that are decoded when they are read."""

    stream: Stream
    labels: Tensor
    indices: Tensor

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return (len(self.stream), *self.stream.image_shape)

    def take(self, positions: Tensor) -> StreamedSet:
        """The images at ``positions``, with their own indices."""
        return StreamedSet(self.stream.take(positions), self.labels[positions], self.indices[positions])

    def read(self, groups: Sequence[Tensor]) -> Iterator[Tensor]:
        """Group after group of images at the given positions, (B, C, H, W) uint8.

        Raises:
            DeepcorrectError: an image cannot be decoded.
        """
        for images in self.stream.decoded(groups):
            yield torch.stack([_sound(image) for image in images])

    def without_bad(self, warn: Callable[[str], None]) -> StreamedSet:
        """Decode every image once, and leave out those that cannot be had; ``warn`` is told why. Indices count anew."""
        good = torch.ones(len(self), dtype=torch.bool)
        groups = _in_order(len(self))
        for group, images in zip(groups, self.stream.decoded(groups), strict=True):
            for position, image in zip(group.tolist(), images, strict=True):
                if isinstance(image, DeepcorrectError):
                    good[position] = False
                    warn(f"skipped: {image}")
        return replace(self.take(good.nonzero()[:, 0]), indices=torch.arange(int(good.sum())))

    def held(self) -> ImageSet:
        """The same set with its images in memory."""
        images = torch.empty(self.shape, dtype=torch.uint8)
        groups = _in_order(len(self))
        for group, read in zip(groups, self.read(groups), strict=True):
            images[group] = read
        return ImageSet(images, self.labels, self.indices)

    def on(self, device: torch.device) -> StreamedSet:
        """The same set, its labels on a device."""
        return replace(self, labels=self.labels.to(device), indices=self.indices.to(device))

    def signature(self) -> bytes:
        """The names of the images, and how they are decoded."""
        return repr((self.stream.source, self.stream.resize, self.stream.grey)).encode() + self.stream.items.tobytes()


def _plain(item: Any) -> str | int:
    return os.fsdecode(item) if isinstance(item, bytes) else int(item)


def _sound(image: Tensor | DeepcorrectError) -> Tensor:
    if isinstance(image, DeepcorrectError):
        raise DeepcorrectError(f"{image}; repair or remove it, or go on without it with --skip-bad")
    return image


def _in_order(count: int) -> Sequence[Tensor]:
    groups: Sequence[Tensor] = torch.arange(count).split(READ_AT_ONCE)  # type: ignore[no-untyped-call]
    return groups
