"""Figures of a page: drawn once, kept as PNG and SVG files beside it, the PNG in the page as well."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from deepcorrect.files import written_aside

DPI = 110


@dataclass(frozen=True)
class Drawing:
    """A figure: its caption, what it says to those who do not see it, where its numbers come from."""

    title: str
    alternative: str
    png: str
    note: str
    commands: Sequence[str]
    wide: bool


@dataclass
class Sheet:
    """Collects drawings under some headings; files go into ``folder``, ``tag`` at the end of their names."""

    folder: Path
    tag: str
    groups: dict[str, list[Drawing]] = field(default_factory=dict)

    def draw(
        self,
        heading: str,
        name: str,
        title: str,
        alternative: str,
        plot: Callable[[Sequence[Axes]], object],
        *,
        commands: Sequence[str],
        note: str = "",
        grid: tuple[int, int] = (1, 1),
        shared: bool = False,
        size: tuple[float, float] = (6.4, 4.0),
    ) -> None:
        """Draw a figure.

        Args:
            plot: draws on the axes, which it is given row by row.
            commands: that made the numbers.
            grid: rows and columns of axes; those of a row have the same ranges if ``shared``.
            size: width and height in inches; from 8 on it takes the whole width of the page.
        """
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        sharing: Literal["row", "none"] = "row" if shared else "none"
        plot(np.atleast_1d(figure.subplots(*grid, sharex=sharing, sharey=sharing)).flatten().tolist())
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}-{self.tag}"
        for suffix in ("png", "svg"):
            with written_aside(path.with_name(f"{path.name}.{suffix}")) as partial:
                figure.savefig(partial, format=suffix, dpi=DPI)
            figure.set_layout_engine("none")  # as it was laid out for the first
        png = base64.b64encode(path.with_name(f"{path.name}.png").read_bytes()).decode()
        drawing = Drawing(title, alternative, png, note, list(dict.fromkeys(commands)), wide=size[0] >= 8)
        self.groups.setdefault(heading, []).append(drawing)
