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
    "multiply_accumulates": "multiply-accumulates of one image",
}


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the points that no other beats: none is as cheap and as accurate, and better in one of the two.

    Args:
        points: (cost, accuracy).

    Returns:
        In ascending order of cost; equal points are all in it, or none.
    """
    front: list[int] = []
    for place in sorted(range(len(points)), key=lambda place: (points[place][0], -points[place][1])):
        if not front or points[place][1] > points[front[-1]][1] or points[place] == points[front[-1]]:
            front.append(place)
    return front


def plot_pareto(axes: Axes, records: Sequence[Record], cost: Cost) -> Axes:
    """Mean top-1 accuracy against a cost, a point a network, and a line through those that no other beats.

    The baseline was trained on clean images, before any correction. Against trained parameters it is a hollow point at all the
    parameters that it has, and no part of the front; against multiply-accumulates it is a network like the others.
    """
    counted = [record for record in records if cost == "multiply_accumulates" or not _is_baseline(record)]
    points = [(getattr(record, cost), record.mean_top1) for record in counted]
    front = [points[place] for place in pareto_front(points)]
    axes.plot(*zip(*front, strict=True), color="grey", linewidth=1, label="Pareto front")
    for place, record in enumerate(records):
        shown, x, y = style(place), getattr(record, cost), record.mean_top1
        label, fill = (record.name, shown["color"]) if record in counted else (f"{record.name} (all it has)", "white")
        axes.plot(x, y, linestyle="none", markersize=8, label=legend_name(label), markerfacecolor=fill, **shown)
    costs = [getattr(record, cost) for record in records]
    if max(costs) > 10 * max(1, min(costs)):
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.set_xlabel(_SAID[cost])
    axes.set_ylabel("top-1 accuracy, mean over levels")
    axes.grid(alpha=0.3)
    return legend_beside(axes)


def _is_baseline(record: Record) -> bool:
    return record.name.startswith("baseline")
