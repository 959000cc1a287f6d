"""How long work tells its caller where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class EpochMetrics:
    """What one epoch came to: batches by its end, mean training loss, last learning rate, validation top-1 by level, speed."""

    epoch: int
    steps: int
    loss: float
    rate: float
    validation_top1: tuple[float, ...]
    images_per_second: float
    seconds: float

    @property
    def validation_mean(self) -> float:
        """Mean over the levels; the epoch where it is highest gives the final weights."""
        return sum(self.validation_top1) / len(self.validation_top1)


class Reporter(Protocol):
    """Told how far a job is."""

    def stage(self, name: str, total: int) -> None:
        """A stage of ``total`` steps begins."""

    def advance(self, steps: int) -> None:
        """So many more steps of it are done."""

    def epochs(self, history: Sequence[EpochMetrics]) -> None:
        """A training epoch is over: the last of ``history``."""

    def tell(self, message: str) -> None:
        """Something that the user should know by now."""


class Silent:
    """Reports nothing."""

    def stage(self, name: str, total: int) -> None:
        """Nothing."""

    def advance(self, steps: int) -> None:
        """Nothing."""

    def epochs(self, history: Sequence[EpochMetrics]) -> None:
        """Nothing."""

    def tell(self, message: str) -> None:
        """Nothing."""
