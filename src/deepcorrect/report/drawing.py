"""Figures of a page: drawn once, kept as PNG and SVG files beside it, the PNG in the page as well."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from deepcorrect.base.files import written_aside

DPI = 110
_LONGEST = 150
"""Of a file's name; disks take 255 bytes."""


@dataclass(frozen=True)
class Drawing:
    """A figure: its caption, its text alternative, and the commands that made its numbers.

    A figure that could not be drawn has no picture; its note gives the reason.
    """

    title: str
    alternative: str
    png: str
    note: str
    commands: Sequence[str]
    wide: bool


@dataclass
class Sheet:
    """Collects drawings under headings; their files go into ``folder``, with ``tag`` at the end of each name, none overwritten.

    Attributes:
        taken: the files of this page so far, without suffix.
    """

    folder: Path
    tag: str
    groups: dict[str, list[Drawing]] = field(default_factory=dict)
    taken: set[Path] = field(default_factory=set)

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
        with self.attempt(heading, title):
            path = self._path(name)
            self._save(path, plot, grid, shared, size)
            png = base64.b64encode(path.with_name(f"{path.name}.png").read_bytes()).decode()
            drawing = Drawing(title, alternative, png, note, list(dict.fromkeys(commands)), wide=size[0] >= 8)
            self.groups.setdefault(heading, []).append(drawing)

    @contextmanager
    def attempt(self, heading: str, title: str) -> Iterator[None]:
        """Turn an error inside into a missing figure, named on the page with the reason; the rest of the page is made."""
        try:
            yield
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            self.groups.setdefault(heading, []).append(Drawing(title, "", "", f"not drawn: {reason}", [], wide=False))

    def _path(self, name: str) -> Path:
        """A path without a suffix, of characters that every file system accepts, that no earlier figure has."""
        plain = "".join(letter if letter.isalnum() or letter in "-._" else "-" for letter in f"{name}-{self.tag}")
        path = self.folder / plain[:_LONGEST]
        while path in self.taken:
            path = path.with_name(f"{path.name}-{len(self.taken)}")
        self.taken.add(path)
        return path

    def _save(
        self,
        path: Path,
        plot: Callable[[Sequence[Axes]], object],
        grid: tuple[int, int],
        shared: bool,
        size: tuple[float, float],
    ) -> None:
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        sharing: Literal["row", "none"] = "row" if shared else "none"
        plot(np.atleast_1d(figure.subplots(*grid, sharex=sharing, sharey=sharing)).flatten().tolist())
        self.folder.mkdir(parents=True, exist_ok=True)
        for suffix in ("png", "svg"):
            with written_aside(path.with_name(f"{path.name}.{suffix}")) as partial:
                figure.savefig(partial, format=suffix, dpi=DPI)
            figure.set_layout_engine("none")  # as it was laid out for the first
