"""Figures of a run: axes in, axes out, drawn from saved results alone.

Colours are Okabe and Ito's, which colour-blind readers tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from deepcorrect.ranking import Ranking
from deepcorrect.results import Record

COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP*"


def _style(place: int) -> dict[str, Any]:
    return {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}


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
        axes.plot(levels, values, label=label, **_style(place))
    for place, (label, values) in enumerate((dashed or {}).items()):
        axes.plot(levels, values, label=label, linestyle="--", markerfacecolor="white", **_style(place))
    axes.set_xlabel(f"severity of {distortion} (0 = clean)")
    axes.set_ylabel("top-1 accuracy")
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return axes


def plot_priority(axes: Axes, ranking: Ranking, chosen: Mapping[str, Sequence[int]]) -> Axes:
    """Correction priorities of each layer in the order of the ranking; corrected filters are marked."""
    for place, (layer, values) in enumerate(ranking.scores.items()):
        order = np.asarray(ranking.local(layer))
        share = (np.arange(len(values)) + 0.5) / len(values)
        colour = COLOURS[1:][place % (len(COLOURS) - 1)]
        axes.plot(share, np.asarray(values)[order], color=colour, label=layer)
        picked = np.isin(order, list(chosen.get(layer, ())))
        axes.plot(share[picked], np.asarray(values)[order][picked], ".", color=colour)
    axes.axhline(0, color="grey", linewidth=0.5)
    axes.set_xlabel("share of the layer's filters, most susceptible first (dots: corrected)")
    axes.set_ylabel(f"correction priority (gain in {ranking.score})")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return axes


def plot_training(axes: Axes, curves: Mapping[str, Sequence[float]]) -> Axes:
    """Mean validation accuracy after each epoch, a line a network."""
    for place, (name, values) in enumerate(curves.items(), start=1):
        epochs = range(1, len(values) + 1)
        axes.plot(epochs, values, label=name, **_style(place))
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("validation accuracy, mean over levels")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return axes
