"""Images that are decoded when they are read, by worker processes: memory does not grow with the number of images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from mmap import mmap
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.names import readable
from deepcorrect.base.words import argument
from deepcorrect.datasets.decoding import DECODING, Resize, decode
from deepcorrect.datasets.images import Images, ImageSet
from deepcorrect.datasets.workers import read_ahead

READ_AT_ONCE = 64


class Decoded(NamedTuple):
    """Images (B, C, H, W) uint8, and for those that cannot be decoded the reason, by index in the batch."""

    pixels: Tensor
    bad: dict[int, DeepcorrectError]

    def __reduce__(self) -> tuple[object, ...]:
        """Sent as an array through a pipe: tensors would go through /dev/shm, which is small in containers."""
        return _received, (self.pixels.permute(0, 2, 3, 1).numpy(), self.bad)


@dataclass(frozen=True)
class Stream:
    """Images of one shape to be decoded in groups.

    Attributes:
        items: one for each image: file names as bytes, or row numbers. An array, because worker processes share its memory; a
            list would be copied into each of them.
        open: opens one item, a path or a row number.
        source: precedes the item in messages.
        resize, grey: how images are decoded.
        image_shape: (C, H, W) of every image.
        workers: processes that decode; with 0 the reading process decodes.
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
        skip_bad: bool = False,
        workers: int = 0,
    ) -> Stream:
        """A stream whose images all have the shape of the first one, which is decoded to know it unless images are resized.

        Args:
            skip_bad: take the shape of the first image that can be decoded.

        Raises:
            DeepcorrectError: the image cannot be decoded, or there are none.
        """
        if resize is not None:
            return cls(items, open, resize, grey, (1 if grey else 3, resize.size, resize.size), source, workers)
        failed = DeepcorrectError(f"{source}no images")
        for first in map(_plain, items):
            try:
                height, width, channels = decode(readable(f"{source}{first}"), partial(open, first), None, grey).shape
                return cls(items, open, resize, grey, (channels, height, width), source, workers)
            except DeepcorrectError as error:
                failed = error
                if not skip_bad:
                    raise _with_remedy(error) from None
        raise failed

    def __len__(self) -> int:
        return len(self.items)

    def __getitems__(self, positions: Sequence[int]) -> Decoded:
        """Some images in one tensor, which a worker returns as one piece.

        Errors are returned too: raised in a worker, they would be wrapped in its traceback.
        """
        channels, height, width = self.image_shape
        pixels = np.zeros((len(positions), height, width, channels), np.uint8)
        bad = {}
        for index, position in enumerate(positions):
            try:
                pixels[index] = self._decode(_plain(self.items[position]))
            except DeepcorrectError as error:
                bad[index] = error
        return Decoded(torch.from_numpy(pixels).permute(0, 3, 1, 2), bad)

    def _decode(self, item: str | int) -> np.ndarray:
        name = readable(f"{self.source}{item}")
        pixels = decode(name, partial(self.open, item), self.resize, self.grey)
        channels, expected_height, expected_width = self.image_shape
        if pixels.shape != (expected_height, expected_width, channels):
            height, width, _ = pixels.shape
            raise DeepcorrectError(
                f"{name}: {width}x{height} pixels, others {expected_width}x{expected_height}; give "
                f"{argument('resize', option='size')} to bring all to one size"
            )
        return pixels

    def take(self, positions: Tensor) -> Stream:
        """The images at some positions."""
        return replace(self, items=self.items[positions.numpy()])

    def decoded(self, groups: Sequence[Tensor], *, ahead: int = 0) -> Iterator[Decoded]:
        """Group after group of images; workers are at least ``ahead`` groups before the reader.

        Raises:
            DeepcorrectError: a worker cannot be started, or was ended.
        """
        positions = [group.tolist() for group in groups]
        workers = min(self.workers, len(positions)) if len(positions) > 1 else 0
        if workers:
            yield from read_ahead(self, positions, workers, ahead=ahead)
        else:
            yield from map(self.__getitems__, positions)


@dataclass(frozen=True, repr=False)
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

        The workers decode each group in pieces, several at a time, and work ahead on the next group.

        Raises:
            DeepcorrectError: an image cannot be decoded.
        """
        pieces = [group.tensor_split(max(1, -(-len(group) // READ_AT_ONCE))) for group in groups]
        decoded = self.stream.decoded([piece for parts in pieces for piece in parts], ahead=max(map(len, pieces), default=0))
        for group, parts in zip(groups, pieces, strict=True):
            yield self._together(len(group), islice(decoded, len(parts)))

    def _together(self, count: int, pieces: Iterable[Decoded]) -> Tensor:
        """One tensor, in a memory mapping of its own, so that such a large block does not fragment the heap."""
        channels, height, width = self.stream.image_shape
        size = count * height * width * channels
        mapped = torch.frombuffer(mmap(-1, max(1, size)), dtype=torch.uint8)[:size]
        pixels = mapped.view(count, height, width, channels).permute(0, 3, 1, 2)
        start = 0
        for piece in map(_sound, pieces):
            pixels[start : start + len(piece)] = piece
            start += len(piece)
        return pixels

    def without_bad(self, warn: Callable[[str], None]) -> StreamedSet:
        """Decode every image once, and leave out those that cannot be decoded; ``warn`` is told why. Indices count anew."""
        good = torch.ones(len(self), dtype=torch.bool)
        groups = _in_order(len(self))
        for group, decoded in zip(groups, self.stream.decoded(groups), strict=True):
            for index, error in decoded.bad.items():
                good[group[index]] = False
                warn(f"skipped: {error}")
        return replace(self.take(good.nonzero()[:, 0]), indices=torch.arange(int(good.sum())))

    def held(self) -> ImageSet:
        """The same set with its images in memory."""
        images = torch.empty(self.shape, dtype=torch.uint8)
        groups = _in_order(len(self))
        for group, read in zip(groups, self.read(groups), strict=True):
            images[group] = read
        return ImageSet(images, self.labels, self.indices, self.file_names())

    def file_names(self) -> np.ndarray | None:
        """Those of the stream, if its items are files."""
        return self.stream.items if self.stream.items.dtype.kind == "S" else None

    def on(self, device: torch.device) -> StreamedSet:
        """The same set, its labels on a device."""
        return replace(self, labels=self.labels.to(device), indices=self.indices.to(device))

    def signature(self) -> bytes:
        """The names of the images, and how they are decoded."""
        rules = (DECODING, self.stream.source, self.stream.resize, self.stream.grey)
        return repr(rules).encode() + self.stream.items.tobytes()


def _received(pixels: np.ndarray, bad: dict[int, DeepcorrectError]) -> Decoded:
    return Decoded(torch.from_numpy(pixels).permute(0, 3, 1, 2), bad)


def _plain(item: Any) -> str | int:
    return os.fsdecode(item) if isinstance(item, bytes) else int(item)


def _sound(decoded: Decoded) -> Tensor:
    for error in decoded.bad.values():
        raise _with_remedy(error)
    return decoded.pixels


def _with_remedy(error: DeepcorrectError) -> DeepcorrectError:
    return DeepcorrectError(f"{error}; repair or remove it, or leave it out with {argument('skip_bad', True)}")


def _in_order(count: int) -> Sequence[Tensor]:
    groups: Sequence[Tensor] = torch.arange(count).split(READ_AT_ONCE)  # type: ignore[no-untyped-call]
    return groups
