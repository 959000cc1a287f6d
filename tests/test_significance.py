from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from deepcorrect.evaluation.significance import bootstrap_interval, holm, mcnemar, paired_t_test


def test_the_t_test_is_that_of_the_textbook() -> None:
    first, second = [0.71, 0.70, 0.68, 0.65, 0.59, 0.55, 0.48], [0.70, 0.67, 0.64, 0.59, 0.51, 0.46, 0.38]
    gains = [one - other for one, other in zip(first, second, strict=True)]
    mean = sum(gains) / 7
    spread = math.sqrt(sum((gain - mean) ** 2 for gain in gains) / 6)
    expected = 2 * stats.t.sf(mean / (spread / math.sqrt(7)), df=6)
    assert paired_t_test(first, second) == pytest.approx(expected)
    assert paired_t_test(second, first) == pytest.approx(expected)


@pytest.mark.filterwarnings("error", "ignore::ResourceWarning")
@pytest.mark.parametrize("second", [[0.1, 0.4, 0.6], [0.2, 0.5, 0.7]])
def test_equal_differences_have_no_t_test(second: list[float]) -> None:
    assert math.isnan(paired_t_test([0.1, 0.4, 0.6], second))
    assert math.isnan(paired_t_test([0.3], [0.1]))


def answers(both: int, won: int, lost: int, neither: int) -> tuple[Tensor, Tensor]:
    """Which images two networks get right, so many of each kind."""
    counts = torch.tensor([both, won, lost, neither])
    first, second = torch.tensor([[True, True, False, False], [True, False, True, False]]).repeat_interleave(counts, 1)
    return first, second


@pytest.mark.parametrize(("won", "lost"), [(1, 9), (9, 1), (4, 4), (0, 6), (30, 55)])
def test_mcnemar_counts_the_ways_to_be_as_far_from_half(won: int, lost: int) -> None:
    total = won + lost
    ways = sum(math.comb(total, count) for count in range(total + 1) if abs(count - total / 2) >= abs(won - total / 2))
    assert mcnemar(*answers(5, won, lost, 7)) == pytest.approx(ways / 2**total)


def test_mcnemar_of_networks_that_fail_alike() -> None:
    assert mcnemar(*answers(5, 0, 0, 3)) == 1


def test_holm_rejects_what_the_step_down_procedure_rejects() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    found = np.random.default_rng(0).uniform(0, 0.2, 8).round(2)
    adjusted = holm(list(found))
    for alpha in np.linspace(0.013, 0.977, 40):
        rejected = set()
        for step, place in enumerate(np.argsort(found, kind="stable")):
            if found[place] > alpha / (len(found) - step):
                break
            rejected.add(place)
        assert {place for place, p in enumerate(adjusted) if p <= alpha} == rejected
    assert all(max(p, q) <= 1 and (p <= q) for (a, p), (b, q) in combinations(sorted(zip(found, adjusted, strict=True)), 2))


def test_the_interval_of_one_level_is_binomial() -> None:
    right = torch.arange(40)[None] < 26
    expected = [count / 40 for count in stats.binom.ppf((0.025, 0.975), 40, 0.65)]
    assert bootstrap_interval(right) == pytest.approx(expected)


def levels_of_a_network(seed: int, accuracies: tuple[float, ...], images: int) -> Tensor:
    """Which images are right at each level: one difficulty an image, so that the levels depend on each other."""
    difficulty = torch.rand(images, generator=torch.Generator().manual_seed(seed))
    return torch.stack([difficulty < accuracy for accuracy in accuracies])


def test_intervals_are_those_of_scipy_on_images() -> None:
    first = levels_of_a_network(0, (0.9, 0.7, 0.4), 150)
    second = levels_of_a_network(0, (0.85, 0.6, 0.2), 150) ^ (levels_of_a_network(1, (0.1, 0.1, 0.1), 150))
    ours, others = first.double().mean(0).numpy(), second.double().mean(0).numpy()
    for data, found in (((ours,), bootstrap_interval(first)), ((ours - others,), bootstrap_interval(first, second))):
        expected = stats.bootstrap(data, np.mean, method="percentile", n_resamples=20_000, rng=0)
        tolerance = 0.15 * expected.standard_error
        assert found == pytest.approx(tuple(expected.confidence_interval), abs=tolerance)
    apart = math.hypot(ours.std(), others.std())
    low, high = bootstrap_interval(first, second)
    assert high - low < 2 * 1.96 * apart / math.sqrt(150)


def test_an_interval_depends_on_its_seed_alone() -> None:
    right = levels_of_a_network(0, (0.9, 0.7, 0.4), 101)
    shuffled = right[:, torch.randperm(101, generator=torch.Generator().manual_seed(0))]
    assert bootstrap_interval(right, seed=3) == bootstrap_interval(shuffled, seed=3)
    assert bootstrap_interval(right, right) == (0, 0)
