"""Accuracy under corruptions as heat maps, corruptions by severity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.patches import Rectangle

from deepcorrect.report.plots.style import DIVERGING, drawable
from deepcorrect.runs.saved import Robustness

_CELL = (0.62, 0.27)
_DARK = 0.179
"""Relative luminance below which white has more contrast than black (WCAG 2)."""


def robustness_size(robustness: Robustness) -> tuple[float, float]:
    """Width and height in inches of a heat map."""
    return 2.6 + _CELL[0] * (len(robustness.severities) + 2), 1.1 + _CELL[1] * len(robustness.rows())


def plot_robustness(axes: Axes, robustness: Robustness) -> Axes:
    """Top-1 accuracy in per cent by corruption and severity; means of groups are below, means over severities beside."""
    rows = {name: (*values, fmean(values)) for name, values in robustness.rows().items()}
    colours = ScalarMappable(Normalize(0, 1), "viridis")
    return _heat_map(axes, robustness, rows, colours, ".1f", "top-1 accuracy")


def plot_gain(axes: Axes, robustness: Robustness, against: Robustness) -> Axes:
    """Accuracy of one network less that of another, in percentage points; blue where the first is better."""
    before = against.rows()
    rows = {
        name: (*(value - old for value, old in zip(values, before[name], strict=True)), fmean(values) - fmean(before[name]))
        for name, values in robustness.rows().items()
    }
    most = max(abs(value) for values in rows.values() for value in values) or 1
    colours = ScalarMappable(CenteredNorm(0, most), DIVERGING)
    return _heat_map(axes, robustness, rows, colours, "+.1f", f"accuracy less that of {drawable(against.network, 30)}")


def _heat_map(
    axes: Axes,
    robustness: Robustness,
    rows: Mapping[str, Sequence[float]],
    colours: ScalarMappable,
    digits: str,
    label: str,
) -> Axes:
    """Cells with their numbers in them; a gap sets means apart."""
    height, width = len(robustness.accuracy), len(robustness.severities)
    y = [index + 0.4 * (index >= height) for index in range(len(rows))]
    x = [index + 0.3 * (index >= width) for index in range(width + 1)]
    for top, values in zip(y, rows.values(), strict=True):
        for left, value in zip(x, values, strict=True):
            (colour,) = colours.to_rgba(np.array([value]))
            axes.add_patch(Rectangle((left, top), 1, 1, facecolor=colour, edgecolor="white"))
            said = f"{100 * value:{digits}}"
            axes.text(left + 0.5, top + 0.5, said, ha="center", va="center", fontsize=8, color=_ink(colour))
    axes.set_xlim(0, x[-1] + 1)
    axes.set_ylim(y[-1] + 1, 0)
    axes.set_xticks([left + 0.5 for left in x], [*(f"{severity:g}" for severity in robustness.severities), "mean"])
    axes.set_yticks([top + 0.5 for top in y], [drawable(name, 30) for name in rows])
    axes.tick_params(length=0, labelsize=8)
    axes.set_xlabel("severity")
    axes.spines[:].set_visible(False)
    bar = axes.figure.colorbar(colours, ax=axes, shrink=0.8, format=lambda value, _: f"{100 * value:.0f}")
    bar.set_label(f"{label} (%)")
    return axes


def _ink(colour: np.ndarray) -> str:
    """What print on a colour, (4,) sRGB in [0, 1], is legible in."""
    linear = ((colour[:3] + 0.055) / 1.055) ** 2.4
    return "white" if linear @ (0.2126, 0.7152, 0.0722) < _DARK else "black"
