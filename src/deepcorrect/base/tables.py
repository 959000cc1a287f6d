"""Tables as text: as wide as the terminal, with every number whole.

Where names leave the numbers no room, a table is turned: its rows become columns, as many side by side as there is room for.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable

from deepcorrect.base.names import readable

NAME = 16
"""Columns of the terminal that a name has at least; a longer one is folded."""
_EDGES = 3
_NO_TERMINAL = 140

Cell = str | Sequence[str]
"""A text, or items in a row, between which lines may break."""


@dataclass(frozen=True)
class Table:
    """A table, not yet laid out.

    Attributes:
        title: stands above it.
        headings: of the columns.
        rows: a cell for each heading; numbers stand on the right, names and items on the left.
        names: indices of the columns that name a row; names are folded where they are long.
        repeated: so many cells at the beginning are left blank in a row that begins as the one before it.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    names: Collection[int] = (0,)
    repeated: int = 0

    def is_text(self, column: int) -> bool:
        """Whether a column holds names or items, not numbers."""
        return column in self.names or any(not isinstance(row[column], str) for row in self.rows)

    def cells(self) -> list[list[Cell]]:
        """The rows with readable names, and blanks where cells repeat those above."""
        rows = [
            [readable(cell) if column in self.names and isinstance(cell, str) else cell for column, cell in enumerate(row)]
            for row in self.rows
        ]
        before: list[Cell] = []
        blanked = []
        for row in rows:
            again = self.repeated if row[: self.repeated] == before[: self.repeated] else 0
            blanked.append([*[""] * again, *row[again:]])
            before = row
        return blanked


def print_table(table: Table) -> None:
    """Print on standard output."""
    console = _console()
    _print(table, console, bounded=console.is_terminal)


def print_note(text: str) -> None:
    """Print a text below a table, its lines broken where the terminal ends."""
    _console().print(text)


def text_of(content: Sequence[Table | str]) -> str:
    """Tables and notes as standard output would show them, without colours, in letters that its encoding has."""
    shown = _console()
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    written = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace", newline="\n")
    console = Console(
        file=written, width=shown.width, color_system=None, force_terminal=False, force_jupyter=False,
        markup=False, emoji=False, highlight=False,
    )  # fmt: skip
    for part in content:
        if isinstance(part, Table):
            _print(part, console, bounded=shown.is_terminal)
        else:
            console.print(part)
    written.flush()
    written.seek(0)
    return "\n".join(line.rstrip() for line in written.read().splitlines())


def _console() -> Console:
    console = Console(markup=False, emoji=False, highlight=False, force_jupyter=False)
    if not console.is_terminal:
        console.width = _NO_TERMINAL
    return console


def _print(table: Table, console: Console, *, bounded: bool) -> None:
    """Lay a table out, in the console's width where that is ``bounded``."""
    headings, names, title = table.headings, table.names, readable(table.title)
    rows = table.cells()
    widths = [_least(heading, [row[column] for row in rows], column in names) for column, heading in enumerate(headings)]
    if not bounded:
        console.width = max(_NO_TERMINAL, 1 + sum(width + _EDGES for width in widths))
    spare = console.width - 1 - sum(width + _EDGES for width in widths)
    if spare < 0:
        console.print(title, style="italic")
        for part in _turned(table, console.width):
            console.print(part)
        return
    natural = [max([cell_len(heading), *(_natural(row[column]) for row in rows)]) for column, heading in enumerate(headings)]
    _widen(widths, natural, spare)
    laid_out = RichTable(title=title, title_justify="left")
    for column, (heading, width) in enumerate(zip(headings, widths, strict=True)):
        laid_out.add_column(heading, justify="left" if table.is_text(column) else "right", width=width, overflow="fold")
    for row in rows:
        laid_out.add_row(*(_packed(cell, width) for cell, width in zip(row, widths, strict=True)))
    console.print(laid_out)


def _least(heading: str, cells: Sequence[Cell], name: bool) -> int:
    """The columns of the terminal that a column of the table needs."""
    if name:
        return min(NAME, max([cell_len(heading), *map(_natural, cells)]))
    return max(map(cell_len, ("", *heading.split(), *(item for cell in cells for item in _items(cell)))))


def _widen(widths: list[int], natural: Sequence[int], spare: int) -> None:
    """Share what room there is among the columns that lack some."""
    lacking = sorted(range(len(widths)), key=lambda column: natural[column] - widths[column])
    for count, column in zip(range(len(lacking), 0, -1), lacking, strict=True):
        more = min(natural[column] - widths[column], spare // count)
        widths[column] += more
        spare -= more


def _items(cell: Cell) -> Sequence[str]:
    return [cell] if isinstance(cell, str) else [f"{item}," for item in cell]


def _natural(cell: Cell) -> int:
    """How wide a cell is on one line."""
    return cell_len(cell if isinstance(cell, str) else ", ".join(cell))


def _packed(cell: Cell, width: int) -> str:
    """Items on as many lines as they need."""
    if isinstance(cell, str):
        return cell
    lines = [""]
    for item in _items(cell):
        longer = f"{lines[-1]} {item}".lstrip()
        lines = [*lines[:-1], longer] if cell_len(longer) <= width else [*lines, item]
    return "\n".join(filter(None, lines)).rstrip(",")


def _turned(table: Table, width: int) -> list[RichTable]:
    """A column a row, in as many tables as that takes."""
    headings, rows = table.headings, replace(table, repeated=0).cells()
    kept = [column for column in range(len(headings)) if column not in table.names]
    first = min(max(cell_len(headings[column]) for column in kept), max(NAME, width // 4))
    room = max(_EDGES + 1, width - 1 - first - _EDGES)
    labels = [" against ".join(str(row[column]) for column in sorted(table.names) if row[column]) for row in rows]
    least = [
        min(room - _EDGES, max(_least(label, [label], True), *(_least("", [row[column]], False) for column in kept)))
        for label, row in zip(labels, rows, strict=True)
    ]
    side_by_side = max(1, room // (max(least, default=1) + _EDGES))
    tables = []
    for start in range(0, len(rows), side_by_side):
        part = slice(start, start + side_by_side)
        turned = RichTable()
        turned.add_column("", max_width=first, overflow="fold")
        for label, wide in zip(labels[part], least[part], strict=True):
            turned.add_column(label, justify="right", min_width=wide, overflow="fold")
        for column in kept:
            turned.add_row(
                headings[column], *(_packed(row[column], wide) for row, wide in zip(rows[part], least[part], strict=True))
            )
        tables.append(turned)
    return tables
