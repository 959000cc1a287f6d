"""The five pictures of ``docs/method.md``, drawn from finished cells: ``python -m experiments.pictures``.

Each function returns in words, with the numbers, what its picture shows: the picture's text alternative on the page.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import Tensor

from deepcorrect.adapters.units import unit_shape
from deepcorrect.base.files import read_json
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.report.plots import COLOURS, plot_levels
from experiments.cells import result_file, saved_ranking
from experiments.figures import write_svg
from experiments.finished import baseline, recipes, saved
from experiments.grid import DISTORTIONS, FILTERS, LAYERS, corrected, deepcorr, finetune, ideal_cell
from experiments.tables import PICTURES

FROZEN, TRAINED = "#d9d9d9", "#E69F00"


def draw_pictures(folder: Path) -> dict[str, str]:
    """Write the pictures into a folder, and return their text alternatives by the names of their files."""
    folder.mkdir(parents=True, exist_ok=True)
    said = {}
    for draw in (distortions, priorities, ideal, unit, results):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        name = f"method-{draw.__name__}.svg"
        said[name] = draw(figure)
        write_svg(figure, folder / name)
    return said


def distortions(figure: Figure) -> str:
    """A photograph at the size and severities of CIFAR-100, and the baseline's accuracy at each."""
    photograph = _photograph()
    said = []
    for distortion, row in zip(DISTORTIONS, figure.subplots(2, 7), strict=True):
        record = baseline(distortion)
        for axes, level, top1 in zip(row, record.levels, record.top1, strict=True):
            image = get_distortion(distortion).at(photograph, level, torch.tensor([0]), seed=0)[0]
            axes.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
            axes.set(xticks=[], yticks=[], title=f"σ = {level:g}" if level else "clean", xlabel=f"{top1:.0%} right")
        row[0].set_ylabel(distortion)
        said.append(f"{distortion} takes the accuracy from {record.top1[0]:.0%} to {record.top1[-1]:.0%}")
    return f"A small photograph under six severities of blur and of noise: {'; '.join(said)}."


def _photograph() -> Tensor:
    """Scikit-learn's sample photograph of a temple, (1, 3, 32, 32) in [0, 1]."""
    pixels = load_sample_image("china.jpg")
    side = min(pixels.shape[:2])
    small = Image.fromarray(pixels[:side, :side]).resize((32, 32), Image.Resampling.LANCZOS)
    return torch.tensor(np.asarray(small)).permute(2, 0, 1)[None].float() / 255


def priorities(figure: Figure) -> str:
    """What swapping each filter of the first layer gains, most first; those that Deepcorr-1 corrects are coloured."""
    said = []
    for distortion, axes in zip(DISTORTIONS, figure.subplots(1, 2, sharey=True), strict=True):
        ranking = saved_ranking(distortion)
        gains = 100 * np.asarray(ranking.scores[LAYERS[0]])[list(ranking.local(LAYERS[0]))]
        cut = corrected(len(gains))
        for colour, label, part in ((TRAINED, "corrected", slice(0, cut)), (FROZEN, "left alone", slice(cut, None))):
            axes.bar(np.arange(len(gains))[part], gains[part], width=0.9, color=colour, label=label)
        axes.axhline(0, color="black", linewidth=0.5)
        axes.set(title=distortion, xlabel=f"the {len(gains)} filters of {LAYERS[0]} in order of priority")
        axes.legend()
        said.append(f"under {distortion} from {gains[0]:+.1f} points for the first to {gains[-1]:+.1f} for the last")
    figure.axes[0].set_ylabel("gain in accuracy, points")
    return f"Correction priority of the {len(gains)} filters of the first layer: {'; '.join(said)}."


def ideal(figure: Figure) -> str:
    """Accuracy at each severity against the share of the first layer's filters that sees clean images."""
    said = []
    for distortion, axes in zip(DISTORTIONS, figure.subplots(1, 2, sharey=True), strict=True):
        before, content = baseline(distortion), read_json(result_file(ideal_cell(distortion, LAYERS[0])))
        shares = [0.0, *content["shares"]]
        for index, level in enumerate(content["levels"]):
            curve = [before.top1[index + 1], *(top1[index] for top1 in content["top1"])]
            axes.plot(shares, curve, marker="o", color=COLOURS[1:][index], label=f"σ = {level:g}")
        axes.axhline(before.top1[0], color="black", linestyle=":", label="clean images")
        axes.set(title=distortion, xlabel=f"share of {LAYERS[0]} ideally corrected", ylim=(0, 0.8))
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small", loc="lower right")
        half = content["top1"][content["shares"].index(0.5)][-1]
        said.append(f"under the strongest {distortion} half of them lifts it from {before.top1[-1]:.3f} to {half:.3f}")
    figure.axes[0].set_ylabel("top-1 accuracy")
    return f"Accuracy against the share of the first layer's filters ideally corrected: {'; '.join(said)}."


def unit(figure: Figure) -> str:
    """A convolution, the correction unit behind some of its filters, and the way of the rest past it."""
    filters = FILTERS[0]
    chosen = corrected(filters)
    shape = unit_shape("cifar", chosen, 1)
    axes = figure.subplots()
    axes.set(xlim=(-0.5, 100.5), ylim=(0, 39))
    axes.axis("off")
    _box(axes, 0, 14, 12, 12, f"{LAYERS[0]}\n{filters} filters", FROZEN)
    _box(axes, 88, 14, 12, 12, f"{LAYERS[1]} to\n{LAYERS[-1]}", FROZEN)
    kernels = (1, *shape.kernels, 1)
    stack = ["batch\nnorm", *(f"{kernel}×{kernel}\n{shape.width}" for kernel in kernels[:-1]), f"1×1\n{chosen}"]
    for column, label in enumerate(stack):
        _box(axes, 22 + 9.5 * column, 3, 7.5, 10, label, TRAINED)
        if column:
            _arrow(axes, [(20 + 9.5 * column, 8), (22 + 9.5 * column, 8)])
    for bottom, colour in ((15, TRAINED), (28, FROZEN)):
        _box(axes, 75, bottom, 8, 10, "batch\nnorm", colour)
    _arrow(axes, [(12, 17), (17, 17), (17, 8), (22, 8)])
    _arrow(axes, [(17, 17), (17, 20), (69.8, 20)])
    _arrow(axes, [(67.5, 8), (71, 8), (71, 18.6)])
    axes.text(71, 20, "+", ha="center", va="center", fontsize=15, bbox={"boxstyle": "circle,pad=0.1", "fc": "white"})
    _arrow(axes, [(72.3, 20), (75, 20)])
    _arrow(axes, [(83, 20), (88, 20)])
    _arrow(axes, [(12, 23), (17, 23), (17, 33), (75, 33)])
    _arrow(axes, [(83, 33), (85.5, 33), (85.5, 23), (88, 23)])
    axes.text(45, 34, f"the other {filters - chosen} filters", ha="center", va="bottom")
    axes.text(45, 21, f"the {chosen} corrected filters", ha="center", va="bottom")
    axes.text(44.7, 0.5, "correction unit (orange: trained, grey: frozen)", ha="center", va="center")
    trained = saved(deepcorr(1), "blur", "fast")[0].trainable_parameters
    return (
        f"The outputs of {chosen} of the {filters} filters of the first layer pass a correction unit of {len(kernels)} "
        "convolutions and are added to what it makes of them, then normalised; "
        f"the other {filters - chosen} go past it. {trained:,} parameters are trained."
    )


def _box(axes: Axes, left: float, bottom: float, width: float, height: float, text: str, colour: str) -> None:
    axes.add_patch(FancyBboxPatch((left, bottom), width, height, boxstyle="round,pad=0,rounding_size=1", fc=colour, ec="black"))
    axes.text(left + width / 2, bottom + height / 2, text, ha="center", va="center")


def _arrow(axes: Axes, corners: list[tuple[float, float]]) -> None:
    axes.plot(*zip(*corners[:-1], strict=True), color="black", linewidth=1)
    axes.annotate("", corners[-1], corners[-2], arrowprops={"arrowstyle": "->", "shrinkA": 0, "shrinkB": 0})


def results(figure: Figure) -> str:
    """Accuracy against severity: the baseline, six layers fine-tuned, and correction units behind half of their filters."""
    said = []
    for distortion, axes in zip(DISTORTIONS, figure.subplots(1, 2), strict=True):
        records = {"baseline": baseline(distortion)}
        for recipe in recipes():
            for network in (finetune(6), deepcorr(6)):
                records |= {f"{network.name}, {recipe}": record for record in saved(network, distortion, recipe)[:1]}
        curves = {name: record.top1 for name, record in records.items()}
        plot_levels(axes, distortion, records["baseline"].levels, curves).set_ylim(0, 0.8)
        means = ", ".join(f"{name} {record.mean_top1:.3f}" for name, record in records.items())
        said.append(f"under {distortion} {means}")
    return f"Accuracy against severity; mean over all levels {'; '.join(said)}."


def main() -> None:
    """Draw them, and print the lines that the page shows them by."""
    for name, said in draw_pictures(PICTURES).items():
        print(f"![{said}]({PICTURES.name}/{name})")


if __name__ == "__main__":
    main()
