"""Every random number comes from a seed, a use and a place, never from hidden state.

A stream is named by the seed, what it is for, and where (epoch, step, layer ...). Equal names give equal numbers, whatever was
drawn before, so that an interrupted run continues with the numbers of an uninterrupted one.
"""

from __future__ import annotations

import struct
from enum import IntEnum

import numpy as np
import torch

LARGEST_SEED = 2**32 - 1


class Use(IntEnum):
    """What a stream is for; different uses share no numbers."""

    SPLIT = 0
    SUBSET = 1
    SAMPLES = 2
    UNITS = 3
    ORDER = 4
    STEP = 5
    DRAW = 6
    HALVES = 7


def generator(seed: int, use: Use, *place: int, device: torch.device | str = "cpu") -> torch.Generator:
    """The stream of a seed (0 to ``LARGEST_SEED``), a use and a place (numbers from 0 on), on ``device``."""
    name = (seed, use, *(number + 1 for number in place))  # a zero at the end would name the stream without it
    state = np.random.SeedSequence(name).generate_state(1, np.uint64)[0] >> np.uint64(1)
    return torch.Generator(device).manual_seed(int(state))


def normal_field(seed: int, index: int, severity: float, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers (float32, ``shape``) that depend on (seed, image index, severity) alone."""
    bits = struct.unpack("<Q", struct.pack("<d", severity))[0]
    stream = np.random.Philox(np.random.SeedSequence((seed, index, bits)))
    return np.random.Generator(stream).standard_normal(shape, dtype=np.float32)
