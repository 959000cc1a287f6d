"""Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence


def titled(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A heading and a table under it, numbers to the right."""
    alignment = ["---"] + ["---:"] * (len(headings) - 1)
    return "\n".join([f"## {title}", "", *(_row(cells) for cells in (headings, alignment, *rows))])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
