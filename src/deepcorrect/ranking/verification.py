"""An estimated ranking made exact where it decides: the filters near the cut are swapped and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from deepcorrect.models.layers import Layer
from deepcorrect.ranking.gain_files import GainFiles
from deepcorrect.ranking.gains import GainMeter
from deepcorrect.ranking.mean_gains import MeanGains, mean_over_members
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
    windows = {}
    for layer in layers:
        estimated = ranking.local(layer.name)
        start = max(0, min(counts[layer.name] - near // 2, len(estimated) - near))
        windows[layer.name] = slice(start, start + near)

    def measure(part: GainMeter, severities: Sequence[float]) -> MeanGains:
        own, gains = files.of(part), {}
        for layer in layers:
            window = ranking.local(layer.name)[windows[layer.name]]
            by_level = [own.measure(layer, level, filters=window).each[score] for level in severities]
            gains[layer.name] = torch.stack(by_level).double().mean(0)[None]
        return MeanGains([], gains)

    measured = mean_over_members(files.meter, files.meter.parts(levels), measure)
    for layer in layers:
        estimated, window = ranking.local(layer.name), windows[layer.name]
        gains = measured.gains[layer.name][0].mean(1)
        best = sorted(estimated[window], key=lambda filter_: -float(gains[filter_]))
        order[layer.name] = (*estimated[: window.start], *best, *estimated[window.stop :])
    return replace(ranking, order=order)
