"""Random numbers of each image of a batch, by name."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Shape = tuple[int, ...]


class Streams:
    """What a random distortion draws from: a stream of random numbers for every image and name.

    ``streams.normal("flakes", (H, W))`` are (B, H, W) numbers. They depend on an image's key, the name and the shape alone: not
    on the other images, on what was drawn before, or on the device. The same call gives the same numbers again.
    """

    def __init__(self, keys: Sequence[tuple[int, ...]], images: Tensor, prefix: str = "") -> None:
        """Streams for the images of a batch.

        Args:
            keys: an image each, integers from 0 on.
            images: whose device and precision the numbers have.
            prefix: of all names.
        """
        self._keys = keys
        self._images = images
        self._prefix = prefix

    @classmethod
    def of_images(cls, seed: int, indices: Iterable[int], severity: float, images: Tensor) -> Streams:
        """For evaluation: the key of an image is (seed, its index in the data, severity)."""
        bits = struct.unpack("<Q", struct.pack("<d", severity))[0]
        return cls([(seed, index, bits) for index in indices], images)

    @classmethod
    def of_step(cls, keys: Tensor, images: Tensor) -> Streams:
        """For a step of training: (B,) keys, integers from 0 on, drawn for this step."""
        return cls([(key,) for key in keys.tolist()], images)

    def take(self, rows: Tensor, images: Tensor) -> Streams:
        """Those of some images of the batch: their row numbers, and what has become of them."""
        return Streams([self._keys[row] for row in rows.tolist()], images, self._prefix)

    def within(self, name: str) -> Streams:
        """Streams of the same images under names of their own: those of one step of several."""
        return Streams(self._keys, self._images, f"{self._prefix}{name}/")

    def normal(self, name: str, shape: Shape = ()) -> Tensor:
        """Standard normal numbers, (B, *shape)."""
        return self._filled(name, shape, lambda stream, row: stream.standard_normal(dtype=np.float32, out=row))

    def uniform(self, name: str, shape: Shape = (), low: float = 0.0, high: float = 1.0) -> Tensor:
        """Numbers spread evenly over [low, high), (B, *shape)."""
        drawn = self._filled(name, shape, lambda stream, row: stream.random(dtype=np.float32, out=row))
        return drawn if (low, high) == (0, 1) else drawn * (high - low) + low

    def integers(self, name: str, low: int, high: int, shape: Shape = ()) -> Tensor:
        """Integers from ``low`` up to, but not including, ``high``, (B, *shape) int64."""
        dtype = next(
            kind for kind in (np.int8, np.int32, np.int64) if np.iinfo(kind).min <= low and high - 1 <= np.iinfo(kind).max
        )
        drawn = np.asarray([stream.integers(low, high, shape, dtype) for stream in self.generators(name)], dtype=dtype)
        return torch.from_numpy(drawn.reshape(len(self._keys), *shape)).to(self._images.device, torch.int64)

    def poisson(self, name: str, rates: Tensor) -> Tensor:
        """Counts of a Poisson process, of the shape of ``rates`` (B, ...), its mean counts, 0 or more."""
        means = rates.detach().double().cpu().numpy()
        counts = [stream.poisson(mean) for stream, mean in zip(self.generators(name), means, strict=True)]
        return torch.from_numpy(np.asarray(counts).reshape(means.shape)).to(self._images)

    def generators(self, name: str) -> list[np.random.Generator]:
        """Each image's stream of this name, at its beginning: SFC64, and Philox where it has no name."""
        name = self._prefix + name
        seeds = [np.random.SeedSequence((*key, zlib.crc32(name.encode())) if name else key) for key in self._keys]
        return [np.random.Generator(np.random.SFC64(seed) if name else np.random.Philox(seed)) for seed in seeds]

    def _filled(self, name: str, shape: Shape, fill: Callable[[np.random.Generator, NDArray[np.float32]], object]) -> Tensor:
        drawn = np.empty((len(self._keys), math.prod(shape)), np.float32)
        for stream, row in zip(self.generators(name), drawn, strict=True):
            fill(stream, row)
        return torch.from_numpy(drawn.reshape(len(drawn), *shape)).to(self._images)
