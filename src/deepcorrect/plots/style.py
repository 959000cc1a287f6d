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


class Style(TypedDict):
    """Keywords of a line."""

    color: str
    marker: str


def style(place: int) -> Style:
    """Colour and marker of the ``place``-th network or class, counted from 0; 49 pairs differ."""
    turn, colour = divmod(place, len(COLOURS))
    return {"color": COLOURS[colour], "marker": MARKERS[(colour + turn) % len(MARKERS)]}


def finish(axes: Axes) -> Axes:
    """A faint grid, and a legend if any line has a label."""
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize="small")
    return axes
