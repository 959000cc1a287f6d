"""A network's layers with their correction units (Figures 3, 7 and 8)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypedDict

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Patch

from deepcorrect.report.plots.style import COLOURS, drawable
from deepcorrect.runs.architecture import Architecture, LayerDescription, UnitDescription

# Lengths are inches at the natural size.
_IN_A_ROW = 8
_COLUMN = 1.25
_BOX, _TALL = 1.0, 0.3
_LINE = 0.15
_BRANCH = 0.27
_NAME = 0.42
_LEGEND = 0.25
_FONT = 7.0


class _BoxStyle(TypedDict):
    facecolor: str
    edgecolor: str
    linestyle: Literal["-", "--"]


_FROZEN: _BoxStyle = {"facecolor": "#F0F0F0", "edgecolor": "#707070", "linestyle": "--"}
_RETRAINED: _BoxStyle = {"facecolor": "#A9D8F2", "edgecolor": COLOURS[1], "linestyle": "-"}
_UNIT: _BoxStyle = {"facecolor": "#F6D28B", "edgecolor": COLOURS[2], "linestyle": "-"}


def architecture_size(architecture: Architecture) -> tuple[float, float]:
    """Width and height in inches of a figure in which all text is legible."""
    rows = _rows(architecture.layers)
    return _COLUMN * len(rows[0]) + 0.25, sum(_height(row) for row in rows) + _LEGEND


def plot_architecture(axes: Axes, architecture: Architecture) -> Axes:
    """Layers from left to right and row by row, as the paper writes them: size-conv-filters-stride (Figures 3 and 8).

    Frozen layers are grey with dashed outlines, retrained ones filled. A correction unit branches off the layer's output: how
    many of its filters are corrected, the unit's convolutions from bottom to top, and the addition. Below each layer stand its
    name, without the prefix that all names share, and the height and width of its output. Arrows give the forward order; skip
    connections are not known and so not drawn.
    """
    width, height = architecture_size(architecture)
    font = _FONT * _scale(axes, width)
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_aspect("equal")
    axes.set_axis_off()
    shared = _shared([layer.name for layer in architecture.layers])
    floor = height
    rows = _rows(architecture.layers)
    for row in rows:
        floor -= _height(row)
        y = floor + _NAME + _TALL / 2
        for column, layer in enumerate(row):
            x = 0.2 + column * _COLUMN
            _arrow(axes, x - (_COLUMN - _BOX if column else 0.2), x, y)
            _box(axes, x, y - _TALL / 2, _TALL, [_described(layer)], _RETRAINED if layer.retrained else _FROZEN, font)
            below = "\n".join([*map(drawable, _wrapped(layer.name.removeprefix(shared))), "x".join(map(str, layer.output[1:]))])
            axes.text(x + _BOX / 2, y - _TALL / 2 - 0.03, below, ha="center", va="top", fontsize=0.85 * font, color="#404040")
            if layer.unit is not None:
                _branch(axes, x, y, layer.unit, layer.output[0], font)
        if row is not rows[-1]:
            _arrow(axes, x + _BOX, x + _COLUMN, y)
    _legend(axes, architecture.layers, font)
    return axes


def plot_unit(axes: Axes, unit: UnitDescription) -> Axes:
    """A correction unit by itself: its convolutions, and the connection that skips them (Figure 7)."""
    convolutions = _convolutions(unit)
    width, height = 1.1 + _COLUMN * len(convolutions) + 1.0, 1.3
    font = _FONT * _scale(axes, width)
    y, plus = 0.4, 1.1 + _COLUMN * len(convolutions) + 0.05
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.text(0.35, y, f"outputs of\n{unit.filters} filters", ha="center", va="center", fontsize=font)
    for column, (kernel, filters, dilation) in enumerate(convolutions):
        x = 1.1 + column * _COLUMN
        texts = [f"dilation {dilation}"] * (dilation > 1) + [f"{kernel}x{kernel}-conv-{filters}-1"]
        _arrow(axes, x - (_COLUMN - _BOX if column else 0.35), x, y)
        _box(axes, x, y - _TALL / 2, _TALL, texts, _UNIT, font)
    _arrow(axes, plus - 0.3, plus - 0.08, y)
    _plus(axes, plus, y, font)
    axes.plot([0.85, 0.85, plus, plus], [y, height - 0.3, height - 0.3, y + 0.09], color="black", linewidth=1)
    axes.text((0.85 + plus) / 2, height - 0.26, "unchanged", ha="center", va="bottom", fontsize=font)
    _arrow(axes, plus + 0.08, plus + 0.3, y)
    axes.text(plus + 0.62, y, "corrected\noutputs", ha="center", va="center", fontsize=font)
    return axes


def _rows(layers: Sequence[LayerDescription]) -> list[Sequence[LayerDescription]]:
    """As few rows as possible, of equal length except for the last."""
    count = math.ceil(len(layers) / _IN_A_ROW)
    length = math.ceil(len(layers) / count)
    return [layers[start : start + length] for start in range(0, len(layers), length)]


def _height(row: Sequence[LayerDescription]) -> float:
    units = [len(_convolutions(layer.unit)) for layer in row if layer.unit is not None]
    return _NAME + _TALL + 0.15 + (_BRANCH + _LINE * max(units) + 0.2 if units else 0)


def _described(layer: LayerDescription) -> str:
    filters = layer.output[0]
    if not layer.kernel:
        return f"dense-{filters}"
    operation = "dwconv" if layer.groups == filters > 1 else "conv"
    return f"{layer.kernel}x{layer.kernel}-{operation}-{filters}-{layer.stride}"


def _convolutions(unit: UnitDescription) -> list[tuple[int, int, int]]:
    """Size, filters and dilation of a unit's convolutions, from its input on."""
    inner = [(kernel, unit.width, dilation) for kernel, dilation in zip(unit.kernels, unit.dilations, strict=True)]
    return [(1, unit.width, 1), *inner, (1, unit.filters, 1)]


def _shared(names: Sequence[str]) -> str:
    """The prefix of whole modules, with its final dot, that all names share."""
    prefix, dot, _ = names[0].rpartition(".")
    while not all(name.startswith(prefix + dot) for name in names):
        prefix, dot, _ = prefix.rpartition(".")
    return prefix + dot


def _wrapped(name: str) -> list[str]:
    """A layer's name in at most two lines, broken at a dot, its beginning cut off if need be."""
    lines = [""]
    for part in name.split("."):
        longer = f"{lines[-1]}.{part}" if lines[-1] else part
        lines = [*lines[:-1], longer] if len(longer) <= 16 else [*lines, part]
    return [line if len(line) <= 18 else f"…{line[-17:]}" for line in lines if line][-2:]


def _branch(axes: Axes, x: float, y: float, unit: UnitDescription, filters: int, font: float) -> None:
    """A unit above the box of its layer at (x, y), and the addition behind the layer."""
    texts = [
        f"{kernel}x{kernel}-{width}" + (f", dilated {dilation}" if dilation > 1 else "")
        for kernel, width, dilation in _convolutions(unit)
    ]
    middle, bottom, plus = x + _BOX / 2, y + _TALL / 2 + _BRANCH, x + _BOX + 0.1
    top = bottom + _LINE * len(texts) + 0.04
    axes.annotate("", (middle, bottom), (middle, y + _TALL / 2), arrowprops=_ARROW)
    axes.text(middle + 0.04, bottom - _BRANCH / 2, f"{unit.filters} of {filters}", va="center", fontsize=0.9 * font)
    _box(axes, x, bottom, top - bottom, texts, _UNIT, font)
    axes.plot([middle, middle, plus, plus], [top, top + 0.08, top + 0.08, y + 0.07], color="black", linewidth=1)
    _plus(axes, plus, y, font)


_ARROW = {"arrowstyle": "->", "linewidth": 1, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 8}


def _arrow(axes: Axes, start: float, end: float, y: float) -> None:
    axes.annotate("", (end, y), (start, y), arrowprops=_ARROW)


def _plus(axes: Axes, x: float, y: float, font: float) -> None:
    circle = {"boxstyle": "circle,pad=0.1", "facecolor": "white", "edgecolor": "black"}
    axes.text(x, y, "+", ha="center", va="center", fontsize=0.9 * font, bbox=circle, zorder=4)


def _box(axes: Axes, x: float, y: float, tall: float, texts: Sequence[str], look: _BoxStyle, font: float) -> None:
    """A box with its lower left corner at (x, y); texts from bottom to top."""
    axes.add_patch(FancyBboxPatch((x, y), _BOX, tall, boxstyle="round,pad=0,rounding_size=0.05", zorder=2, **look))
    for line, text in enumerate(texts):
        axes.text(x + _BOX / 2, y + tall * (line + 0.5) / len(texts), text, ha="center", va="center", fontsize=font, zorder=3)


def _legend(axes: Axes, layers: Sequence[LayerDescription], font: float) -> None:
    boxes: dict[str, tuple[_BoxStyle, bool]] = {
        "frozen": (_FROZEN, any(not layer.retrained for layer in layers)),
        "trained": (_RETRAINED, any(layer.retrained for layer in layers)),
        "correction unit": (_UNIT, any(layer.unit is not None for layer in layers)),
    }
    handles = [Patch(label=label, **look) for label, (look, present) in boxes.items() if present]
    axes.legend(handles=handles, loc="lower left", ncols=len(handles), fontsize=font, frameon=False, borderpad=0)


def _scale(axes: Axes, width: float) -> float:
    """How much smaller than their natural size the axes are; text shrinks with them."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return min(1.0, axes.get_position().width * figure.get_figwidth() / width)
