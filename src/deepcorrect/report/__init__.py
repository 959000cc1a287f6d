"""One self-contained page, and its figures as files, from saved runs alone: no network is run."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from jinja2 import Environment, PackageLoader
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepcorrect.correction import read_header
from deepcorrect.errors import DeepcorrectError
from deepcorrect.files import read_json, write_text, written_aside
from deepcorrect.plots import plot_accuracy, plot_priority, plot_training
from deepcorrect.ranking import Ranking
from deepcorrect.results import Record, Results, by_ladder, read_together

matplotlib.use("Agg")


@dataclass(frozen=True)
class _Saved:
    """What a run folder holds."""

    folder: Path
    results: Results

    def optional(self, name: str) -> dict[str, Any] | None:
        path = self.folder / name
        return read_json(path) if path.is_file() else None

    @property
    def trained_name(self) -> str:
        return self.results.records[-1].name


@dataclass(frozen=True)
class _Drawing:
    title: str
    alternative: str
    png: str
    note: str


def build_report(folders: Sequence[Path], output: Path) -> Path:
    """Write ``output`` (HTML) and, in ``figures`` beside it, its figures as PNG and SVG.

    Args:
        folders: finished runs; their records are shown together, distortion by distortion.

    Raises:
        DeepcorrectError: a folder holds no finished run, or the page cannot be written.
    """
    runs = [_Saved(folder, run) for folder, run in zip(folders, read_together(folders), strict=True)]
    groups = by_ladder(record for run in runs for record in run.results.records)
    if not groups:
        raise DeepcorrectError(f"{folders[0]}: no accuracies to show; give runs of assess, correct, finetune or evaluate")
    figures = output.parent / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    sections = [_section(records, runs, figures) for records in groups]
    environment = Environment(loader=PackageLoader("deepcorrect", "templates"), autoescape=True)
    page = environment.get_template("report.html.j2").render(sections=sections, runs=runs)
    write_text(output, page)
    return output


def _section(records: Sequence[Record], runs: Sequence[_Saved], figures: Path) -> dict[str, Any]:
    distortion, levels = records[0].distortion, records[0].levels
    tag = f"{distortion}-{levels[1]:g}-to-{levels[-1]:g}"
    concerned = [run for run in runs if any(record in records for record in run.results.records)]
    trained = [run for run in concerned if run.results.command in ("correct", "finetune")]
    title = f"Accuracy as {distortion} grows"
    drawings = [_draw(figures, f"accuracy-{tag}", title, _said(records), lambda axes: plot_accuracy(axes, records))]
    curves = {run.trained_name: _validation_curve(run) for run in trained}
    if curves:
        said = "; ".join(f"{name} ends at {points[-1][1]:.3f}" for name, points in curves.items())
        title = "Validation accuracy while training"
        drawings.append(_draw(figures, f"training-{tag}", title, said, lambda axes: plot_training(axes, curves)))
    drawings += [_draw_priority(figures, tag, run) for run in trained if (run.folder / "ranking.json").is_file()]
    return {
        "distortion": distortion,
        "levels": levels,
        "images": records[0].images,
        "records": records,
        "best": [max(record.top1[place] for record in records) for place in range(len(levels))],
        "drawings": drawings,
        "samples": _merge_samples(trained),
    }


def _merge_samples(runs: Sequence[_Saved]) -> list[dict[str, Any]]:
    """One table for all runs that show the same images, with every network's answers."""
    merged: list[dict[str, Any]] = []
    for run in runs:
        samples = run.optional("samples.json")
        if samples is None:
            continue
        baseline, trained = samples["answers"].values()
        answers = {"baseline": baseline, run.trained_name: trained}
        same = next((other for other in merged if other["images"] == samples["images"]), None)
        if same is None:
            merged.append(samples | {"answers": answers})
        else:
            same["answers"] |= answers
    return merged


def _draw_priority(figures: Path, tag: str, run: _Saved) -> _Drawing:
    ranking = Ranking.load(run.folder / "ranking.json")
    plan = read_header(run.folder / "correction.safetensors")
    best = {layer: ranking.local(layer)[0] for layer in ranking.scores}
    said = "; ".join(f"{layer}: filter {top} first, {ranking.scores[layer][top]:+.4f}" for layer, top in best.items())
    title = f"Correction priority of every filter under {ranking.distortion} ({ranking.images} images a level)"
    return _draw(
        figures,
        f"priority-{tag}-{run.folder.name}",
        title,
        said,
        lambda axes: plot_priority(axes, ranking, plan.filters),
        note=_trust(ranking, {layer: len(filters) for layer, filters in plan.filters.items()}),
    )


def _trust(ranking: Ranking, counts: Mapping[str, int]) -> str:
    """How far a ranking is to be trusted, where that was measured."""
    reliable = [f"{layer} {found[ranking.score]:.2f}" for layer, found in ranking.reliability.items() if ranking.score in found]
    needed = {layer: ranking.images_to_separate(layer, count) for layer, count in counts.items()}
    separated = [f"{layer} {images:,.0f}" for layer, images in needed.items() if math.isfinite(images)]
    parts = []
    if reliable:
        parts.append(f"Rank correlation to be expected of a ranking on as many other images: {', '.join(reliable)}.")
    if separated:
        parts.append(
            "Images a level that would put two standard errors between the last corrected filter and the next: "
            f"{', '.join(separated)}."
        )
    return " ".join(parts)


def _validation_curve(run: _Saved) -> list[tuple[int, float]]:
    epochs = read_json(run.folder / "metrics.json")["epochs"]
    return [(epoch["steps"], sum(epoch["validation_top1"]) / len(epoch["validation_top1"])) for epoch in epochs]


def _said(records: Sequence[Record]) -> str:
    return "; ".join(f"{record.name} falls from {record.top1[0]:.3f} to {record.top1[-1]:.3f}" for record in records)


def _draw(folder: Path, name: str, title: str, alternative: str, plot: Callable[[Axes], Axes], *, note: str = "") -> _Drawing:
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    plot(figure.subplots())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    for suffix in ("png", "svg"):
        with written_aside(folder / f"{name}.{suffix}") as partial:
            figure.savefig(partial, format=suffix, dpi=150)
    return _Drawing(title, alternative, base64.b64encode(buffer.getvalue()).decode(), note)
