"""Colours that colour-blind readers tell apart (Okabe and Ito's), each with a marker, so that nothing rests on colour alone."""

from __future__ import annotations

from typing import TypedDict

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP*"
RIGHT, WRONG = "#00795A", "#C04E00"
"""Okabe and Ito's green and vermilion, darkened until small print on white has a contrast of 4.5 or more."""

DIVERGING = LinearSegmentedColormap.from_list("vermilion-blue", ["#7A3000", "#D55E00", "#F7F7F7", "#0072B2", "#003A5C"])
"""For signed values, with 0 in the middle: vermilion below, blue above."""


_INSIDE = 7


class Style(TypedDict):
    """Keywords of a line."""

    color: str
    marker: str


def style(place: int) -> Style:
    """Colour and marker of the ``place``-th network or class, counted from 0; 49 pairs differ."""
    turn, colour = divmod(place, len(COLOURS))
    return {"color": COLOURS[colour], "marker": MARKERS[(colour + turn) % len(MARKERS)]}


def finish(axes: Axes) -> Axes:
    """A faint grid, and a legend: inside, or beside the axes if it is long."""
    axes.grid(alpha=0.3)
    if len(axes.get_legend_handles_labels()[1]) > _INSIDE:
        return legend_beside(axes)
    axes.legend(fontsize="small")
    return axes


def legend_beside(axes: Axes) -> Axes:
    """A legend to the right of the axes, where it covers nothing."""
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return axes


def shortened(text: str, longest: int = 14) -> str:
    """A name, its end left out if it is longer."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
