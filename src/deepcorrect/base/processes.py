"""Several processes at one job, as ``accelerate launch`` and ``torchrun`` start them: whose part is which, sums over all."""

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
    """Which rows of a batch of ``whole`` rows a process has: ``start`` up to ``stop``.

    Random numbers are drawn for the whole batch, of which each process uses its part: they do not depend on how many share it.
    """

    start: int
    stop: int
    whole: int

    def of(self, values: Tensor) -> Tensor:
        """Its part of values that were drawn for the first rows of the batch, or for all."""
        return values[self.start : self.stop]


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
            raise DeepcorrectError(f"{argument('device', device)}: several processes take a GPU each; use auto, cuda or cpu")
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

    def part(self, rows: int) -> Part:
        """This process's part of a batch: rows that stand together, as many as the others have, or one more."""
        return Part(rows * self.rank // self.count, rows * (self.rank + 1) // self.count, rows)

    def average(self, module: nn.Module) -> None:
        """Bring a module's floating-point buffers to their mean over all processes."""
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
        """What the first process has there."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]  # type: ignore[no-any-return]
