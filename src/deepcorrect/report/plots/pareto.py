"""Accuracy against what it costs, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, NullFormatter

from deepcorrect.report.plots.style import legend_beside, legend_name, style
from deepcorrect.runs.results import Record

Cost = Literal["trainable_parameters", "multiply_accumulates"]
_SAID: dict[Cost, str] = {
    "trainable_parameters": "trained parameters",
    "multiply_accumulates": "multiply-accumulates per image",
}


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other point dominates (is at least as cheap and as accurate, and better in one of the two).

    Args:
        points: (cost, accuracy).

    Returns:
        Indices in ascending order of cost; of equal points either all or none.
    """
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1])):
        if not front or points[index][1] > points[front[-1]][1] or points[index] == points[front[-1]]:
            front.append(index)
    return front


def plot_pareto(axes: Axes, records: Sequence[Record], cost: Cost) -> Axes:
    """The mean of what the records have measured against a cost, a point for each network, and a line through the Pareto front.

    The baseline was trained on clean images, before any correction. Against trained parameters it is a hollow point at all its
    parameters, and not part of the front; against multiply-accumulates it is treated like the others.
    """
    counted = [record for record in records if cost == "multiply_accumulates" or not _is_baseline(record)]
    points = [(getattr(record, cost), record.mean_top1) for record in counted]
    front = [points[index] for index in pareto_front(points)]
    axes.plot(*zip(*front, strict=True), color="grey", linewidth=1, label="Pareto front")
    for index, record in enumerate(records):
        shown, x, y = style(index), getattr(record, cost), record.mean_top1
        label, fill = (record.name, shown["color"]) if record in counted else (f"{record.name} (all its parameters)", "white")
        axes.plot(x, y, linestyle="none", markersize=8, label=legend_name(label), markerfacecolor=fill, **shown)
    costs = [getattr(record, cost) for record in records]
    if max(costs) > 10 * max(1, min(costs)):
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.set_xlabel(_SAID[cost])
    axes.set_ylabel(f"{records[0].measured}, mean over levels")
    axes.grid(alpha=0.3)
    return legend_beside(axes)


def _is_baseline(record: Record) -> bool:
    return record.kind in ("baseline", "restored")
