"""The corrected network: its layers and units, its features, its accuracy by class, and its answers to sample images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from matplotlib.axes import Axes

from deepcorrect.report import plots
from deepcorrect.report.drawing import Sheet
from deepcorrect.runs.architecture import Architecture, UnitDescription
from deepcorrect.runs.classes import class_counts, class_means
from deepcorrect.runs.penultimate import Penultimate
from deepcorrect.runs.results import Record
from deepcorrect.runs.saved import SavedRun, Section

NETWORK = "The corrected network"
INSIDE = "Features, classes and answers"


def draw_network_figures(section: Section, sheet: Sheet) -> None:
    """Every figure for which the section's runs have the numbers."""
    _architectures(section, sheet)
    for number, (penultimate, runs) in enumerate(_grouped_by_images(section)):
        with sheet.attempt(INSIDE, "Penultimate features of test images by class"):
            _embedding(f"embedding-{number}", penultimate, runs, section.distortion_of(runs[0]), sheet)
    _classes(section, sheet)
    _samples(section, sheet)


def _architectures(section: Section, sheet: Sheet) -> None:
    """Each architecture once, and the first of its correction units."""
    shown: list[Architecture] = []
    for run in section.trained:
        drawn = run.architecture
        if drawn is None or drawn in shown:
            continue
        shown.append(drawn)
        units = {layer.name: layer.unit for layer in drawn.layers if layer.unit is not None}
        said = [f"{name}: correction unit on {unit.filters} filters" for name, unit in units.items()]
        said += [f"{layer.name}: trained" for layer in drawn.layers if layer.retrained]
        _architecture(run, drawn, "; ".join(said), sheet)
        if units:
            _unit(run, *next(iter(units.items())), sheet)


def _architecture(run: SavedRun, drawn: Architecture, said: str, sheet: Sheet) -> None:
    sheet.draw(
        NETWORK, f"architecture-{run.folder.name}", f"{run.trained_name}: layers and what is trained", said,
        lambda axes: plots.plot_architecture(axes[0], drawn), commands=[run.command_line], size=plots.architecture_size(drawn),
    )  # fmt: skip


def _unit(run: SavedRun, layer: str, unit: UnitDescription, sheet: Sheet) -> None:
    sheet.draw(
        NETWORK, f"unit-{run.folder.name}", f"The correction unit behind {layer}",
        f"{unit.filters} filters in and out, {unit.width} channels inside", lambda axes: plots.plot_unit(axes[0], unit),
        commands=[run.command_line], size=(7.2, 1.4),
    )  # fmt: skip


def _embedding(name: str, penultimate: Penultimate, runs: Sequence[SavedRun], distortion: str, sheet: Sheet) -> None:
    """t-SNE, a row a network, a column a level."""
    points, levels = plots.embed(penultimate), penultimate.levels.tolist()
    separation = {
        network: ", ".join(f"{plots.class_separation(level, penultimate.labels):.2f}" for level in values)
        for network, values in penultimate.features.items()
    }

    def draw(axes: Sequence[Axes]) -> None:
        panels = iter(axes)
        for network, maps in points.items():
            for level, positions in zip(levels, maps, strict=True):
                panel = next(panels)
                rightmost = level == levels[-1]
                plots.plot_embedding(panel, positions, penultimate.labels.numpy(), runs[0].classes, legend=rightmost)
                seen = f"{plots.drawable(distortion, 24)} {level:g}" if level else "clean"
                panel.set_title(f"{plots.drawable(network, 32)}, {seen}", fontsize="small")

    sheet.draw(
        INSIDE, name, "Penultimate features of test images by class (t-SNE), from clean to severe",
        "Share of an image's five nearest neighbours that belong to its class, from clean to severe: "
        + "; ".join(f"{network} {shares}" for network, shares in separation.items()),
        draw, commands=[run.command_line for run in runs], grid=(len(points), len(levels)), shared=True,
        size=(3.2 * len(levels), 0.6 + 2.8 * len(points)),
    )  # fmt: skip


def _grouped_by_images(section: Section) -> list[tuple[Penultimate, list[SavedRun]]]:
    """The features of the same images together, with the runs that they come from."""
    groups: list[tuple[Penultimate, list[SavedRun]]] = []
    for run in section.trained:
        penultimate = run.penultimate
        if penultimate is None:
            continue
        for index, (known, runs) in enumerate(groups):
            if known.labels.equal(penultimate.labels) and known.levels.equal(penultimate.levels):
                groups[index] = (known._replace(features={**known.features, **penultimate.features}), [*runs, run])
                break
        else:
            groups.append((penultimate, [run]))
    return groups


def _classes(section: Section, sheet: Sheet) -> None:
    """Corrected networks against fine-tuned ones, or against the baseline where there is none."""
    corrected = [record for record in section.records if record.kind == "correction"]
    tuned = [record for record in section.records if record.kind == "finetuned"]
    others = tuned or [record for record in section.records if record.kind == "baseline"]
    classes = next((run.classes for run in section.runs if run.classes), None)
    for first, second in product(corrected, others):
        _differences(first, second, classes, section, sheet)


def _differences(first: Record, second: Record, classes: Sequence[str] | None, section: Section, sheet: Sheet) -> None:
    ours, theirs = class_means(first), class_means(second)
    won, lost, equal = class_counts(ours, theirs)
    sheet.draw(
        INSIDE, f"classes-{first.name}-{second.name}",
        f"{section.measured.capitalize()} of {first.name} minus that of {second.name} in each class, mean over levels",
        f"{first.name} is better in {won} classes, worse in {lost}, equal in {equal}",
        lambda axes: plots.plot_class_differences(axes[0], ours, theirs, classes, names=(first.name, second.name)),
        commands=section.commands_of(first, second), size=(5, 4.4),
    )  # fmt: skip


def _samples(section: Section, sheet: Sheet) -> None:
    """Those of the first run that has some, for each of its networks."""
    for run in section.trained:
        if run.samples is not None:
            for network in run.samples["answers"]:
                _answers(run, run.samples, network, section.increasing_in(run), sheet)
            return


def _answers(run: SavedRun, samples: dict[str, Any], network: str, increasing: str, sheet: Sheet) -> None:
    right = [sum(answer["right"] for answer in level) for level in samples["answers"][network]]
    sheet.draw(
        INSIDE, f"samples-{network}-{run.folder.name}", f"Answers of {network} under {increasing}",
        f"Correct of {len(samples['labels'])}, from clean to severe: {', '.join(map(str, right))}",
        lambda axes: plots.plot_samples(axes[0], samples, network),
        commands=[run.command_line], size=plots.samples_size(samples),
    )  # fmt: skip
