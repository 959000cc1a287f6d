"""Is one network better than another, or is it chance: tests on accuracies by level and on answers image by image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

RESAMPLES = 10_000
CONFIDENCE = 0.95


def paired_t_test(first: Sequence[float], second: Sequence[float]) -> float:
    """The two-sided p-value of a paired t-test, as in the paper (section 5.1, Table 6).

    Args:
        first, second: accuracies of two networks at the same levels, of one distortion or of several behind each other.

    Returns:
        p in [0, 1]; NaN where all differences are equal, or there is but one: they have no spread to compare their mean with.
    """
    from scipy.stats import ttest_rel

    if np.ptp(np.subtract(first, second)) < 1e-12:
        return float("nan")
    return float(ttest_rel(first, second).pvalue)


def mcnemar(first: Tensor, second: Tensor) -> float:
    """The two-sided p-value of McNemar's exact test: of the images that one network alone gets right, is it half for each?

    Args:
        first, second: which of the same images each gets right, (N,) bool. They must be different images: those of one
            level, not those of several, at which the same images come again.

    Returns:
        p in [0, 1]; 1 where both get the same images right.
    """
    from scipy.stats import binomtest

    won, lost = int((first & ~second).sum()), int((second & ~first).sum())
    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def holm(probabilities: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjustment of some p-values: with those below 0.05 rejected, an error among all has a chance of at most 0.05."""
    adjusted = [0.0] * len(probabilities)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(probabilities)), key=probabilities.__getitem__)):
        largest = max(largest, min(1.0, (len(probabilities) - rank) * probabilities[index]))
        adjusted[index] = largest
    return tuple(adjusted)


def bootstrap_interval(right: Tensor, other: Tensor | None = None, *, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval (percentiles of 10,000 resamples) of a mean accuracy over levels, or of a difference of two.

    Images are resampled with all their levels and both networks' answers, because these depend on each other. The mean
    depends only on how often each number of right answers comes, which is multinomial: no image is drawn by itself.

    Args:
        right: which images a network gets right, (levels, N) bool.
        other: the same of another network, which is subtracted.

    Returns:
        (low, high), in [0, 1] or [-1, 1].
    """
    levels, images = right.shape
    scores = right.sum(0) if other is None else right.sum(0) - other.sum(0)
    values, counts = np.unique(scores.numpy(), return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(images, counts / images, size=RESAMPLES)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn @ values / (images * levels), (tail, 1 - tail))
    return float(low), float(high)
