"""Two networks compared class by class (Figure 11)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm

from deepcorrect.report.plots.style import DIVERGING, drawable, shortened
from deepcorrect.runs.classes import class_counts, class_differences

_NAMED = 16


def plot_class_differences(
    axes: Axes,
    first: Sequence[float | None],
    second: Sequence[float | None],
    classes: Sequence[str] | None,
    *,
    names: tuple[str, str] = ("the first", "the second"),
) -> Axes:
    """Difference in accuracy as a heat map, one square a class: blue where the first network is better (Figure 11).

    Squares are sorted from the largest gain, top left, to the largest loss, so that the areas show the counts. The paper
    keeps the order of the classes.

    Args:
        first, second: accuracy in each class, in [0, 1]; None for a class without images, which gets no square.
        classes: their names, written into the squares of up to 16 classes; of more, only the first and the last are named.
        names: of the two networks.
    """
    differences = class_differences(first, second)
    order = sorted(differences, key=lambda label: -differences[label])
    columns = math.ceil(math.sqrt(len(order)))
    grid = np.ma.array(np.zeros((math.ceil(len(order) / columns), columns)), mask=True)
    grid.flat[: len(order)] = [differences[label] for label in order]
    limit = max(map(abs, differences.values())) or 1
    one, other = map(drawable, names)
    squares = axes.pcolormesh(grid, cmap=DIVERGING, norm=CenteredNorm(0, limit), edgecolors="white", linewidth=0.5)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    colours = axes.figure.colorbar(squares, ax=axes, shrink=0.8)
    colours.set_label(f"{one} minus {other}")
    axes.set_xticks([])
    axes.set_yticks([])
    won, lost, equal = class_counts(first, second)
    axes.set_title(f"{one} better in {won:,} classes,\n{other} in {lost:,}, equal in {equal:,}", fontsize="medium")
    if classes is None:
        return axes
    texts = [f"{shortened(classes[label])}\n{differences[label]:+.3f}" for label in order]
    if len(order) > _NAMED:
        first_said, last_said = (text.replace("\n", " ") for text in (texts[0], texts[-1]))
        axes.set_xlabel(f"first square: {first_said}\nlast square: {last_said}", fontsize="small")
        return axes
    for square, (label, text) in enumerate(zip(order, texts, strict=True)):
        colour = "white" if abs(differences[label]) > 0.4 * limit else "black"
        axes.text(square % columns + 0.5, square // columns + 0.5, text, ha="center", va="center", fontsize=7, color=colour)
    return axes
