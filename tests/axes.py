"""What is drawn in axes, as numbers and texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from deepcorrect.runs.results import Record


def record(name: str, top1: Sequence[float], *, trained: int = 10, macs: int = 100) -> Record:
    return Record(
        name=name, distortion="blur", levels=(0, 1, 2), top1=tuple(top1), top5=tuple(top1), mean_top1=sum(top1) / 3,
        mean_top5=1, per_class=((0.5,),), trainable_parameters=trained, multiply_accumulates=macs, images=9, seed=0,
        precision="fp32",
    )  # fmt: skip


def lines(axes: Axes) -> dict[str, Line2D]:
    return {str(line.get_label()): line for line in axes.get_lines()}


def points(line: Line2D) -> list[list[float]]:
    """(x, y) of each."""
    drawn: list[list[float]] = np.asarray(line.get_xydata()).tolist()
    return drawn


def heights(line: Line2D) -> list[float]:
    return [y for _, y in points(line)]


def cells(axes: Axes) -> list[list[float]]:
    """What each mesh on the axes shows, row by row."""
    meshes = [found for found in axes.collections if isinstance(found, QuadMesh)]
    return [np.ma.compressed(np.ma.asarray(mesh.get_array())).tolist() for mesh in meshes]


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def luminance(colour: str) -> float:
    """Of the Web Content Accessibility Guidelines."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in to_rgb(colour)]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
