"""What was measured at every level of a distortion, as a line, a table and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deepcorrect.base.showing import Plot, View
from deepcorrect.base.tables import Table


def level_name(level: float) -> str:
    """``clean`` for 0, else the number."""
    return f"{level:g}" if level else "clean"


def level_line(levels: Sequence[float], top1: Sequence[float]) -> str:
    """``0.9876 clean, 0.9512 at 1, 0.8034 at 2``."""
    return ", ".join(f"{value:.4f} {f'at {level:g}' if level else 'clean'}" for level, value in zip(levels, top1, strict=True))


def levels_view(
    title: str,
    distortion: str,
    levels: Sequence[float],
    rows: Mapping[str, tuple[Sequence[float], float]],
    more: Mapping[str, Sequence[str]] | None = None,
    *,
    heading: str = "Network",
    measured: str = "accuracy",
) -> View:
    """A row and a line for each network.

    Args:
        title: of the table.
        levels: severities, 0 for clean images.
        rows: by name, what was measured at each level, and its mean.
        more: columns behind the mean by their headings, a cell for each row.
        heading: of the names.
        measured: what the numbers are, for the plot.
    """
    further = more or {}
    table = Table(
        title,
        (heading, *map(level_name, levels), "Avg", *further),
        [
            (name, *(f"{value:.4f}" for value in (*values, mean)), *(cells[index] for cells in further.values()))
            for index, (name, (values, mean)) in enumerate(rows.items())
        ],
    )
    order = sorted(range(len(levels)), key=lambda index: levels[index])
    curves = {
        name: ([levels[index] for index in order], [values[index] for index in order]) for name, (values, _) in rows.items()
    }
    said = "; ".join(f"{name}: {level_line(levels, values)}" for name, (values, _) in rows.items())
    shares = all(0 <= value <= 1 for values, _ in rows.values() for value in values)
    plot = Plot(
        curves, f"level of {distortion} (0 = clean)", measured, f"{measured.capitalize()} against level. {said}",
        (0, 1.02) if shares else None,
    )  # fmt: skip
    return View(table, plot if len(levels) > 1 else None)
