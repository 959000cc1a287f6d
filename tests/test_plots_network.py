"""Figures of a network: samples, its layers, its classes, its cost."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from deepcorrect.report import plots
from deepcorrect.report.plots.style import RIGHT, WRONG
from deepcorrect.runs.architecture import Architecture, LayerDescription, UnitDescription
from deepcorrect.runs.classes import class_counts
from tests.axes import cells, lines, points, record, texts


def png(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_samples_show_images_answers_and_whether_they_are_right(axes: Axes) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 2, 4, 4, 3), dtype=np.uint8)
    right = [[True, False], [False, True]]
    answers: list[list[dict[str, Any]]] = [
        [{"label": "cat" if fine else "an electric locomotive", "right": fine, "confidence": 0.8} for fine in row]
        for row in right
    ]
    samples = {
        "levels": [0.0, 1.5],
        "labels": ["cat", "cat"],
        "images": [[png(picture) for picture in row] for row in pictures],
        "answers": {"other": [], "net": answers},
    }
    plots.plot_samples(axes, samples, "net")
    shown = [np.asarray(image.get_array()) for image in axes.get_images()]
    assert np.array_equal(shown, pictures.reshape(4, 4, 4, 3))
    for image, text, fine in zip(axes.get_images(), axes.texts, (*right[0], *right[1]), strict=True):
        assert text.get_text() == ("✓ cat\n80%" if fine else "✗ an electric l…\n80%")
        assert same_color(text.get_color(), RIGHT if fine else WRONG)
        left, to, bottom, _ = image.get_extent()
        assert left < text.get_position()[0] < to
        assert text.get_position()[1] >= bottom  # the axis points down
    assert [label.get_text() for label in axes.get_xticklabels()] == ["clean", "1.5"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "cat"]


def chain(count: int) -> Architecture:
    """A chain with a unit behind every third convolution, whose last layer is retrained and dense."""
    unit = UnitDescription(filters=864, width=128, kernels=(3, 3), dilations=(1, 2))
    convolutions = [
        LayerDescription(
            name=f"network._blocks.{place}._depthwise_conv", kernel=5, stride=2, groups=1152 if place % 2 else 1,
            output=(1152, 14, 14), unit=unit if place % 3 == 0 else None, retrained=False,
        )
        for place in range(count - 1)
    ]  # fmt: skip
    last = LayerDescription(name="network.fc", kernel=0, stride=1, groups=1, output=(10,), unit=None, retrained=True)
    return Architecture(layers=(*convolutions, last))


@pytest.mark.parametrize("count", [2, 9, 50])
def test_architectures_fit_their_figure_and_texts_their_boxes(count: int) -> None:
    architecture = chain(count)
    figure = Figure(figsize=plots.architecture_size(architecture), layout="constrained")
    axes = plots.plot_architecture(figure.subplots(), architecture)
    figure.draw_without_rendering()
    frozen = [patch for patch in axes.patches if patch.get_linestyle() == "--"]
    units = [layer for layer in architecture.layers if layer.unit is not None]
    assert len(frozen) == count - 1
    assert len(axes.patches) == count + len(units)
    written = texts(axes)
    assert written.count("5x5-conv-1152-2") + written.count("5x5-dwconv-1152-2") == count - 1
    assert written.count("dense-10") == 1
    assert written.count("864 of 1152") == written.count("+") == written.count("3x3-128, dilated 2") == len(units)
    assert any(text.startswith("_blocks.0\n_depthwise_conv\n14x14") for text in written)
    whole = figure.bbox
    boxes = [patch.get_window_extent() for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    for text in axes.texts:
        extent = text.get_window_extent()
        assert whole.x0 <= extent.x0 < extent.x1 <= whole.x1
        assert whole.y0 <= extent.y0 < extent.y1 <= whole.y1
        middle = (extent.x0 + extent.x1) / 2, (extent.y0 + extent.y1) / 2
        for box in boxes:
            if box.contains(*middle):
                assert box.x0 <= extent.x0 < extent.x1 <= box.x1


def test_a_unit_lists_its_convolutions(axes: Axes) -> None:
    plots.plot_unit(axes, UnitDescription(filters=48, width=64, kernels=(3, 5), dilations=(1, 2)))
    written = texts(axes)
    expected = ["1x1-conv-64-1", "3x3-conv-64-1", "dilation 2", "5x5-conv-64-1", "1x1-conv-48-1"]
    assert [text for text in written if "conv" in text or "dilation" in text] == expected
    assert "outputs of\n48 filters" in written


def test_classes_are_counted_and_sorted(axes: Axes) -> None:
    first = (0.5, 0.9, None, 0.1 + 0.2, 0.6)
    second = (0.75, 0.4, 1.0, 0.3, 0.5)
    assert class_counts(first, second) == (2, 1, 1)
    plots.plot_class_differences(axes, first, second, "abcde", names=("new", "old"))
    assert cells(axes) == [pytest.approx([0.5, 0.1, 0.0, -0.25])]
    (mesh,) = [found for found in axes.collections if isinstance(found, QuadMesh)]
    assert (mesh.norm.vmin, mesh.norm.vmax) == (-0.5, 0.5)
    assert [text.split("\n")[0] for text in texts(axes)] == ["b", "e", "d", "a"]
    assert axes.get_title() == "new better in 2 classes,\nold in 1, equal in 1"
    red, _, blue, _ = plots.DIVERGING(0.9)
    assert blue > red  # what the first wins is blue


def test_of_many_classes_the_extremes_are_named(axes: Axes) -> None:
    second = np.linspace(0, 1, 30)
    plots.plot_class_differences(axes, [0.5] * 30, second.tolist(), [f"class {place}" for place in range(30)])
    assert axes.get_xlabel() == "first square: class 0 +0.500\nlast square: class 29 -0.500"
    assert not axes.texts


def test_the_pareto_front_is_what_nothing_dominates() -> None:
    stream = np.random.default_rng(0)
    for _ in range(40):
        given = [(cost, accuracy) for cost, accuracy in stream.integers(0, 12, (30, 2)).tolist()]
        beaten = {(x, y) for x, y in given for other in given if other != (x, y) and other[0] <= x and other[1] >= y}
        front = plots.pareto_front(given)
        assert sorted(front) == [place for place, point in enumerate(given) if point not in beaten]
        assert [given[place][0] for place in front] == sorted(given[place][0] for place in front)


def test_the_baseline_costs_no_correction(axes: Axes) -> None:
    records = [
        record("baseline", (0.9, 0.3, 0.3), trained=500, macs=100),
        record("small", (0.9, 0.6, 0.6), trained=1000, macs=200),
        record("large", (0.9, 0.8, 0.7), trained=20_000, macs=300),
        record("poor", (0.7, 0.6, 0.5), trained=5000, macs=300),
    ]
    drawn = lines(plots.plot_pareto(axes, records, "trainable_parameters"))
    assert points(drawn["Pareto front"]) == [pytest.approx(point) for point in ((1000, 0.7), (20_000, 0.8))]
    assert drawn["baseline (all its parameters)"].get_markerfacecolor() == "white"
    assert points(drawn["poor"]) == [pytest.approx((5000, 0.6))]
    assert axes.get_xscale() == "log"
    drawn = lines(plots.plot_pareto(Figure().subplots(), records, "multiply_accumulates"))
    assert points(drawn["Pareto front"]) == [pytest.approx(point) for point in ((100, 0.5), (200, 0.7), (300, 0.8))]
    assert drawn["baseline"].get_markerfacecolor() != "white"
