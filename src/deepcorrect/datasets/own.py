"""A user's own map-style data set: its items are read when they are needed, in worker processes if there are any."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from deepcorrect.base.errors import DeepcorrectError, first_line
from deepcorrect.base.seeding import Use, own_random_state
from deepcorrect.datasets.images import UNLABELLED, Images, ImageSet
from deepcorrect.datasets.items import Item, first_of, item_of
from deepcorrect.datasets.pixels import Normalization
from deepcorrect.datasets.streaming import READ_AT_ONCE
from deepcorrect.datasets.workers import read_ahead

SIGNED = 2000
"""How many images tell a data set from others: reading all of a large one takes as long as an epoch."""


class Read(NamedTuple):
    """Some items: images (B, C, H, W), or (B, 0) of labels alone, labels (B,), and the first error, if any."""

    pixels: Tensor
    labels: np.ndarray
    error: DeepcorrectError | None

    def __reduce__(self) -> tuple[object, ...]:
        """As arrays, through a pipe: tensors would take /dev/shm, which is small in containers."""
        return _received, (self.pixels.numpy(), self.labels, self.error)


def _received(pixels: np.ndarray, labels: np.ndarray, error: DeepcorrectError | None) -> Read:
    return Read(torch.from_numpy(pixels), labels, error)


@dataclass(frozen=True, eq=False)
class Items:
    """Some items of a data set, to be read in groups.

    Attributes:
        source: has ``__getitem__`` and ``__len__``.
        name: of the data set, for messages.
        positions: (N,), int64, of these items in the source.
        known: (N,), int64, their labels, with which those that are read are compared; None where they are not known yet.
        collate: of a ``DataLoader``, applied to every item alone; None for the default one.
        normalization: how floating-point images are normalised.
        image_shape: (C, H, W) of every image; None before the first is read.
        dtype: uint8 or float32.
        workers: processes that read; without any, the calling process does.
        worker_init: called with a worker's number before it reads its first item.
        draw: names the random numbers of the items' transforms, together with an item's position.
        only_labels: whether images are left out as they are handed over.
    """

    source: Any
    name: str
    positions: np.ndarray
    known: np.ndarray | None = None
    collate: Callable[[list[Any]], Any] | None = None
    normalization: Normalization | None = None
    image_shape: tuple[int, int, int] | None = None
    dtype: torch.dtype = torch.uint8
    workers: int = 0
    worker_init: Callable[[int], None] | None = None
    draw: tuple[int, ...] = (0, int(Use.ITEM))
    only_labels: bool = False

    def __len__(self) -> int:
        return len(self.positions)

    def item(self, place: int) -> Item:
        """One item, with the global random generators seeded for it.

        Raises:
            DeepcorrectError: the data set fails, or the item is not like the first one.
        """
        position = int(self.positions[place])
        name = f"{self.name}: item {position}"
        seed_globally(*self.draw, position + 1)  # a zero at the end would name the same numbers without it
        try:
            value = self.source[position]
            if self.collate is not None:
                value = first_of(self.collate([value]), name)
        except DeepcorrectError:
            raise
        except Exception as error:  # a data set may raise anything
            raise DeepcorrectError(f"{name} cannot be read: {type(error).__name__}: {first_line(error)}") from None
        item = item_of(value, name, self.normalization)
        self._require_alike(item, name)
        if self.known is not None and item.label != self.known[place]:
            raise DeepcorrectError(
                f"{name}: its label is {item.label}, but the data set lists {int(self.known[place])} for it (in .targets or "
                ".labels); let both say the same, or wrap the data set in one without that list"
            )
        return item

    def _require_alike(self, item: Item, name: str) -> None:
        if self.image_shape is None:
            return
        if item.pixels.shape != self.image_shape:
            here, others = ("x".join(str(side) for side in shape) for shape in (item.pixels.shape, self.image_shape))
            raise DeepcorrectError(
                f"{name}: {here} values (channels, height, width), others {others}; let a transform bring all to one size"
            )
        if item.pixels.dtype != self.dtype:
            here, others = (str(dtype).removeprefix("torch.") for dtype in (item.pixels.dtype, self.dtype))
            raise DeepcorrectError(f"{name}: {here} numbers, others {others}; let a transform make all images alike")

    def __getitems__(self, places: Sequence[int]) -> Read:
        """Some items in one tensor. An error is handed over too: what a worker raises would lose its one line."""
        assert self.image_shape is not None
        worker = get_worker_info()
        shape = (0,) if self.only_labels else self.image_shape
        pixels = torch.zeros((len(places), *shape), dtype=self.dtype)
        labels = np.full(len(places), UNLABELLED, np.int64)
        with own_random_state(0) if worker is None else nullcontext():
            for row, place in enumerate(places):
                try:
                    if worker is not None:
                        self._begin(worker.id)
                    item = self.item(place)
                except DeepcorrectError as error:
                    return Read(pixels, labels, error)
                labels[row] = item.label
                if not self.only_labels:
                    pixels[row] = item.pixels
        return Read(pixels, labels, None)

    def _begin(self, worker: int) -> None:
        """Let the user's function prepare a worker, once."""
        if self.worker_init is None or _begun:
            return
        _begun.append(worker)
        try:
            self.worker_init(worker)
        except Exception as error:
            raise DeepcorrectError(f"{self.name}: worker_init_fn fails: {type(error).__name__}: {first_line(error)}") from None

    def read(self, groups: Sequence[Tensor], *, ahead: int = 0) -> Iterator[Read]:
        """Group after group of items; workers are at least ``ahead`` groups before the reader.

        Raises:
            DeepcorrectError: an item cannot be read, or a worker cannot be started or was ended.
        """
        places = [group.tolist() for group in groups]
        workers = min(self.workers, len(places)) if len(places) > 1 else 0
        for read in read_ahead(self, places, workers, ahead=ahead) if workers else map(self.__getitems__, places):
            if read.error is not None:
                raise read.error
            yield read

    def take(self, places: Tensor) -> Items:
        """The items at some places."""
        chosen = places.cpu().numpy()
        return replace(self, positions=self.positions[chosen], known=None if self.known is None else self.known[chosen])


_begun: list[int] = []
"""The number of this process among the workers, once it has begun."""


def seed_globally(*name: int) -> None:
    """Seed the generators that transforms draw from: torch's, NumPy's and Python's."""
    state = np.random.SeedSequence(name).generate_state(2, np.uint64)
    torch.default_generator.manual_seed(int(state[0] >> np.uint64(1)))
    np.random.seed(int(state[1] & np.uint64(2**32 - 1)))
    random.seed(int(state[1]))


@dataclass(frozen=True, eq=False)
class ItemSet(Images):
    """Images of a user's data set that are read when they are needed.

    Attributes:
        items: where they come from.
        random: whether a transform draws random numbers, so that every pass of a training sees other images.
    """

    items: Items
    labels: Tensor
    indices: Tensor
    random: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        assert self.items.image_shape is not None
        return (len(self.items), *self.items.image_shape)

    def take(self, positions: Tensor) -> ItemSet:
        """The images at ``positions``, with their own indices."""
        return replace(
            self, items=self.items.take(positions), labels=self.labels[positions], indices=self.indices[positions]
        )  # fmt: skip

    def read(self, groups: Sequence[Tensor]) -> Iterator[Tensor]:
        """Group after group of images at the given positions, (B, C, H, W).

        Raises:
            DeepcorrectError: an item cannot be read.
        """
        pieces = [group.tensor_split(max(1, -(-len(group) // READ_AT_ONCE))) for group in groups]
        read = self.items.read([piece for parts in pieces for piece in parts], ahead=max(map(len, pieces), default=0))
        for group, parts in zip(groups, pieces, strict=True):
            yield self._together(len(group), islice(read, len(parts)))

    def _together(self, count: int, pieces: Iterable[Read]) -> Tensor:
        images = torch.empty((count, *self.shape[1:]), dtype=self.items.dtype)
        start = 0
        for piece in pieces:
            images[start : start + len(piece.pixels)] = piece.pixels
            start += len(piece.pixels)
        return images

    def held(self) -> ImageSet:
        """The same set with its images in memory."""
        every = torch.arange(len(self))
        (images,) = self.read([every]) if len(self) else (torch.empty(self.shape, dtype=self.items.dtype),)
        return ImageSet(images, self.labels, self.indices)

    def on(self, device: torch.device) -> ItemSet:
        """The same set, its labels on a device."""
        return replace(self, labels=self.labels.to(device), indices=self.indices.to(device))

    def of_pass(self, seed: int, *index: int) -> ItemSet:
        """The images as one pass of a training sees them: (seed, pass, item) name the random numbers of their transforms."""
        if not self.random:
            return self
        draw = (seed, int(Use.ITEM), *(number + 1 for number in index))
        return replace(self, items=replace(self.items, draw=draw))

    def signature(self) -> bytes:
        """The pixels of ``SIGNED`` images, evenly spread, or of all if there are no more."""
        places = torch.linspace(0, len(self) - 1, min(SIGNED, len(self)), dtype=torch.float64).round().long()
        digest = hashlib.sha256(repr((self.shape, self.items.dtype)).encode())
        for images in self.read(places.split(READ_AT_ONCE)):  # type: ignore[no-untyped-call]
            digest.update(images.numpy().tobytes())
        return digest.digest()
