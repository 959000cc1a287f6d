"""The section on one correction for many distortions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from deepcorrect.base.files import read_json
from deepcorrect.distortions.registry import GROUPS
from deepcorrect.runs.results import Record
from experiments.cells import result_file
from experiments.finished import baseline, recipes, saved
from experiments.grid import DISTORTIONS, Cell, deepcorr
from experiments.markdown import titled
from experiments.mixture import CORRUPTIONS, PAIR, CorruptionsCell, MixtureCell


def mixture_tables() -> str:
    """For each recipe: blur and noise by one correction or by two, and the common corruptions."""
    tables = [table for recipe in recipes() for table in (_pair(recipe), _corruptions(recipe)) if table]
    return "\n\n".join(tables)


def _pair(recipe: str) -> str:
    mixed = _records(MixtureCell("deepcorr-6", PAIR, recipe, 0))
    rows = []
    for distortion in DISTORTIONS:
        single = saved(deepcorr(6), distortion, recipe)
        for name, records in (
            ("baseline", [baseline(distortion)]),
            ("deepcorr-6 for it alone", single[:1]),
            ("deepcorr-6 for both", [mixed[distortion]] if mixed else []),
        ):
            for record in records:
                levels = [f"{value:.4f}" for value in record.top1]
                rows.append([f"{distortion}, {name}", *levels, f"{record.mean_top1:.4f}"])
    if not mixed:
        return ""
    headings = ["Network", "clean", *(f"level {number}" for number in range(1, 7)), "Avg"]
    return titled(f"One correction for blur and noise, {recipe}", headings, rows)


def _corruptions(recipe: str) -> str:
    """Means over the five severities, and the share of what a corruption costs that each network recovers."""
    before = _records(CorruptionsCell())
    networks = {name: _records(MixtureCell(name, CORRUPTIONS, recipe, 0)) for name in ("deepcorr-6", "finetune-9")}
    networks = {name: records for name, records in networks.items() if records}
    if not before or not networks:
        return ""
    first = next(iter(before))
    rows = [["clean", f"{before[first].top1[0]:.4f}", *(f"{each[first].top1[0]:.4f}" for each in networks.values())]]
    rows[0] += [""] * len(networks)
    seen, unseen = GROUPS["imagenet-c"], GROUPS["imagenet-c-extra"]
    for title, members in (("**mean of the 15**", seen), ("**mean of the 4 that no network was trained for**", unseen)):
        rows += [_row(name, [name], before, networks.values()) for name in members]
        rows.append(_row(title, members, before, networks.values()))
    headings = ["Corruption", "baseline", *networks, *(f"recovered by {name}" for name in networks)]
    text = (
        "\n\nMean top-1 accuracy over severities 1 to 5. Recovered: of the accuracy that a corruption costs the baseline, the "
        "share that the network gains; of several corruptions, of what they cost together."
    )
    return titled(f"One network for the common corruptions, {recipe}", headings, rows) + text


def _row(title: str, corruptions: Sequence[str], before: dict[str, Record], networks: Iterable[dict[str, Record]]) -> list[str]:
    clean, was = before[corruptions[0]].top1[0], _mean(corruptions, before)
    values = [_mean(corruptions, records) for records in networks]
    lost = clean - was
    return [
        title, f"{was:.4f}", *(f"{value:.4f}" for value in values),
        *(f"{(value - was) / lost:.1%}" if lost > 0 else "" for value in values),
    ]  # fmt: skip


def _mean(corruptions: Sequence[str], records: dict[str, Record]) -> float:
    return fmean(fmean(records[corruption].top1[1:]) for corruption in corruptions)


def _records(cell: Cell) -> dict[str, Record]:
    """A finished cell's, by distortion."""
    file = result_file(cell)
    records = map(Record.model_validate, read_json(file)["records"] if file.exists() else ())
    return {record.distortion: record for record in records}
