"""Tables 3 and 4 with our numbers beside the paper's: ``python -m experiments.tables`` writes ``docs/results.md``.

Everything on the page comes from ``results/cifar100`` and from the paper's tables in ``paper_tables.json``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepcorrect.files import read_json, write_text
from deepcorrect.results import Record, Results, by_ladder

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "cifar100"
PAGE = HERE.parent / "docs" / "results.md"
SYMBOLS = {"blur": "σ_b", "noise": "σ_n"}


def saved_results() -> dict[str, Results]:
    """Every saved run by name."""
    return {path.stem: Results.model_validate(read_json(path)) for path in sorted(RESULTS.glob("*.json"))}


def page() -> str:
    """The whole page."""
    runs = saved_results()
    parts = [(HERE / "results_head.md").read_text().rstrip()]
    for number, table in read_json(HERE / "paper_tables.json").items():
        groups = by_ladder(record for run in runs.values() for record in run.records)
        (records,) = [group for group in groups if group[0].distortion == table["distortion"]]
        parts.append(_table(number[-1], table, records))
    parts.append(_origins(runs))
    return "\n\n".join(parts) + "\n"


def _table(number: str, table: dict[str, Any], records: list[Record]) -> str:
    symbol = SYMBOLS[table["distortion"]]
    headings = ["Network", *(f"{symbol} = {level:g}" for level in table["levels"]), "Avg", "Trainable"]
    lines = [f"## Table {number}: {table['distortion']}", "", _row(headings), _row(["---"] + ["---:"] * (len(headings) - 1))]
    for record in records:
        lines.append(_row([record.name, *_accuracies(record.top1, record.mean_top1), f"{record.trainable_parameters:,}"]))
        published = table["rows"].get(record.name.capitalize())
        if published:
            accuracies = _accuracies(published["top1"], published["avg"])
            lines.append(_row(["*paper*", *(f"*{value}*" for value in accuracies), f"*{published['params']:,}*"]))
    return "\n".join(lines)


def _accuracies(top1: list[float] | tuple[float, ...], mean: float) -> list[str]:
    return [f"{value:.4f}" for value in (*top1, mean)]


def _origins(runs: dict[str, Results]) -> str:
    lines = [
        "## Where they come from",
        "",
        _row(["Run", "Recipe", "Seed", "Precision", "Machine", "Finished"]),
        _row(["---"] * 6),
    ]
    for name, run in runs.items():
        recipe, machine = run.settings["recipe"], run.provenance["machine"]
        described = (
            f"{recipe['epochs']} epochs of {45_000 * recipe['passes']:,}, rate {recipe['rate']:g}, {recipe['precision']}"
        )
        computer = f"{machine.get('gpu', machine['processor'])}, {machine['threads']} threads"
        cells = [name, described, str(run.settings["seed"]), run.settings["precision"], computer, run.provenance["finished"]]
        lines.append(_row(cells))
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    write_text(PAGE, page())
    print(PAGE)
