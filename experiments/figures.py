"""Figures 4, 5 and 9 from finished cells, as SVG files."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepcorrect.base.files import read_json, write_text
from deepcorrect.report.plots import plot_levels
from experiments.cells import result_file
from experiments.finished import baseline, mean_top1, random_draws, recipes, saved
from experiments.grid import COUNTS, DISTORTIONS, LAYERS, first_layer, ideal_cell


def draw_figures(folder: Path) -> None:
    """Draw those figures that any cell is finished of."""
    folder.mkdir(parents=True, exist_ok=True)
    _draw(folder / "figure4.svg", [partial(_shares, distortion=d) for d in DISTORTIONS])
    _draw(folder / "figure5.svg", [partial(_layers, distortion=d) for d in DISTORTIONS])
    for recipe in recipes():
        _draw(folder / f"figure9-{recipe}.svg", [partial(_ranked_and_random, distortion=d, recipe=recipe) for d in DISTORTIONS])


def _shares(axes: Axes, distortion: str) -> bool:
    """Figure 4: more and more of the first layer ideally corrected."""
    cell = ideal_cell(distortion, LAYERS[0])
    if not result_file(cell).exists():
        return False
    before = baseline(distortion)
    content = read_json(result_file(cell))
    curves = {"baseline": before.top1}
    for share, top1 in zip(content["shares"], content["top1"], strict=True):
        curves[f"{share:.0%} of {LAYERS[0]}"] = (before.top1[0], *top1)
    plot_levels(axes, distortion, before.levels, curves)
    return True


def _layers(axes: Axes, distortion: str) -> bool:
    """Figure 5: half of one layer ideally corrected."""
    before = baseline(distortion)
    curves = {"baseline": before.top1}
    for layer in LAYERS[:5]:
        cell = ideal_cell(distortion, layer)
        if result_file(cell).exists():
            content = read_json(result_file(cell))
            curves[f"half of {layer}"] = (before.top1[0], *content["top1"][content["shares"].index(0.5)])
    plot_levels(axes, distortion, before.levels, curves)
    return len(curves) > 1


def _ranked_and_random(axes: Axes, distortion: str, recipe: str) -> bool:
    """Figure 9: Deepcorr-1 on ranked filters (solid) and the mean of those on random filters (dashed)."""
    solid = {f"ranked-{count}": saved(first_layer(count, "local"), distortion, recipe) for count in COUNTS}
    solid["ranked-48-least"] = saved(first_layer(48, "least"), distortion, recipe)
    dashed = {f"random-{count}": random_draws(count, distortion, recipe) for count in COUNTS}
    if not any((*solid.values(), *dashed.values())):
        return False
    plot_levels(
        axes, distortion, baseline(distortion).levels,
        {name: mean_top1(records) for name, records in solid.items() if records},
        dashed={name: mean_top1(records) for name, records in dashed.items() if records},
    )  # fmt: skip
    return True


def _draw(path: Path, panels: Sequence[Callable[[Axes], bool]]) -> None:
    """Panels side by side; nothing is written if none of them has anything to show."""
    figure = Figure(figsize=(5.5 * len(panels), 4.2), layout="constrained")
    drawn = []
    for axes, panel in zip(figure.subplots(1, len(panels)), panels, strict=True):
        drawn.append(panel(axes))
        axes.set_visible(drawn[-1])
    if any(drawn):
        write_svg(figure, path)


def write_svg(figure: Figure, path: Path) -> None:
    """Write a figure so that the same figure gives the same file."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    write_text(path, text.getvalue())
