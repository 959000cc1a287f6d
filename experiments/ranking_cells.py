"""The cells on rankings: how far rankings agree, and what ideal correction of the filters they choose would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from scipy.stats import spearmanr
from torch import Tensor

from deepcorrect.base.seeding import Use, generator
from deepcorrect.datasets.images import Images
from deepcorrect.distortions.base import Distortion
from deepcorrect.models.layers import Layer, named
from deepcorrect.pipeline.job import Job
from deepcorrect.ranking.attribution import attribute_filters
from deepcorrect.ranking.gain_files import GainFiles
from deepcorrect.ranking.gains import GainMeter
from deepcorrect.ranking.ideal import evaluate_ideal
from deepcorrect.ranking.joint import rank_jointly
from deepcorrect.ranking.reliability import summarize
from deepcorrect.ranking.result import SCORES, Score, count_of_share
from experiments.grid import CHOSEN_SHARES, corrected

COUNTS = (25, 50, 100, 250)
PAIRS = 20
TEST_IMAGES = 2000
BLOCK = 8
ESTIMATES: tuple[tuple[str, Score, int], ...] = (
    ("probability, 1 step", "probability", 1),
    ("probability, 4 steps", "probability", 4),
    ("margin, 1 step", "margin", 1),
    ("margin, 4 steps", "margin", 4),
)


def agreement(job: Job, meter: GainMeter, layer: Layer, levels: tuple[float, ...]) -> dict[str, Any]:
    """Spearman correlations of exact rankings on disjoint images, and of estimates with exact ones on the same images."""
    assert job.run is not None
    parts = GainFiles(meter, job.run.file("parts"))
    job.reporter.stage(f"rank {layer.name}", layer.filters * len(levels) * len(meter.images))
    gains = torch.stack([parts.measure(layer, level).each for level in levels]).double().mean(0)
    first, second = gains[:, :, 0::2], gains[:, :, 1::2]
    exact = {score: summarize("", levels, 0, (), {layer.name: first}, score) for score in SCORES}
    estimates = {}
    half = replace(meter, images=meter.images.take(torch.arange(0, len(meter.images), 2)))
    for name, score, steps in ESTIMATES:
        ranking = attribute_filters(half, levels, layers=[layer], score=score, steps=steps)
        estimates[name] = torch.tensor(ranking.scores[layer.name])
    return {
        "images": first.shape[2],
        "reliability": {
            score: {str(count): _reliability(each, count, job.seed) for count in COUNTS}
            for score, each in zip(SCORES, gains, strict=True)
        },
        "agreement": {
            score: {"other images": _compared(mine.mean(1), other.mean(1))}
            | {name: _compared(mine.mean(1), estimated) for name, estimated in estimates.items()}
            for score, mine, other in zip(SCORES, first, second, strict=True)
        },
        "orders": {score: ranking.local(layer.name) for score, ranking in exact.items()}
        | {name: estimated.argsort(descending=True, stable=True).tolist() for name, estimated in estimates.items()},
    }


def choices(job: Job, meter: GainMeter, layer: Layer, levels: tuple[float, ...], ranked: Sequence[int]) -> dict[str, Any]:
    """Ideal correction on test images with shares of a layer chosen by the paper's ranking and others, and at random."""
    assert job.run is not None
    counts = [count_of_share(share, layer.filters, layer.name) for share in CHOSEN_SHARES]
    pairs = layer.filters * len(levels) * len(meter.images)
    most = corrected(layer.filters)
    job.reporter.stage(f"choose filters of {layer.name}", -(-most // BLOCK) * pairs)
    together = rank_jointly(
        meter, levels, layers=[layer], counts={layer.name: most}, block=BLOCK, kept=job.run.file("chosen.json")
    )  # fmt: skip
    estimated = attribute_filters(meter, levels, layers=[layer])
    orders = {
        "top1": list(ranked),
        "attribution": list(estimated.local(layer.name)),
        "joint": list(together.local(layer.name)),
        "random": torch.randperm(layer.filters, generator=generator(job.seed, Use.DRAW, 0)).tolist(),
    }
    chosen = [order[:count] for order in orders.values() for count in counts]
    images = job.data.test.balanced(TEST_IMAGES, job.seed)
    job.reporter.stage(f"ideal correction of {layer.name}", len(levels) * len(chosen) * len(images))
    top1 = evaluate_ideal(
        job.model, images, meter.distortion, levels, named(job.layers, layer.name), chosen,
        seed=job.seed, device=job.device, precision=job.precision, progress=job.reporter.advance,
    )  # fmt: skip
    rows = [top1[start:stop] for start, stop in pairwise(range(0, len(top1) + 1, len(counts)))]
    return {
        "images": len(meter.images),
        "test_images": len(images),
        "shares": CHOSEN_SHARES,
        "filters": counts,
        "orders": orders,
        "top1": dict(zip(orders, rows, strict=True)),
    }


def _reliability(gains: Tensor, count: int, seed: int) -> float | None:
    """Mean rank correlation of rankings on two disjoint sets of ``count`` images each."""
    correlations = []
    for pair in range(PAIRS):
        order = torch.randperm(gains.shape[1], generator=generator(seed, Use.HALVES, pair))
        first, second = gains[:, order[:count]].mean(1), gains[:, order[count : 2 * count]].mean(1)
        if first.min() < first.max() and second.min() < second.max():
            correlations.append(float(spearmanr(first, second).statistic))
    return sum(correlations) / len(correlations) if correlations else None


def _compared(exact: Tensor, other: Tensor) -> dict[str, float | None]:
    """Rank correlation (None where all filters are equal), and the share of the better halves that is common."""
    half = len(exact) // 2
    best = [set(values.argsort(descending=True, stable=True)[:half].tolist()) for values in (exact, other)]
    told_apart = all(values.min() < values.max() for values in (exact, other))
    return {
        "spearman": float(spearmanr(exact, other).statistic) if told_apart else None,
        "overlap": len(best[0] & best[1]) / half,
    }


def meter_of(job: Job, images: Images, distortion: Distortion) -> GainMeter:
    """Of a job's network on some images."""
    return GainMeter(
        job.model, images, distortion, job.seed, job.device, job.precision, progress=job.reporter.advance
    )  # fmt: skip
