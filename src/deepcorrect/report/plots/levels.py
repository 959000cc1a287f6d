"""Accuracy against severity, a line for each network (Figure 9 among them)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from deepcorrect.report.plots.style import drawable, finish, legend_name, style
from deepcorrect.runs.records import Record, without_folder


def plot_accuracy(axes: Axes, records: Sequence[Record]) -> Axes:
    """What the records have measured against severity, a line for each network."""
    curves = {f"{record.name} (mean {record.mean_top1:.3f})": record.top1 for record in records}
    plot_levels(axes, records[0].distortion, records[0].levels, curves)
    axes.set_ylabel(records[0].measured)
    return axes


def plot_levels(
    axes: Axes,
    distortion: str,
    levels: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    *,
    dashed: Mapping[str, Sequence[float]] | None = None,
) -> Axes:
    """Top-1 accuracy against severity; dashed curves have the colours of the solid ones, in the same order."""
    for index, (label, values) in enumerate(curves.items()):
        _line(axes, levels, values, label, index)
    for index, (label, values) in enumerate((dashed or {}).items()):
        _line(axes, levels, values, label, index, dashed=True)
    return _finish(axes, distortion)


def plot_ranked_and_random(axes: Axes, records: Sequence[Record]) -> Axes:
    """Correcting ranked filters (solid) against as many random ones (dashed, in the same colour) (Figure 9).

    Args:
        records: of one distortion and the same levels. A random one is a draw for the record of the same name but for
            ``-random`` (a folder's name in brackets behind it does not count) and as many trained parameters; of several draws
            the mean is shown. Draws for no record are left out; other records are solid lines of their own.
    """
    draws: dict[tuple[str, int], list[Record]] = {}
    others: dict[tuple[str, int], Record] = {}
    for record in records:
        key = without_folder(record.name).removesuffix("-random"), record.trainable_parameters
        if record.random:
            draws.setdefault(key, []).append(record)
        else:
            others[key] = record
    for index, (key, record) in enumerate(others.items()):
        _line(axes, record.levels, record.top1, record.name, index)
        if key in draws:
            mean = np.mean([draw.top1 for draw in draws[key]], 0).tolist()
            said = f" (mean of {len(draws[key])})" if len(draws[key]) > 1 else ""
            _line(axes, record.levels, mean, f"{record.name}, random filters{said}", index, dashed=True)
    return _finish(axes, records[0].distortion)


def _line(
    axes: Axes, levels: Sequence[float], values: Sequence[float], label: str, index: int, *, dashed: bool = False
) -> None:
    shown = style(index)
    fill = "white" if dashed else shown["color"]
    axes.plot(levels, values, "--" if dashed else "-", label=legend_name(label), markerfacecolor=fill, **shown)


def _finish(axes: Axes, distortion: str) -> Axes:
    axes.set_xlabel(f"severity of {drawable(distortion)} (0 = clean)")
    axes.set_ylabel("top-1 accuracy")
    axes.set_ylim(0, 1.02)
    return finish(axes)
