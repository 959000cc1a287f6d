"""Accuracy as severity grows, a line a network (Figure 9 among them)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from deepcorrect.plots.style import finish, style
from deepcorrect.results import Record

_FOLDER = re.compile(r" \([^()]*\)$")


def plot_accuracy(axes: Axes, records: Sequence[Record]) -> Axes:
    """Top-1 accuracy against severity, a line a network."""
    curves = {f"{record.name} (mean {record.mean_top1:.3f})": record.top1 for record in records}
    return plot_levels(axes, records[0].distortion, records[0].levels, curves)


def plot_levels(
    axes: Axes,
    distortion: str,
    levels: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    *,
    dashed: Mapping[str, Sequence[float]] | None = None,
) -> Axes:
    """Top-1 accuracy against severity; dashed curves have the colours of the solid ones in turn."""
    for place, (label, values) in enumerate(curves.items()):
        axes.plot(levels, values, label=label, **style(place))
    for place, (label, values) in enumerate((dashed or {}).items()):
        axes.plot(levels, values, label=label, linestyle="--", markerfacecolor="white", **style(place))
    axes.set_xlabel(f"severity of {distortion} (0 = clean)")
    axes.set_ylabel("top-1 accuracy")
    axes.set_ylim(0, 1)
    return finish(axes)


def plot_ranked_and_random(axes: Axes, records: Sequence[Record]) -> Axes:
    """Correcting ranked filters (solid) against as many random ones (dashed, in the same colour) (Figure 9).

    Args:
        records: of one distortion and the same levels. One whose name ends in ``-random`` (a folder's name in brackets behind
            it does not count) is a draw for the record with the rest of that name and as many trained parameters; of several
            draws the mean is shown. Draws for no record are left out; other records are solid lines of their own.
    """
    draws: dict[tuple[str, int], list[Record]] = {}
    partners: dict[tuple[str, int], Record] = {}
    for record in records:
        name, random = _without_random(record.name)
        if random:
            draws.setdefault((name, record.trainable_parameters), []).append(record)
        else:
            partners[name, record.trainable_parameters] = record
    paired = [key for key in partners if key in draws]
    alone = [key for key in partners if key not in draws]
    solid = {partners[key].name: partners[key].top1 for key in (*paired, *alone)}
    dashed = {_label(partners[key], draws[key]): np.mean([draw.top1 for draw in draws[key]], 0).tolist() for key in paired}
    return plot_levels(axes, records[0].distortion, records[0].levels, solid, dashed=dashed)


def _without_random(name: str) -> tuple[str, bool]:
    """What a record is called without its folder and ``-random``, and whether it had that."""
    bare = _FOLDER.sub("", name)
    return bare.removesuffix("-random"), bare.endswith("-random")


def _label(partner: Record, draws: Sequence[Record]) -> str:
    return f"{partner.name}, random filters" + (f" (mean of {len(draws)})" if len(draws) > 1 else "")
