"""Random numbers of each image of a batch, by name."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
import torch
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
        return self._stacked([stream.standard_normal(shape, dtype=np.float32) for stream in self.generators(name)], shape)

    def uniform(self, name: str, shape: Shape = (), low: float = 0.0, high: float = 1.0) -> Tensor:
        """Numbers spread evenly over [low, high), (B, *shape)."""
        drawn = self._stacked([stream.random(shape, dtype=np.float32) for stream in self.generators(name)], shape)
        return drawn * (high - low) + low

    def integers(self, name: str, low: int, high: int, shape: Shape = ()) -> Tensor:
        """Integers from ``low`` up to, but not including, ``high``, (B, *shape) int64."""
        drawn = np.asarray([stream.integers(low, high, shape) for stream in self.generators(name)], dtype=np.int64)
        return torch.from_numpy(drawn.reshape(len(self._keys), *shape)).to(self._images.device)

    def poisson(self, name: str, rates: Tensor) -> Tensor:
        """Counts of a Poisson process, of the shape of ``rates`` (B, ...), its mean counts, 0 or more."""
        means = rates.detach().double().cpu().numpy()
        counts = [stream.poisson(mean) for stream, mean in zip(self.generators(name), means, strict=True)]
        return self._stacked(counts, rates.shape[1:])

    def generators(self, name: str) -> list[np.random.Generator]:
        """Each image's stream of this name, at its beginning."""
        name = self._prefix + name
        named = (zlib.crc32(name.encode()),) if name else ()
        return [np.random.Generator(np.random.Philox(np.random.SeedSequence((*key, *named)))) for key in self._keys]

    def _stacked(self, drawn: Sequence[object], shape: Sequence[int]) -> Tensor:
        return torch.from_numpy(np.asarray(drawn).reshape(len(drawn), *shape)).to(self._images)
