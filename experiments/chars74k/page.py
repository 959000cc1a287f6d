"""The page of the photographs: ``docs/photographs.md``, written from the files in ``results/chars74k``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from deepcorrect.base.files import read_json
from experiments.chars74k.cells import RESULTS
from experiments.chars74k.methods import BASELINE, METHODS, Method
from experiments.markdown import titled

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "photographs.md"
PARTS = {"good": "Good", "bad": "Bad, all", "seen": "Bad, half that was looked at", "unseen": "Bad, other half"}


def page() -> str:
    """The whole page, from the finished cells."""
    saved = {method: cells for method in METHODS if (cells := finished(method))}
    parts = [(HERE / "page_head.md").read_text().rstrip(), _accuracies(saved), _kinds(saved), _origins(saved)]
    return "\n\n".join(part for part in parts if part) + "\n"


def finished(method: Method) -> list[dict[str, Any]]:
    """The contents of a method's files, one for each finished seed."""
    return [read_json(file) for file in sorted(RESULTS.glob(f"{method.name}-seed*.json"))]


def _accuracies(saved: dict[Method, list[dict[str, Any]]]) -> str:
    rows = []
    for method, cells in saved.items():
        shares = [_spread(cells, lambda cell, part=part: cell["top1"][part]) for part in PARTS]  # type: ignore[misc]
        rows.append([method.title, *shares, f"{cells[0]['trainable_parameters']:,}", str(len(cells))])
    headings = ["Network", *PARTS.values(), "Trained parameters", "Seeds"]
    return titled("Share of photographs classified correctly", headings, rows) if rows else ""


def _kinds(saved: dict[Method, list[dict[str, Any]]]) -> str:
    if BASELINE not in saved:
        return ""
    rows = []
    for kind, whole in saved[BASELINE][0]["kinds"].items():
        means = [f"{fmean(cell['kinds'][kind]['top1'] for cell in cells):.3f}" for cells in saved.values()]
        rows.append([kind, f"{whole['images']:,}", *means])
    headings = ["Bad photographs that are", "Images", *(method.title for method in saved)]
    return titled("What is wrong with the bad photographs, and who classifies them correctly", headings, rows)


def _origins(saved: dict[Method, list[dict[str, Any]]]) -> str:
    rows = []
    for method, cells in saved.items():
        origin = cells[0]["provenance"]
        machine = origin["machine"]
        computer = f"{machine.get('gpu', machine['processor'])}, {machine['threads']} threads"
        seconds = fmean(cell["provenance"]["seconds"] for cell in cells)
        rows.append([method.title, computer, origin["versions"]["torch"], f"{seconds:,.0f}"])
    return titled("Where they come from", ["Network", "Machine", "torch", "Seconds a seed"], rows) if rows else ""


def _spread(cells: Sequence[dict[str, Any]], of: Callable[[dict[str, Any]], float]) -> str:
    """The mean over seeds, and how far the seeds lie from it at most."""
    values = [of(cell) for cell in cells]
    mean = fmean(values)
    return f"{mean:.3f}" if len(values) == 1 else f"{mean:.3f} ± {max(abs(value - mean) for value in values):.3f}"
