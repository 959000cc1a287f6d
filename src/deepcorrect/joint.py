"""Filters chosen together: a greedy selection in blocks, each scored with those chosen before swapped already.

One by one, filters that mend the same thing all score high, and a choice by priority takes them all. Section 4.1 leaves open
how a small set of filters that do not repeat each other is found; here each block is the best that can be added to the chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from deepcorrect.gains import Gains
from deepcorrect.layers import Layer
from deepcorrect.parts import Parts
from deepcorrect.ranking import SCORES, Ranking, Score
from deepcorrect.reliability import summarize


def rank_jointly(
    parts: Parts,
    levels: Sequence[float],
    *,
    layers: Sequence[Layer],
    counts: Mapping[str, int],
    block: int = 8,
    score: Score = "probability",
) -> Ranking:
    """Choose filters of each layer by itself.

    Args:
        parts: measures the gains.
        levels: severities above 0, over which gains are averaged.
        counts: how many filters of each layer to choose.
        block: how many are added at once.
        score: what is to be gained.

    Returns:
        Its scores are gains with nothing else swapped. ``order`` begins with the chosen filters in the order of their choice;
        the others follow by what they would have gained in the last block.
    """
    gains: dict[str, Tensor] = {}
    order: dict[str, tuple[int, ...]] = {}
    before: list[float] = []
    for layer in layers:
        chosen: list[int] = []
        while len(chosen) < counts[layer.name]:
            measured = [parts.measure(layer, level, swapped=chosen) for level in levels]
            found = torch.stack([part.each for part in measured]).double().mean(0)
            if not chosen:
                gains[layer.name] = found
                before = [_right(part) for part in measured]
            left = found[SCORES.index(score)].mean(1)
            left[chosen] = -torch.inf
            best = left.argsort(descending=True, stable=True).tolist()
            chosen += best[: min(block, counts[layer.name] - len(chosen))]
        order[layer.name] = (*chosen, *(filter_ for filter_ in best if filter_ not in chosen))
    meter = parts.meter
    return summarize(meter.distortion.name, levels, meter.seed, before, gains, score, "joint", order)


def _right(gains: Gains) -> float:
    return gains.before[SCORES.index("top1")].double().mean().item()
