"""Several processes at one job, as ``accelerate launch`` and ``torchrun`` start them: whose part is which, sums over all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from deepcorrect.errors import DeepcorrectError

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among those that share the work.

    Attributes:
        rank: its number, from 0 on.
        count: how many there are.
        device: its own GPU, where each has one.
    """

    rank: int = 0
    count: int = 1
    device: torch.device | None = None

    @classmethod
    def launched(cls, device: str) -> Processes:
        """Join those that were launched together, if any were.

        Args:
            device: ``auto`` gives each process a GPU of its own where there are any, ``cpu`` none.

        Raises:
            DeepcorrectError: one named GPU for several processes.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return cls()
        if device not in ("auto", "cpu", "cuda"):
            raise DeepcorrectError(f"--device {device}: several processes take a GPU each; use auto, cuda or cpu")
        from accelerate import PartialState

        state = PartialState(cpu=device == "cpu")
        return cls(state.process_index, state.num_processes, state.device)

    @property
    def first(self) -> bool:
        """Whether this one speaks and writes for all."""
        return self.rank == 0

    def mine(self, parts: Sequence[T]) -> Sequence[T]:
        """Those parts of the work that are this process's."""
        return parts[self.rank :: self.count]

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes; exact where all but one have zeros. On the CPU."""
        if self.count == 1:
            return values.cpu()
        from accelerate.utils import reduce

        summed: Tensor = reduce(values.to(self.device), reduction="sum")
        return summed.cpu()

    def agreed(self, value: T) -> T:
        """What the first process has there."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]  # type: ignore[no-any-return]
