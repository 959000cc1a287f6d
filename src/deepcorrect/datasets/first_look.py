"""A first look at a user's data set: the shape of its images, whether they change from time to time, and all labels."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.seeding import Use, own_random_state
from deepcorrect.datasets.declared import declared_labels
from deepcorrect.datasets.images import HELD_BYTES, Images, ImageSet
from deepcorrect.datasets.own import Items, ItemSet, Read, seed_globally
from deepcorrect.datasets.streaming import READ_AT_ONCE

LOOKED_AT = 8
"""How many items are read several times over."""
DRAWS = 16
"""How often, where they draw random numbers: a transform of probability 0.1 then goes unnoticed once in a million."""
COMPARED = 64
"""How many listed labels are compared with the items', one of each class as far as that goes."""

REMEDY = "add Normalize(mean, std) to their transform, or give images in [0, 1] to a network that normalises inside"
"""For images that are said to be normalised, but are not."""


def look_at(items: Items, *, training: bool, hold: bool) -> Images:
    """The images of a data set, with their labels.

    Args:
        items: all of them, one at least; their shape is not known yet.
        training: whether images may change from one reading to the next, as a random transform makes them.
        hold: whether a small set is read into memory at once.

    Raises:
        DeepcorrectError: an item that is no image, images that change though these are not to be trained on, or that
            change even where the random numbers do not.
    """
    with own_random_state(0):
        first = items.item(0)
        channels, height, width = first.pixels.shape
        items = replace(items, image_shape=(channels, height, width), dtype=first.pixels.dtype)
        _require_normalized(items)
        changing = _changes(items)
        if changing and not training:
            raise DeepcorrectError(
                f"{items.name}: its images differ each time they are read (a random transform), but measuring and ranking need "
                "the same images each time: give the data set with the transform of validation"
            )
        listed = _confirmed(items)
    small = len(items) * math.prod((channels, height, width)) * first.pixels.element_size() <= HELD_BYTES
    if hold and small and not changing:
        return _held(items, listed)
    if listed is None:
        listed = _read_labels(items)
    return ItemSet(replace(items, known=listed), torch.from_numpy(listed), torch.arange(len(items)), changing)


def _places(items: Items) -> list[int]:
    """A few, evenly spread."""
    return sorted({round(place) for place in np.linspace(0, len(items) - 1, LOOKED_AT)})


def _require_normalized(items: Items) -> None:
    """Refuse images that are said to be normalised but evidently lie in [0, 1] already: none is darker than the mean."""
    if items.normalization is None or items.dtype == torch.uint8 or min(items.normalization.mean) <= 0:
        return
    as_given = replace(items, normalization=None)
    try:
        for place in _places(items):
            as_given.item(place)
    except DeepcorrectError:  # values outside [0, 1], which normalised images have
        return
    raise DeepcorrectError(
        f"{items.name}: its images lie in [0, 1] already, with no value below 0, so they are not normalised as NormalizedInput "
        f"is told; {REMEDY}"
    )


def _changes(items: Items) -> bool:
    """Whether images change with the random numbers.

    Raises:
        DeepcorrectError: they change where the random numbers do not.
    """
    changing = False
    for place in _places(items):
        pixels, drew = _drawn(items, place, 0)
        again, _ = _drawn(items, place, 0)
        if not torch.equal(pixels, again):
            raise DeepcorrectError(
                f"{items.name}: item {int(items.positions[place])} differs each time it is read, though the generators of "
                "torch, NumPy and Python are seeded alike: draw from these, or give the data set without augmentation (a "
                "recipe has its own)"
            )
        draws = range(1, DRAWS if drew and not changing else 2)
        changing = changing or any(not torch.equal(pixels, _drawn(items, place, draw)[0]) for draw in draws)
    return changing


def _drawn(items: Items, place: int, draw: int) -> tuple[Tensor, bool]:
    """An image by one choice of its random numbers, and whether it draws any."""
    name = (draw, int(Use.ITEM), 0)
    seed_globally(*name, int(items.positions[place]) + 1)
    before = _states()
    pixels = replace(items, draw=name).item(place).pixels
    return pixels, _states() != before


def _states() -> tuple[Any, ...]:
    return torch.get_rng_state().numpy().tobytes(), repr(np.random.get_state(legacy=False)["state"]), random.getstate()


def _confirmed(items: Items) -> np.ndarray | None:
    """The labels that the data set lists, if those of some items are the same."""
    listed = declared_labels(items.source)
    if listed is None or len(listed) != len(items):
        return None
    _, firsts = np.unique(listed, return_index=True)
    places = {*_places(items), *firsts[:COMPARED].tolist()}
    return listed if all(items.item(place).label == listed[place] for place in sorted(places)) else None


def _held(items: Items, listed: np.ndarray | None) -> ImageSet:
    """All images in memory, read once, with the labels that are listed or else those of the items."""
    shape = items.image_shape
    assert shape is not None
    items = replace(items, known=listed)
    images = torch.empty((len(items), *shape), dtype=items.dtype)
    labels = torch.empty(len(items), dtype=torch.int64)
    groups = torch.arange(len(items)).split(READ_AT_ONCE)  # type: ignore[no-untyped-call]
    for group, read in zip(groups, items.read(groups, ahead=1), strict=True):
        images[group], labels[group] = read.pixels, torch.from_numpy(read.labels)
    return ImageSet.whole(images, labels)


def _read_labels(items: Items) -> np.ndarray:
    """All labels; of the items, which are read once, nothing else is kept."""
    groups = torch.arange(len(items)).split(READ_AT_ONCE)  # type: ignore[no-untyped-call]
    reads: list[Read] = list(replace(items, only_labels=True).read(groups, ahead=1))
    return np.concatenate([read.labels for read in reads])
