"""Accuracy class by class, and two networks compared by it (Figure 11)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from deepcorrect.runs.results import Record


def class_means(record: Record) -> list[float | None]:
    """Mean accuracy over the levels of each class; None for a class without images."""
    columns = zip(*record.per_class, strict=True)
    return [None if None in column else fmean(value for value in column if value is not None) for column in columns]


def class_differences(first: Sequence[float | None], second: Sequence[float | None]) -> dict[int, float]:
    """What the first network is better by, for each class that both have; exactly 0 where they differ by rounding alone."""
    pairs = enumerate(zip(first, second, strict=True))
    found = {place: a - b for place, (a, b) in pairs if a is not None and b is not None}
    return {place: 0.0 if abs(difference) < 1e-9 else difference for place, difference in found.items()}


def class_counts(first: Sequence[float | None], second: Sequence[float | None]) -> tuple[int, int, int]:
    """How many classes the first network wins, loses and shares with the second.

    Args:
        first, second: accuracy on each class; None for a class without images, which does not count.
    """
    differences = class_differences(first, second)
    won = sum(difference > 0 for difference in differences.values())
    lost = sum(difference < 0 for difference in differences.values())
    return won, lost, len(differences) - won - lost
