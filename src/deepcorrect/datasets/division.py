"""Seeded ways to divide labelled images into those for training, for validation and for testing."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.seeding import Use, generator
from deepcorrect.base.words import argument
from deepcorrect.datasets.images import UNLABELLED, Images, rank_within_class

TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1

Kind = TypeVar("Kind", bound=Images)


class Counts(NamedTuple):
    """How many images of every class are for training and for validation, by which seed; the rest is for testing."""

    train: int
    validation: int
    seed: int = 0


def split(source: Kind, share: float, seed: int) -> tuple[Kind, Kind]:
    """Set ``share`` of every class aside (rounded, at least one image where a class has two): (rest, set aside)."""
    shuffled = torch.randperm(len(source), generator=generator(seed, Use.SPLIT))
    labels = source.labels[shuffled] - UNLABELLED  # images without labels are divided as one class
    sizes = torch.bincount(labels)
    quota = (sizes * share).round().clamp_min(1).minimum((sizes - 1).clamp_min(0))
    aside = rank_within_class(labels) < quota[labels]
    return source.take(shuffled[~aside].sort().values), source.take(shuffled[aside].sort().values)


def draw(labels: Tensor, counts: Counts) -> tuple[Tensor, Tensor, Tensor]:
    """Positions of so many images of every class for training and for validation, and of the rest, drawn by their seed."""
    shuffled = torch.randperm(len(labels), generator=generator(counts.seed, Use.SPLIT))
    rank = rank_within_class(labels[shuffled])
    ends = (0, counts.train, counts.train + counts.validation, len(labels))
    train, validation, test = (shuffled[(rank >= start) & (rank < end)].sort().values for start, end in pairwise(ends))
    return train, validation, test


def divide(parts: Mapping[str, Kind], counts: Counts | None = None) -> tuple[Kind, Kind, Kind]:
    """Training, validation and test images from those under ``train``, ``val`` and ``test``, or under any one name.

    Of only one part, a fifth of every class is set aside for testing and a tenth for validation, always the same ones, or as
    ``counts`` say. Where only one of ``val`` and ``test`` is there, it is tested on, and a tenth of the training images
    validates. Without ``train``, ``val`` and ``test`` are as they are, and nothing is trained on.

    Raises:
        DeepcorrectError: counts for images that are divided already.
    """
    if counts is not None:
        if len(parts) > 1:
            raise DeepcorrectError(
                f"{argument('counts', option='split')}: these images are divided already, into {', '.join(parts)}"
            )
        source = next(iter(parts.values()))
        train, validation, test = (source.take(positions) for positions in draw(source.labels, counts))
        return train, validation, test
    if len(parts) == 3:
        return parts["train"], parts["val"], parts["test"]
    if len(parts) == 2 and "train" not in parts:
        return parts["val"].take(torch.arange(0)), parts["val"], parts["test"]
    if len(parts) == 2:
        train, validation = split(parts["train"], VALIDATION_SHARE, seed=0)
        return train, validation, parts["test"] if "test" in parts else parts["val"]
    rest, test = split(next(iter(parts.values())), TEST_SHARE, seed=0)
    train, validation = split(rest, VALIDATION_SHARE / (1 - TEST_SHARE), seed=0)
    return train, validation, test
