"""One self-contained page, and its figures as files, from saved runs alone: no network is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import write_text
from deepcorrect.base.names import encodable
from deepcorrect.report.accuracy_figures import draw_accuracy_figures
from deepcorrect.report.drawing import Sheet
from deepcorrect.report.filter_figures import draw_filter_figures
from deepcorrect.report.network_figures import draw_network_figures
from deepcorrect.report.robustness_figures import HEADING, draw_robustness_figures
from deepcorrect.runs.comparison import Comparison, compare_records
from deepcorrect.runs.saved import Section, read_sections
from deepcorrect.runs.sent import in_words, shares


def build_report(folders: Sequence[Path], output: Path) -> Path:
    """Write ``output`` (HTML) and, in ``figures`` beside it, its figures as PNG and SVG.

    Args:
        folders: finished runs; their records are shown together, distortion by distortion. A figure that cannot be drawn is
            named in the page with its reason.

    Raises:
        DeepcorrectError: a folder holds no finished run, or the page cannot be written.
    """
    runs, sections = read_sections(folders)
    if not sections:
        raise DeepcorrectError(f"{folders[0]}: no accuracies to show; give runs of assess, correct, finetune or evaluate")
    environment = Environment(loader=PackageLoader("deepcorrect.report"), autoescape=True)
    comparisons = {(comparison.distortion, comparison.levels): comparison for comparison in compare_records(folders)}
    figures = output.parent / "figures"
    taken: set[Path] = set()
    shown = [_show(section, Sheet(figures, section.tag, taken=taken), comparisons) for section in sections]
    write_text(output, encodable(environment.get_template("report.html.j2").render(sections=shown, runs=runs)))
    return output


def _show(section: Section, sheet: Sheet, comparisons: Mapping[tuple[str, tuple[float, ...]], Comparison]) -> dict[str, Any]:
    for draw in (draw_robustness_figures, draw_accuracy_figures, draw_filter_figures, draw_network_figures):
        with sheet.attempt("Other figures", "Some figures"):
            draw(section, sheet)
    records = section.records
    return {
        "id": section.tag,
        "distortion": section.distortion,
        "increasing": section.increasing,
        "levels": section.levels,
        "images": records[0].images,
        "headline": _headline(section),
        "agreement": records[0].agreement,
        "records": records,
        "best": [max(record.top1[index] for record in records) for index in range(len(section.levels))],
        "best_mean": max(record.mean_top1 for record in records),
        "commands": {record.name: section.commands_of(record) for record in records},
        "gates": [
            {"name": record.name, "rows": shares(record.sent), "words": in_words(record.distortion, record.levels, record.sent)}
            for record in records
            if record.sent
        ],
        "comparisons": _comparisons(section, comparisons),
        "robustness": section.robustness_views(),
        "samples": _merge_samples(section),
        "first": {HEADING: sheet.groups.pop(HEADING)} if HEADING in sheet.groups else {},
        "groups": sheet.groups,
    }


def _comparisons(section: Section, known: Mapping[tuple[str, tuple[float, ...]], Comparison]) -> list[Comparison]:
    """Of the networks under the section's distortion, or under each of its corruptions."""
    found = (known.get((distortion, section.levels)) for distortion in section.distortions)
    return [comparison for comparison in found if comparison is not None]


def _headline(section: Section) -> str:
    """What the distortion costs, and how much of that the best network recovers, on average over the levels above 0."""
    means = {record.name: sum(record.top1[1:]) / max(1, len(record.top1) - 1) for record in section.records}
    first, *others = section.records
    name = "The baseline" if first.name == "baseline" else first.name
    said = (
        f"{name} classifies {first.top1[0]:.1%} of clean images correctly, "
        f"and {means[first.name]:.1%} under {section.distortion}, averaged over the severities."
    )
    if first.agreement:
        said = (
            f"These images have no labels, so this is no accuracy: {name.lower() if name == 'The baseline' else name} answers "
            f"{means[first.name]:.1%} of the images under {section.distortion} as the network itself answers the clean ones, "
            "averaged over the severities."
        )
    lost = first.top1[0] - means[first.name]
    if not others or lost <= 0:
        return said
    best = max(others, key=lambda record: means[record.name])
    recovered = (means[best.name] - means[first.name]) / lost
    return f"{said} {best.name} reaches {means[best.name]:.1%} there and so recovers {recovered:.0%} of the loss."


def _merge_samples(section: Section) -> list[dict[str, Any]]:
    """The samples of a section's runs, those of the same images as one, with every network's answers."""
    merged: list[dict[str, Any]] = []
    for run in section.trained:
        if run.samples is None:
            continue
        same = next((other for other in merged if other["images"] == run.samples["images"]), None)
        if same is None:
            under = {"distortion": section.distortion_of(run), "increasing": section.increasing_in(run)}
            merged.append({"format": "png", **run.samples, **under, "commands": [run.command_line]})
        else:
            same["answers"] |= run.samples["answers"]
            same["commands"].append(run.command_line)
    return merged
