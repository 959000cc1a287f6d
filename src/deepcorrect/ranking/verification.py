"""An estimated ranking made exact where it decides: the filters near the cut are swapped and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from deepcorrect.models.layers import Layer
from deepcorrect.ranking.gain_files import GainFiles
from deepcorrect.ranking.result import Ranking


def verify(
    ranking: Ranking,
    files: GainFiles,
    levels: Sequence[float],
    *,
    layers: Sequence[Layer],
    counts: Mapping[str, int],
    near: int,
) -> Ranking:
    """Measure in each layer the ``near`` filters around the cut, and put these in the order of what they really gain.

    Args:
        ranking: estimated by one of the task's scores, which is measured here.
        counts: where each layer is to be cut.
    """
    order, score = dict(ranking.order), files.meter.task.index_of(ranking.score)
    for layer in layers:
        estimated = ranking.local(layer.name)
        start = max(0, min(counts[layer.name] - near // 2, len(estimated) - near))
        window = estimated[start : start + near]
        by_level = [files.measure(layer, level, filters=window).each[score] for level in levels]
        gains = torch.stack(by_level).double().mean((0, 2))
        measured = sorted(window, key=lambda filter_: -float(gains[filter_]))
        order[layer.name] = (*estimated[:start], *measured, *estimated[start + near :])
    return replace(ranking, order=order)
