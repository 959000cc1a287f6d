"""Correction priority of every filter, as lines and as a heat map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm

from deepcorrect.report.plots.style import COLOURS, DIVERGING, drawable, finish, legend_name
from deepcorrect.runs.saved import Ranking


def plot_priority(axes: Axes, ranking: Ranking, chosen: Mapping[str, Sequence[int]]) -> Axes:
    """Correction priorities of each layer in the order of the ranking; corrected filters are marked."""
    for index, layer in enumerate(ranking.scores):
        values, picked = _in_order(ranking, layer, chosen)
        share = (np.arange(len(values)) + 0.5) / len(values)
        colour = COLOURS[1:][index % (len(COLOURS) - 1)]
        axes.plot(share, values, color=colour, label=legend_name(layer, 40))
        axes.plot(share[picked], values[picked], ".", color=colour)
    axes.axhline(0, color="grey", linewidth=0.5)
    axes.set_xlabel("share of the layer's filters, most susceptible first (dots: corrected)")
    axes.set_ylabel(f"correction priority (gain in {ranking.score})")
    return finish(axes)


def plot_priority_map(axes: Axes, ranking: Ranking, chosen: Mapping[str, Sequence[int]]) -> Axes:
    """Correction priority as a heat map: a row for each layer, its filters side by side, the most susceptible first.

    Every layer fills the whole width, however many filters it has. A bar stands where the corrected filters of a layer end (in
    general, between any corrected filter and one that is not).

    Args:
        chosen: the corrected filters by layer; layers may be missing.
    """
    limit = max(abs(value) for values in ranking.scores.values() for value in values)
    norm = CenteredNorm(0, limit or 1)
    names = []
    for row, layer in enumerate(ranking.scores):
        values, picked = _in_order(ranking, layer, chosen)
        edges = np.linspace(0, 1, len(values) + 1)
        mesh = axes.pcolormesh(edges, [row - 0.45, row + 0.45], values[None], norm=norm, cmap=DIVERGING, rasterized=True)
        cuts = edges[1:][np.append(picked[1:] != picked[:-1], picked[-1])]
        axes.vlines(cuts, row - 0.48, row + 0.48, color="black", linewidth=2)
        names.append(f"{drawable(layer, 40)}: {picked.sum()} of {len(picked)}")
    axes.set_yticks(range(len(names)), names, fontsize="small" if len(names) <= 20 else "x-small")
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(-0.005, 1.005)
    axes.set_xlabel("share of the layer's filters, most susceptible first (bar: end of the corrected ones)")
    colours = axes.figure.colorbar(mesh, ax=axes)
    colours.set_label(f"correction priority (gain in {ranking.score})")
    return axes


def _in_order(ranking: Ranking, layer: str, chosen: Mapping[str, Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """A layer's priorities, the most susceptible filter first, and which of these filters are corrected."""
    order = np.asarray(ranking.local(layer))
    return np.asarray(ranking.scores[layer])[order], np.isin(order, list(chosen.get(layer, ())))
