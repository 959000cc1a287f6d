"""Our numbers beside the paper's: ``python -m experiments.tables`` writes ``docs/results.md`` and its figures.

All of it comes from the finished cells in ``results/cifar100`` and from the paper's tables in ``paper_tables.json``.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepcorrect.base.files import read_json, write_text
from deepcorrect.evaluation.significance import paired_t_test
from deepcorrect.runs.results import Record
from experiments.cells import HERE, RESULTS, result_file
from experiments.figures import draw_figures
from experiments.finished import baseline, corrected_filters, mean_top1, random_draws, recipes, saved
from experiments.gate_tables import gate_tables
from experiments.grid import (
    CLAIMS,
    COUNTS,
    DISTORTIONS,
    DRAWS,
    ORDER,
    TABLE5,
    TRAINED,
    IdealCell,
    RestoredCell,
    cells,
    first_layer,
)
from experiments.markdown import titled
from experiments.mixture_tables import mixture_tables
from experiments.ranking_tables import agreement_tables, choice_table, trained_table
from experiments.unlabelled_tables import unlabelled_table

PAGE = HERE.parent / "docs" / "results.md"
PICTURES = PAGE.parent / "figures"
SYMBOLS = {"blur": "σ_b", "noise": "σ_n"}
FIGURES = {
    "figure4": "Figure 4: shares of the first layer ideally corrected",
    "figure5": "Figure 5: half of one layer ideally corrected",
    "figure9": "Figure 9: the most susceptible filters against random ones",
}


def write_page() -> Path:
    """Draw the figures and write the page."""
    draw_figures(PICTURES)
    write_text(PAGE, page())
    return PAGE


def page() -> str:
    """The whole page."""
    paper = read_json(HERE / "paper_tables.json")
    parts = [(HERE / "results_head.md").read_text().rstrip()]
    parts += [_comparison(name, paper[name]) for name in ("table3", "table4")]
    parts += [
        _claims(),
        _table5(paper["table5"]),
        _ideal("figure4"),
        _ideal("figure5"),
        agreement_tables(),
        choice_table(),
        trained_table(),
        mixture_tables(),
        gate_tables(),
        unlabelled_table(),
        _restoring(),
        _figure9(),
        _table6(paper["table6"]),
        _origins(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _comparison(name: str, table: dict[str, Any]) -> str:
    ((distortion,), networks) = TRAINED[name]
    rows = [*_measured("baseline", [baseline(distortion)]), _published("baseline", table["rows"]["Baseline"])]
    for network in networks:
        for recipe in recipes():
            rows += _measured(f"{network.name}, {recipe}", saved(network, distortion, recipe))
        rows.append(_published(network.name, table["rows"][network.name.capitalize()]))
    headings = ["Network", *(f"{SYMBOLS[distortion]} = {level:g}" for level in table["levels"]), "Avg", "Trainable"]
    return titled(f"Table {name[-1]}: {distortion}", headings, rows)


def _claims() -> str:
    """By how much the first network of each claim is better than the second, in the mean over levels and seeds."""
    rows = []
    for recipe in recipes():
        for better, worse in CLAIMS:
            row = [f"{better.name} above {worse.name}, {recipe}"]
            for distortion in DISTORTIONS:
                above, below = saved(better, distortion, recipe), saved(worse, distortion, recipe)
                gain = statistics.mean(mean_top1(above)) - statistics.mean(mean_top1(below)) if above and below else None
                row.append("open" if gain is None else f"{gain:+.4f}" if gain > 0 else f"**{gain:+.4f}**")
            if row[1:] != ["open"] * len(DISTORTIONS):
                rows.append(row)
    if not rows:
        return ""
    return titled("The paper's claims on Tables 3 and 4 (in bold: does not hold here)", ["Claim", *DISTORTIONS], rows)


def _measured(name: str, records: Sequence[Record]) -> list[list[str]]:
    """A row of means over seeds, with the standard deviation of the average where there are several; none without records."""
    if not records:
        return []
    average = f"{statistics.mean(record.mean_top1 for record in records):.4f}"
    if len(records) > 1:
        name += f" ({len(records)} seeds)"
        average += f" ± {statistics.stdev(record.mean_top1 for record in records):.4f}"
    levels = [f"{value:.4f}" for value in mean_top1(records)]
    return [[name, *levels, average, f"{records[0].trainable_parameters:,}"]]


def _published(name: str, row: dict[str, Any]) -> list[str]:
    accuracies = [f"*{value:.4f}*" for value in (*row["top1"], row["avg"])]
    return [f"*{name}, paper*", *accuracies, f"*{row['params']:,}*"]


def _table5(table: dict[str, Any]) -> str:
    rows = []
    for recipe in recipes():
        pairs = []
        for distortion in DISTORTIONS:
            local, across = (saved(network, distortion, recipe) for network in TABLE5)
            for name, records in (("local", local), ("global", across)):
                if records:
                    average = f"{statistics.mean(record.mean_top1 for record in records):.4f}"
                    filters = ", ".join(map(str, corrected_filters(TABLE5[name == "global"], distortion, recipe)))
                    rows.append([f"{distortion}, {name}, {recipe}", average, filters])
            if local and across:
                pairs += list(zip(mean_top1(local), mean_top1(across), strict=True))
        if pairs:
            p = paired_t_test(*zip(*pairs, strict=True))
            rows.append([f"paired t-test over {len(pairs)} levels, {recipe}", f"p = {p:.4f}", ""])
    if not rows:
        return ""
    for distortion, published in (("blur", "gaussian_blur"), ("noise", "awgn")):
        for name in ("local", "global"):
            filters = ", ".join(map(str, table[name]["per_layer"][published]))
            rows.append([f"*paper: {distortion}, {name}*", f"*{table[name][published]:.4f}*", f"*{filters}*"])
    rows.append(["*paper: paired t-test*", f"*p = {table['paired_t_test_p']:.4f}*", ""])
    headings = ["Ranking", "Avg", "Filters corrected per layer"]
    return titled("Table 5: Deepcorr-6c with local and global ranking", headings, rows)


def _ideal(figure: str) -> str:
    rows = []
    for cell in cells([figure], "fast", [0]):
        if isinstance(cell, IdealCell) and result_file(cell).exists():
            content = read_json(result_file(cell))
            for share, count, top1 in zip(content["shares"], content["filters"], content["top1"], strict=True):
                if figure == "figure4" or share == 0.5:
                    levels = [f"{value:.4f}" for value in top1]
                    name = f"{content['distortion']}, {content['layer']}, {count} filters ({share:.0%})"
                    rows.append([name, *levels, f"{statistics.mean(top1):.4f}"])
    if not rows:
        return ""
    headings = ["Corrected", *(f"level {number}" for number in range(1, 7)), "Avg of the six"]
    return titled(FIGURES[figure], headings, rows) + _picture(figure)


def _figure9() -> str:
    rows = []
    pictures = ""
    for recipe in recipes():
        pictures += _picture("figure9", f"-{recipe}")
        for distortion in DISTORTIONS:
            for network in (*(first_layer(count, "local") for count in COUNTS), first_layer(48, "least")):
                rows += _measured(f"{distortion}, {network.name}, {recipe}", saved(network, distortion, recipe))
            for count in COUNTS:
                draws = random_draws(count, distortion, recipe)
                if draws:
                    (row,) = _measured("", draws)
                    rows.append([f"{distortion}, random-{count}, {recipe} ({len(draws)} of {DRAWS} draws)", *row[1:]])
    if not rows:
        return ""
    headings = ["Network", "clean", *(f"level {number}" for number in range(1, 7)), "Avg", "Trainable"]
    return titled(FIGURES["figure9"], headings, rows) + pictures


def _table6(table: dict[str, Any]) -> str:
    rows = []
    for recipe in recipes():
        values = [_ranked_against_random(count, recipe) for count in COUNTS]
        if any(values):
            rows.append([f"p, {recipe}", *(value or "open" for value in values)])
    if not rows:
        return ""
    rows.append(["*paper*", *(f"*{table['p'][str(count)]}*" for count in COUNTS)])
    headings = ["Ranked against random (paired t-test)", *(f"{count} filters" for count in COUNTS)]
    return titled("Table 6", headings, rows)


def _ranked_against_random(count: int, recipe: str) -> str | None:
    ranked: list[float] = []
    random: list[float] = []
    for distortion in DISTORTIONS:
        draws, chosen = random_draws(count, distortion, recipe), saved(first_layer(count, "local"), distortion, recipe)
        if draws and chosen:
            ranked += mean_top1(chosen)
            random += mean_top1(draws)
    if not ranked:
        return None
    return f"{paired_t_test(ranked, random):.2g} (mean gain {statistics.mean(ranked) - statistics.mean(random):+.4f})"


def _restoring() -> str:
    """Tables 7 and 8 on CIFAR-100: images restored before the network sees them, or the network corrected."""
    rows = []
    for distortion in DISTORTIONS:
        file = result_file(RestoredCell(distortion))
        if file.exists():
            for record in read_json(file)["records"]:
                levels = [f"{value:.4f}" for value in record["top1"]]
                rows.append([f"{distortion}, {record['name']}", *levels, f"{record['mean_top1']:.4f}", f"{record['images']:,}"])
    if not rows:
        return ""
    headings = ["Network", "clean", *(f"level {number}" for number in range(1, 7)), "Avg", "Test images"]
    text = "\n\nAn accuracy on 100 images has a standard error of up to five points, on 2,000 of up to one."
    return titled("Restoring images first (as in Tables 7 and 8)", headings, rows) + text


def _origins() -> str:
    rows = []
    for file in sorted(RESULTS.rglob("*.json")):
        content = read_json(file)
        recipe, origin = content.get("settings", {}).get("recipe"), content["provenance"]
        machine = origin["machine"]
        described = f"{recipe['epochs']} x {45_000 * recipe['passes']:,} images, rate {recipe['rate']:g}" if recipe else ""
        computer = f"{machine.get('gpu', machine['processor'])}, {machine['threads']} threads"
        minutes = f"{origin['seconds'] / 60:.0f}" if "seconds" in origin else ""
        name = file.relative_to(RESULTS).with_suffix("").as_posix()
        rows.append([name, described, minutes, computer, origin.get("commit", ""), origin["finished"]])
    wanted = cells(ORDER, "fast", [0])
    done = sum(result_file(cell).exists() for cell in wanted)
    text = (
        "\n\nWhere a network was trained, minutes are those of the training alone. Cells that finished before commit 1b7b0d8"
        f" name the commit at their end, others at their start.\n\n{done} of the {len(wanted)} cells of the `fast` recipe"
        " with seed 0 have been measured."
    )
    return titled("Where they come from", ["Cell", "Recipe", "Minutes", "Machine", "Commit", "Finished"], rows) + text


def _picture(figure: str, suffix: str = "") -> str:
    """A link to what ``draw_figures`` has drawn, if it has."""
    drawn = PICTURES / f"{figure}{suffix}.svg"
    return f"\n\n![{FIGURES[figure]}]({PICTURES.name}/{drawn.name})" if drawn.exists() else ""


if __name__ == "__main__":
    print(write_page())
