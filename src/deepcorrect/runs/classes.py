"""Accuracy in each class, and two networks compared by it (Figure 11)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from deepcorrect.runs.results import Record


def class_means(record: Record) -> list[float | None]:
    """Accuracy in each class, mean over the levels, in [0, 1]; None for a class without images."""
    columns = zip(*record.per_class, strict=True)
    return [None if None in column else fmean(value for value in column if value is not None) for column in columns]


def class_differences(first: Sequence[float | None], second: Sequence[float | None]) -> dict[int, float]:
    """Accuracy of the first network minus that of the second, by label; exactly 0 where only rounding differs.

    Args:
        first, second: accuracy in each class; classes for which either has None are left out.
    """
    pairs = enumerate(zip(first, second, strict=True))
    differences = {label: ours - theirs for label, (ours, theirs) in pairs if ours is not None and theirs is not None}
    return {label: 0.0 if abs(difference) < 1e-9 else difference for label, difference in differences.items()}


def class_counts(first: Sequence[float | None], second: Sequence[float | None]) -> tuple[int, int, int]:
    """In how many classes the first network is better than the second, worse, and equal.

    Args:
        first, second: accuracy in each class; None for a class without images, which does not count.
    """
    differences = class_differences(first, second)
    won = sum(difference > 0 for difference in differences.values())
    lost = sum(difference < 0 for difference in differences.values())
    return won, lost, len(differences) - won - lost
