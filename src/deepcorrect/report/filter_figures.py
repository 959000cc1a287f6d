"""Which filters suffer: priorities, the first layer's kernels in their order, and the accuracy under ideal correction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from deepcorrect.report import plots
from deepcorrect.report.drawing import Sheet
from deepcorrect.runs.saved import Ranking, SavedRun, Section

HEADING = "Which filters suffer"
MOST_CURVES = 10


def draw_filter_figures(section: Section, sheet: Sheet) -> None:
    """Each ranking once, however many corrections were chosen by it, and each measurement of ideal corrections."""
    drawn: list[Ranking] = []
    for run in section.detailed:
        if run.ranking is not None and run.ranking not in drawn:
            drawn.append(run.ranking)
            sharing = [other for other in section.detailed if other.ranking == run.ranking]
            _ranking(run.ranking, sharing, sheet)
    for run in section.detailed:
        _ideal(run, section, sheet)


def _ranking(ranking: Ranking, runs: Sequence[SavedRun], sheet: Sheet) -> None:
    chosen = next((dict(run.plan.filters) for run in runs if run.plan), {})
    commands, name = [run.command_line for run in runs], runs[0].folder.name
    best = {layer: ranking.local(layer)[0] for layer in ranking.scores}
    said = "; ".join(f"{layer}: filter {top} first, {ranking.scores[layer][top]:+.4f}" for layer, top in best.items())
    measured = f"under {ranking.distortion} ({ranking.images} images per level)"
    rows = len(ranking.scores)
    sheet.draw(
        HEADING, f"priority-map-{name}", f"Correction priority by layer and filter {measured}", said,
        lambda axes: plots.plot_priority_map(axes[0], ranking, chosen),
        commands=commands, note=_trust(ranking, {layer: len(filters) for layer, filters in chosen.items()}),
        size=(6.4, max(3.0, 1.2 + 0.22 * rows)),
    )  # fmt: skip
    if rows <= MOST_CURVES:
        sheet.draw(
            HEADING, f"priority-{name}", f"Correction priority of every filter {measured}", said,
            lambda axes: plots.plot_priority(axes[0], ranking, chosen), commands=commands,
        )  # fmt: skip
    layer, weights = next((item for run in runs for item in run.kernels.items()), ("", None))
    if weights is not None and layer in ranking.scores:
        order = ranking.local(layer)
        sheet.draw(
            HEADING, f"kernels-{name}", f"Filters of {layer}, most susceptible first",
            f"In order of priority: {', '.join(map(str, order))}",
            lambda axes: plots.plot_kernels(axes[0], weights, order, chosen.get(layer, ())), commands=commands,
        )  # fmt: skip


def _trust(ranking: Ranking, counts: Mapping[str, int]) -> str:
    """How far a ranking is to be trusted, where that was measured."""
    reliable = {layer: scores[ranking.score] for layer, scores in ranking.reliability.items() if ranking.score in scores}
    needed = {layer: ranking.images_to_separate(layer, count) for layer, count in counts.items()}
    separated = [f"{layer} {images:,.0f}" for layer, images in needed.items() if math.isfinite(images)]
    parts = []
    if reliable:
        values = [f"{layer} {correlation:.2f}" for layer, correlation in reliable.items()]
        if len(values) > MOST_CURVES:
            values = [f"{min(reliable.values()):.2f} to {max(reliable.values()):.2f} over {len(values)} layers"]
        parts.append(f"Expected rank correlation with a ranking on the same number of other images: {', '.join(values)}.")
    if separated:
        parts.append(
            "Images per level needed to separate the last corrected filter from the next by two standard errors: "
            f"{', '.join(separated)}."
        )
    return " ".join(parts)


def _ideal(run: SavedRun, section: Section, sheet: Sheet) -> None:
    """Figures 4 and 5: shares of the first layer, and of each layer the share that is nearest to a half."""
    curves = run.ideal
    if curves is None or section.records[0].kind != "baseline":
        return
    clean, first = section.records[0].top1[0], next(iter(curves.top1))
    half = min(curves.shares[1:], key=lambda share: abs(share - 0.5))
    by_share = {f"{share:.0%}": fmean(top1) for share, top1 in zip(curves.shares, curves.top1[first], strict=True)}
    by_layer = {layer: fmean(top1[curves.shares.index(half)]) for layer, top1 in curves.top1.items()}
    sheet.draw(
        HEADING, f"ideal-shares-{run.folder.name}", f"Ideal correction of a growing share of {first}", _means(by_share),
        lambda axes: plots.plot_ideal_shares(axes[0], curves, first, clean), commands=[run.command_line],
    )  # fmt: skip
    sheet.draw(
        HEADING, f"ideal-layers-{run.folder.name}", f"Ideal correction of {half:.0%} of one layer", _means(by_layer),
        lambda axes: plots.plot_ideal_layers(axes[0], curves, half, clean), commands=[run.command_line],
    )  # fmt: skip


def _means(values: Mapping[str, float]) -> str:
    return "; ".join(f"{label}: mean {value:.3f}" for label, value in values.items())
