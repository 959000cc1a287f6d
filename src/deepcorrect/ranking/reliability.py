"""How far a ranking is to be trusted: standard errors, and agreement with itself on other images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from deepcorrect.base.seeding import Use, generator
from deepcorrect.ranking.gains import GainMeter
from deepcorrect.ranking.mean_gains import MeanGains
from deepcorrect.ranking.result import Method, Ranking, Score
from deepcorrect.tasks.base import Task
from deepcorrect.tasks.classification import CLASSIFICATION

_HALVINGS = 20


def summarize_gains(
    meter: GainMeter,
    levels: Sequence[float],
    measured: MeanGains,
    score: Score,
    method: Method = "exact",
    order: Mapping[str, tuple[int, ...]] | None = None,
) -> Ranking:
    """The ranking by what a meter has measured."""
    name, members = meter.distortion.name, {name: tuple(before) for name, before in measured.members.items()}
    ranking = summarize(name, levels, meter.seed, measured.before, measured.gains, score, method, order, meter.task)
    return replace(ranking, members=members)


def summarize(
    distortion: str,
    levels: Sequence[float],
    seed: int,
    baseline: Sequence[float],
    gains: Mapping[str, Tensor],
    score: Score,
    method: Method = "exact",
    order: Mapping[str, tuple[int, ...]] | None = None,
    task: Task = CLASSIFICATION,
) -> Ranking:
    """The ranking by mean gains.

    Args:
        baseline: mean of the task's first score (top-1 accuracy) with nothing swapped, a level each.
        gains: by layer, (scores, filters, images), averaged over the levels; NaN for a score that was not measured.
        score: the one to rank by.
        order: of filters, where it is another than that of the scores.
        task: whose scores they are.
    """
    scores, chosen = task.scores, task.index_of(score)
    breaker = None if task.tie_breaker is None else task.index_of(task.tie_breaker)
    images = next(iter(gains.values())).shape[2]
    spread = images**0.5
    measured = [index for index in range(len(scores)) if not any(values[index].isnan().any() for values in gains.values())]
    return Ranking(
        distortion,
        tuple(float(level) for level in levels),
        images,
        seed,
        tuple(baseline),
        scores={name: _listed(values[chosen].mean(1)) for name, values in gains.items()},
        score=score,
        method=method,
        errors={name: _listed(values[chosen].std(1) / spread) for name, values in gains.items() if images > 1},
        margins={name: _listed(values[breaker].mean(1)) for name, values in gains.items() if breaker in measured},
        reliability={
            name: {scores[index]: agreed for index in measured if (agreed := reliability(values[index], seed)) is not None}
            for name, values in gains.items()
        },
        order=dict(order or {}),
    )


def reliability(gains: Tensor, seed: int) -> float | None:
    """The rank correlation of two rankings on halves of the images, stepped up to all of them (Spearman-Brown).

    Args:
        gains: (filters, images).
        seed: of the halvings, of which 20 are averaged.

    Returns:
        At most 1, and that of the halves where it is below 0; None for fewer than two images or filters, or where all filters
        are equal.
    """
    from scipy.stats import spearmanr

    filters, images = gains.shape
    if filters < 2 or images < 2:
        return None
    correlations = []
    for halving in range(_HALVINGS):
        order = torch.randperm(images, generator=generator(seed, Use.HALVES, halving))
        first, second = gains[:, order[: images // 2]].mean(1), gains[:, order[images // 2 :]].mean(1)
        if first.min() < first.max() and second.min() < second.max():
            correlations.append(float(spearmanr(first, second).statistic))
    if not correlations:
        return None
    half = sum(correlations) / len(correlations)
    return 2 * half / (1 + half) if half > 0 else half


def _listed(values: Tensor) -> tuple[float, ...]:
    return tuple(values.tolist())
