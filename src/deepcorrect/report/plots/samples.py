"""Sample images as severity grows, with a network's answer to each (Figure 1)."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from deepcorrect.report.plots.style import RIGHT, WRONG, drawable, shortened

_CELL = (1.0, 1.3)


def samples_size(samples: Mapping[str, Any]) -> tuple[float, float]:
    """Width and height in inches of a figure in which the answers below the images are legible."""
    width, height = _CELL
    return width * (len(samples["levels"]) + 1), height * len(samples["labels"]) + 0.4


def plot_samples(axes: Axes, samples: Mapping[str, Any], network: str) -> Axes:
    """A row for each image, a column for each severity; below each image the network's answer and its confidence (Figure 1).

    Correct answers are green with a check mark, wrong ones vermilion with a cross.

    Args:
        samples: ``samples.json`` of a run: levels, labels, images (PNG in base64) and answers by level and image.
        network: whose answers are shown, one of ``samples["answers"]``.
    """
    width, height = _CELL
    for column, (images, answers) in enumerate(zip(samples["images"], samples["answers"][network], strict=True)):
        for row, (image, answer) in enumerate(zip(images, answers, strict=True)):
            left, top = column * width, row * height
            extent = (left + 0.05, left + width - 0.05, top + width - 0.05, top + 0.05)
            axes.imshow(_pixels(image), extent=extent, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.text(
                left + width / 2, top + width, _said(answer), color=RIGHT if answer["right"] else WRONG,
                ha="center", va="top", fontsize=7, linespacing=1.1,
            )  # fmt: skip
    levels, labels = samples["levels"], samples["labels"]
    axes.set_xlim(0, width * len(levels))
    axes.set_ylim(height * len(labels), 0)
    axes.set_xticks(
        [width * (column + 0.5) for column in range(len(levels))], [f"{level:g}" if level else "clean" for level in levels]
    )
    axes.set_yticks([height * row + width / 2 for row in range(len(labels))], [shortened(label, 24) for label in labels])
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(f"severity; answers of {drawable(network)}")
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    return axes


def _said(answer: Mapping[str, Any]) -> str:
    return f"{'✓' if answer['right'] else '✗'} {shortened(answer['label'])}\n{answer['confidence']:.0%}"


def _pixels(image: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(image))))
