"""Tables in the terminal: as wide as it is, with every number whole.

Where names leave the numbers no room, a table is turned: its rows become columns, as many side by side as there is room for.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from deepcorrect.base.names import readable

NAME = 16
"""Columns of the terminal that a name has at least; a longer one is folded."""
_EDGES = 3
_NO_TERMINAL = 140

Cell = str | Sequence[str]
"""A text, or items in a row, between which lines may break."""


def show_table(
    title: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    names: Collection[int] = (0,),
    repeated: int = 0,
) -> None:
    """Print a table on standard output.

    Args:
        rows: a cell for each heading; numbers stand on the right, names and items on the left.
        names: places of the columns that name a row; names are folded where they are long.
        repeated: so many cells at the beginning are left blank in a row that begins as the one before it.
    """
    rows = [
        [readable(cell) if place in names and isinstance(cell, str) else cell for place, cell in enumerate(row)] for row in rows
    ]
    console = _console()
    widths = [_least(heading, [row[place] for row in rows], place in names) for place, heading in enumerate(headings)]
    if not console.is_terminal:
        console.width = max(_NO_TERMINAL, 1 + sum(width + _EDGES for width in widths))
    spare = console.width - 1 - sum(width + _EDGES for width in widths)
    if spare < 0:
        console.print(readable(title), style="italic")
        for table in _turned(headings, rows, names, console.width):
            console.print(table)
        return
    natural = [max(cell_len(heading), *(_natural(row[place]) for row in rows)) for place, heading in enumerate(headings)]
    _widen(widths, natural, spare)
    table = Table(title=readable(title), title_justify="left")
    for place, (heading, width) in enumerate(zip(headings, widths, strict=True)):
        text = place in names or any(not isinstance(row[place], str) for row in rows)
        table.add_column(heading, justify="left" if text else "right", width=width, overflow="fold")
    before: Sequence[Cell] = ()
    for row in rows:
        again = repeated if row[:repeated] == before[:repeated] else 0
        table.add_row(*[""] * again, *(_packed(cell, width) for cell, width in zip(row[again:], widths[again:], strict=True)))
        before = row
    console.print(table)


def show_note(text: str) -> None:
    """Print a text below a table, its lines broken where the terminal ends."""
    _console().print(text)


def _console() -> Console:
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _NO_TERMINAL
    return console


def _least(heading: str, cells: Sequence[Cell], name: bool) -> int:
    """The columns of the terminal that a column of the table needs."""
    if name:
        return min(NAME, max(cell_len(heading), *map(_natural, cells)))
    return max(map(cell_len, (*heading.split(), *(item for cell in cells for item in _items(cell)))))


def _widen(widths: list[int], natural: Sequence[int], spare: int) -> None:
    """Share what room there is among the columns that lack some."""
    lacking = sorted(range(len(widths)), key=lambda place: natural[place] - widths[place])
    for count, place in zip(range(len(lacking), 0, -1), lacking, strict=True):
        more = min(natural[place] - widths[place], spare // count)
        widths[place] += more
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


def _turned(headings: Sequence[str], rows: Sequence[Sequence[Cell]], names: Collection[int], width: int) -> list[Table]:
    """A column a row, in as many tables as that takes."""
    kept = [place for place in range(len(headings)) if place not in names]
    first = min(max(cell_len(headings[place]) for place in kept), max(NAME, width // 4))
    room = max(_EDGES + 1, width - 1 - first - _EDGES)
    labels = [" against ".join(str(row[place]) for place in sorted(names) if row[place]) for row in rows]
    least = [
        min(room - _EDGES, max(_least(label, [label], True), *(_least("", [row[place]], False) for place in kept)))
        for label, row in zip(labels, rows, strict=True)
    ]
    side_by_side = max(1, room // (max(least, default=1) + _EDGES))
    tables = []
    for start in range(0, len(rows), side_by_side):
        part = slice(start, start + side_by_side)
        table = Table()
        table.add_column("", max_width=first, overflow="fold")
        for label, wide in zip(labels[part], least[part], strict=True):
            table.add_column(label, justify="right", min_width=wide, overflow="fold")
        for place in kept:
            table.add_row(
                headings[place], *(_packed(row[place], wide) for row, wide in zip(rows[part], least[part], strict=True))
            )
        tables.append(table)
    return tables
