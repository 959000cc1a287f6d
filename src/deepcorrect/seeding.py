"""Every random number comes from a seed and the place where it is used, never from hidden state.

A stream is named by integers (seed, epoch, step, image index ...). Equal names give equal numbers, whatever was drawn
before, so that an interrupted run continues with the numbers of an uninterrupted one.
"""

from __future__ import annotations

import struct

import numpy as np
import torch


def mix(*parts: int) -> int:
    """A 63-bit seed from non-negative integers; different parts give unrelated seeds."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def generator(*parts: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator on ``device`` for the stream named by ``parts``."""
    return torch.Generator(device).manual_seed(mix(*parts))


def normal_field(seed: int, index: int, severity: float, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers (float32, ``shape``) that depend on (seed, image index, severity) alone."""
    bits = struct.unpack("<Q", struct.pack("<d", severity))[0]
    stream = np.random.Philox(np.random.SeedSequence((seed, index, bits)))
    return np.random.Generator(stream).standard_normal(shape, dtype=np.float32)
