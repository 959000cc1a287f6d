"""Every random number comes from a seed, a use and an index, never from hidden state.

A stream is named by the seed, what it is used for, and an index (epoch, step, layer ...). The same name gives the same numbers
whatever was drawn before, so an interrupted run continues with the numbers of an uninterrupted one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
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
    NETWORK = 8
    ITEM = 9


def generator(seed: int, use: Use, *index: int, device: torch.device | str = "cpu") -> torch.Generator:
    """The stream of a seed (0 to ``LARGEST_SEED``), a use and an index (any count of numbers from 0 on), on ``device``."""
    name = (
        seed,
        use,
        *(number + 1 for number in index),
    )  # without the 1, (seed, use, 0) would name the same stream as (seed, use)
    state = np.random.SeedSequence(name).generate_state(1, np.uint64)[0] >> np.uint64(1)
    return torch.Generator(device).manual_seed(int(state))


@contextmanager
def own_random_state(seed: int) -> Iterator[None]:
    """Seed torch's global generators for code that draws from them, such as a network's constructor; on exit these generators,
    NumPy's and Python's are as they were before."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    before, numpy, python = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        torch.manual_seed(seed)
        yield
    finally:
        torch.set_rng_state(before)
        np.random.set_state(numpy)
        random.setstate(python)
        if mps is not None:
            torch.mps.set_rng_state(mps)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        else:  # what a GPU will start from is seeded together with the CPU
            torch.cuda.manual_seed_all(torch.initial_seed())
