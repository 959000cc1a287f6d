"""Validation accuracy while training (Figure 12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from deepcorrect.report.plots.style import finish, legend_name, style


def plot_training(axes: Axes, curves: Mapping[str, Sequence[tuple[int, float]]], measured: str = "accuracy") -> Axes:
    """What was measured on the validation images against iterations, a line for each network (Figure 12).

    Args:
        curves: for each network, after every epoch, the optimiser steps so far and what was measured, mean over the levels.
        measured: accuracy, or agreement where the validation images have no labels.
    """
    for index, (name, points) in enumerate(curves.items(), start=1):
        steps, accuracies = zip(*points, strict=True)
        axes.plot(steps, accuracies, label=legend_name(name), markevery=max(1, len(points) // 20), **style(index))
    axes.set_xlabel("iterations")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_ylabel(f"validation {measured}, mean over levels")
    return finish(axes)
