"""Results as one sees them: ``print`` shows a table, a notebook the same table and a small plot."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape

from deepcorrect.base.names import readable
from deepcorrect.base.tables import Cell, Table, text_of

COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP*"
"""Colours that colour-blind readers tell apart (Okabe and Ito's), each with a marker."""
_INK = "#010203"
"""Stands for the colour of the text around a plot, which a dark page has light."""
_LONGEST = 28
_NUMBER = "text-align: right; white-space: nowrap"
_LINE = "1px solid rgba(128, 128, 128, 0.4)"


@dataclass(frozen=True)
class Plot:
    """A small plot of some lines.

    Attributes:
        curves: by label, the points of a line: x and y.
        x, y: what the axes say.
        alternative: what the plot says to those who do not see it.
        limits: of the y axis; as far as the lines go without them.
        markers: whether points are marked.
    """

    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    x: str
    y: str
    alternative: str
    limits: tuple[float, float] | None = None
    markers: bool = True


@dataclass(frozen=True)
class View:
    """A table with the plot beside it and the note below it."""

    table: Table
    plot: Plot | None = None
    note: str = ""


class Shown:
    """What ``print`` and notebooks show as tables; ``repr`` stays one line."""

    def views(self) -> Sequence[View]:
        """What to show."""
        raise NotImplementedError

    def __str__(self) -> str:
        return text_of([part for view in self.views() for part in (view.table, view.note) if part]) or repr(self)

    def _repr_html_(self) -> str:
        return "".join(map(_html, self.views())) or escape(repr(self))


def _html(view: View) -> str:
    note = f'<p style="max-width: 60em; padding: 0 0.6em">{escape(readable(view.note))}</p>' if view.note else ""
    beside = f"<div>{_svg(view.plot)}</div>" if view.plot else ""
    row = '<div style="display: flex; flex-wrap: wrap; gap: 1em; align-items: center">'
    return f'{row}<div style="overflow-x: auto">{_html_table(view.table)}</div>{beside}</div>{note}'


def _html_table(table: Table) -> str:
    styles = ["text-align: left" if table.is_text(column) else _NUMBER for column in range(len(table.headings))]

    def row(tag: str, cells: Iterable[Cell]) -> str:
        return "".join(
            f'<{tag} style="{style}; padding: 0.2em 0.6em; border-bottom: {_LINE}">{_html_cell(cell)}</{tag[:2]}>'
            for cell, style in zip(cells, styles, strict=True)
        )

    head = row('th scope="col"', table.headings)
    body = "".join(f"<tr>{row('td', cells)}</tr>" for cells in table.cells())
    return (
        '<table style="border-collapse: collapse; font-variant-numeric: tabular-nums">'
        f'<caption style="text-align: left; padding: 0.2em 0.6em">{escape(readable(table.title))}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _html_cell(cell: Cell) -> str:
    """A text, or items between which lines may break."""
    if isinstance(cell, str):
        return escape(cell)
    return ", ".join(f'<span style="white-space: nowrap">{escape(item)}</span>' for item in cell)


def _svg(plot: Plot) -> str:
    """An SVG element whose text and axes have the colour of the text around it."""
    import matplotlib.style  # a second that text alone does not need
    from matplotlib.figure import Figure

    settings = {"svg.fonttype": "none", "svg.hashsalt": sha256(repr(plot).encode()).hexdigest(), "font.size": 9}
    settings |= dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK)
    written = io.StringIO()
    with matplotlib.style.context(["default", settings]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure = Figure(figsize=(4.8, 2.8), layout="constrained")
        axes = figure.subplots()
        for index, (label, (x, y)) in enumerate(plot.curves.items()):
            turn, colour = divmod(index, len(COLOURS))
            axes.plot(
                x, y, color=COLOURS[colour] if colour else _INK, marker=MARKERS[(colour + turn) % len(MARKERS)],
                markersize=4 if plot.markers else 0, label=f" {_shortened(label)}", clip_on=False,
            )  # fmt: skip
        axes.set_xlabel(readable(plot.x), parse_math=False)
        axes.set_ylabel(readable(plot.y), parse_math=False)
        axes.set_ylim(plot.limits)
        axes.grid(color=_INK, alpha=0.2)
        axes.spines[["top", "right"]].set_visible(False)
        if len(plot.curves) > 1:
            legend = figure.legend(loc="outside lower center", ncols=2, frameon=False)
            for text in legend.get_texts():
                text.set_parse_math(False)
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return _inlined(written.getvalue(), plot.alternative)


def _inlined(svg: str, alternative: str) -> str:
    """A file's SVG as an element of a page: no rule of style for all the page, no size that cannot shrink."""
    head, body = svg[svg.index("<svg") :].split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL).replace(_INK, "currentColor")
    style = "width: 30em; max-width: 100%; height: auto; color: inherit; stroke-linejoin: round"
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    said = escape(readable(alternative))
    return f'<svg {names} {box[0] if box else ""} role="img" aria-label="{said}" style="{style}">{body}'


def _shortened(name: str) -> str:
    text = readable(name)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[1 - _LONGEST // 2 :]}"
