"""Counts of photons: Poisson numbers, most of them looked up."""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import pdtr
from torch import Tensor

from deepcorrect.distortions.streams import Streams

_LEVELS = 256
_CELLS = 1024
_NEGLIGIBLE = 1e-3
"""A mean number of photons, and a share of a grey level."""


def photons(images: Tensor, largest: float, streams: Streams) -> Tensor:
    """Poisson distributed numbers of photons, whose means are ``largest * images``, in the precision of the images.

    A sum of Poisson numbers is one whose mean is the sum of theirs. So the means are taken apart into digits of base 255, of
    which images of 256 grey levels have a single one, and there is a table for each.

    Args:
        images: (B, C, H, W), clipped to [0, 1].
        largest: mean number of photons in a white pixel, above 0.
        streams: of the photons.
    """
    shares = images.clamp(0, 1).float().cpu().flatten(1).numpy()
    counts = [_counted(*each, largest) for each in zip(shares, streams.generators("photons"), strict=True)]
    return torch.from_numpy(np.stack(counts)).view(images.shape).to(images)


def _counted(shares: NDArray[np.float32], stream: np.random.Generator, largest: float) -> NDArray[np.int16]:
    scaled = shares * np.float32(_LEVELS - 1)
    levels = (scaled + np.float32(_NEGLIGIBLE)).astype(np.int32)
    counts = _Table.of(largest).counts(levels, stream)
    scaled -= levels.astype(np.float32)
    finest = largest / (_LEVELS - 1)
    if finest > _NEGLIGIBLE and scaled.max() > 2 * _NEGLIGIBLE:
        counts += _counted(scaled.clip(0, 1), stream, finest)
    return counts


class _Table:
    """Counts by grey level and by the cell of [0, 1) in which a random number lies; -1 where they differ within the cell."""

    def __init__(self, largest: float) -> None:
        means = np.linspace(0, largest, _LEVELS)[:, None]
        self._cumulative = pdtr(np.arange(int(largest + 10 * largest**0.5) + 20), means)
        edges = np.arange(_CELLS + 1) / _CELLS
        lowest = np.stack([row.searchsorted(edges[:-1], "right") for row in self._cumulative])
        highest = np.stack([row.searchsorted(edges[1:], "left") for row in self._cumulative])
        self._counts = np.where(lowest == highest, lowest, -1).astype(np.int16)
        self._sorted = (self._cumulative + np.arange(_LEVELS)[:, None]).ravel()

    @classmethod
    @functools.lru_cache(maxsize=64)
    def of(cls, largest: float) -> _Table:
        return cls(largest)

    def counts(self, levels: NDArray[np.int32], stream: np.random.Generator) -> NDArray[np.int16]:
        """Draw a count for each pixel's grey level, (pixels,)."""
        cells = stream.integers(0, _CELLS, len(levels), dtype=np.uint16)
        counts = self._counts.take(levels * np.int32(_CELLS) + cells)
        unsure = np.flatnonzero(counts < 0)
        levels = levels.take(unsure)
        drawn = (cells.take(unsure) + stream.random(len(unsure))) / _CELLS
        counts[unsure] = self._sorted.searchsorted(levels + drawn, "right") - levels * self._cumulative.shape[1]
        return counts
