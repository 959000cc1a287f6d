"""Processes that share one job, started by ``accelerate launch`` or ``torchrun``: each one's part, and sums over all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument

T = TypeVar("T")


class Part(NamedTuple):
    """The rows of a batch of ``whole`` rows that one process works on: ``start`` up to, but not including, ``stop``.

    Random numbers are drawn for the whole batch, and each process uses those of its part, so they do not depend on how many
    processes there are.
    """

    start: int
    stop: int
    whole: int

    def of(self, values: Tensor) -> Tensor:
        """These rows, (rows, ...), of values that were drawn for the whole batch, (whole, ...), or for its first rows."""
        return values[self.start : self.stop]


@dataclass(frozen=True)
class Processes:
    """This process, and how many share the work.

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
        """Join the processes that were launched together, if there are several.

        Args:
            device: ``auto`` gives each process a GPU of its own where there are any, ``cpu`` none.

        Raises:
            DeepcorrectError: one named GPU for several processes.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return cls()
        if device not in ("auto", "cpu", "cuda"):
            raise DeepcorrectError(f"{argument('device', device)}: several processes take a GPU each; use auto, cuda or cpu")
        from accelerate import PartialState

        state = PartialState(cpu=device == "cpu")
        return cls(state.process_index, state.num_processes, state.device)

    @property
    def first(self) -> bool:
        """Whether this process prints and writes files for all."""
        return self.rank == 0

    def mine(self, parts: Sequence[T]) -> Sequence[T]:
        """The parts of the work that this process does: every ``count``-th."""
        return parts[self.rank :: self.count]

    def part(self, rows: int) -> Part:
        """This process's part of a batch of so many rows: consecutive rows, at most one more than another process has."""
        return Part(rows * self.rank // self.count, rows * (self.rank + 1) // self.count, rows)

    def average(self, module: nn.Module) -> None:
        """Replace a module's floating-point buffers by their mean over all processes."""
        if self.count > 1:
            for buffer in module.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(self._summed(buffer.clone()) / self.count)

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give each parameter the sum of its gradients over all processes."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = self._summed(torch.cat([gradient.flatten() for gradient in gradients]))
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, summed in zip(gradients, torch.split(flat, sizes), strict=True):
            gradient.copy_(summed.view_as(gradient))

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes; exact where all but one have zeros. On the CPU."""
        return self._summed(values).cpu()

    def _summed(self, values: Tensor) -> Tensor:
        if self.count == 1:
            return values
        from accelerate.utils import reduce

        summed: Tensor = reduce(values.to(self.device), reduction="sum")
        return summed

    def agreed(self, value: T) -> T:
        """The first process's value, in every process."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]  # type: ignore[no-any-return]
