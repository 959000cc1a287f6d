"""Filters chosen together: a greedy selection in blocks, each scored with those chosen before swapped already.

One by one, filters that mend the same thing all score high, and a choice by priority takes them all. Section 4.1 leaves open
how a small set of filters that do not repeat each other is found; here each block is the best that can be added to the chosen,

    grad_h f(h_S) . (h' - h),

where h_S is the layer's output on distorted images with the filters S chosen so far swapped for their clean values h'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json, write_json
from deepcorrect.models.layers import Layer
from deepcorrect.ranking.attribution import estimate_gains
from deepcorrect.ranking.gains import GainMeter
from deepcorrect.ranking.provenance import require_same
from deepcorrect.ranking.reliability import summarize_gains
from deepcorrect.ranking.result import Ranking, Score


def rank_jointly(
    meter: GainMeter,
    levels: Sequence[float],
    *,
    layers: Sequence[Layer],
    counts: Mapping[str, int],
    block: int = 8,
    score: Score | None = None,
    kept: Path | None = None,
) -> Ranking:
    """Choose filters of each layer by itself; under a mixture, by the mean gain over its members.

    Args:
        meter: the network, its images and their distortion.
        levels: severities above 0, over which gains are averaged.
        counts: how many filters of each layer to choose.
        block: how many are added at once.
        score: what is to be gained, one of the task's scores with a gradient; the first of them without it, the true class's
            probability.
        kept: a file that holds what is chosen so far, to continue from.

    Returns:
        Its scores are estimated gains with nothing else swapped. ``order`` begins with the chosen filters in the order of
        their choice; the others follow by what they gain alone.

    Raises:
        DeepcorrectError: as ``attribute_filters``, or ``kept`` holds a choice of something else.
    """
    score = score or meter.task.default_score(gradient=True)
    index = meter.task.index_of(score, gradient=True)
    names = [layer.name for layer in layers]
    of = meter.provenance(levels=levels, layers=names, counts=counts, block=block, score=score) if kept else {}
    order = meter.processes.agreed(_read(kept, of, layers) if kept and kept.exists() else {})
    alone = estimate_gains(meter, levels, layers=layers, score=score)
    for layer in layers:
        chosen = order.setdefault(layer.name, [])
        while len(chosen) < counts[layer.name]:
            gains = alone.gains[layer.name]
            if chosen:
                gains = estimate_gains(meter, levels, layers=[layer], score=score, swapped=chosen).gains[layer.name]
            best = [filter_ for filter_ in _descending(gains[index]) if filter_ not in chosen]
            chosen += best[: min(block, counts[layer.name] - len(chosen))]
            if kept:
                write_json(kept, {"of": of, "chosen": order})
    everything = {
        name: (*chosen, *(filter_ for filter_ in _descending(alone.gains[name][index]) if filter_ not in chosen))
        for name, chosen in order.items()
    }
    return summarize_gains(meter, levels, alone, score, "joint", everything)


def _read(kept: Path, of: Mapping[str, Any], layers: Sequence[Layer]) -> dict[str, list[int]]:
    content = read_json(kept)
    require_same(kept, content.get("of"), of)
    filters = {layer.name: range(layer.filters) for layer in layers}
    chosen = content.get("chosen")
    sound = isinstance(chosen, dict) and all(
        isinstance(found, list) and name in filters and all(filter_ in filters[name] for filter_ in found)
        and len(set(found)) == len(found)
        for name, found in chosen.items()
    )  # fmt: skip
    if not sound:
        raise DeepcorrectError(f"{kept}: does not hold chosen filters; delete it to have them chosen again")
    return cast(dict[str, list[int]], chosen)


def _descending(gains: Tensor) -> list[int]:
    """Filters by their mean gain, the largest first, given (filters, N)."""
    order: list[int] = gains.mean(1).argsort(descending=True, stable=True).tolist()
    return order
