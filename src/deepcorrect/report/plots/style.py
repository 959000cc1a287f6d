"""Colours that colour-blind readers can distinguish (Okabe and Ito's), each with a marker of its own."""

from __future__ import annotations

import re
from typing import TypedDict

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.font_manager import FontProperties, findfont, get_font

from deepcorrect.base.names import readable
from deepcorrect.base.showing import COLOURS as COLOURS
from deepcorrect.base.showing import MARKERS as MARKERS

RIGHT, WRONG = "#00795A", "#C04E00"
"""Okabe and Ito's green and vermilion, darkened until small print on white has a contrast of 4.5 or more."""

DIVERGING = LinearSegmentedColormap.from_list("vermilion-blue", ["#7A3000", "#D55E00", "#F7F7F7", "#0072B2", "#003A5C"])
"""For signed values, with 0 in the middle: vermilion below, blue above."""


_INSIDE = 7
_DOLLAR = re.compile(r"(?<!\\)\$")


class Style(TypedDict):
    """Keywords of a line."""

    color: str
    marker: str


def style(index: int) -> Style:
    """Colour and marker of a network or class, by its index from 0; they repeat after 49."""
    turn, colour = divmod(index, len(COLOURS))
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


def drawable(name: str, longest: int = 60) -> str:
    """A name of the user's as matplotlib is to draw it: on one line, its middle left out if it is longer, no mathematics.

    Letters that the font lacks are drawn as replacement characters. What is drawable already stays as it is.
    """
    text = readable(name)
    if len(text) > longest:
        text = f"{text[: longest - longest // 3 - 1]}…{text[len(text) - longest // 3 :]}"
    return _plain(text)


def shortened(text: str, longest: int = 14) -> str:
    """As ``drawable``, but the end is left out of a longer name."""
    text = readable(text)
    return _plain(text if len(text) <= longest else f"{text[: longest - 1]}…")


def legend_name(name: str, longest: int = 60) -> str:
    """As ``drawable``, for a legend: these leave out what begins with an underscore, so a space is put before it."""
    text = drawable(name, longest)
    return f" {text}" if text.startswith("_") else text


def _plain(text: str) -> str:
    """Letters that the font has, and dollar signs instead of mathematics."""
    fonts = [get_font(findfont(FontProperties(family=[family]))) for family in FontProperties().get_family()]
    known = "".join(letter if any(font.get_char_index(ord(letter)) for font in fonts) else "\ufffd" for letter in text)
    return _DOLLAR.sub(r"\\$", known)
