"""Figures: what is drawn is what was given, and what no eye checks (orders, fronts, counts, contrasts) is right."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colors import same_color, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Rectangle
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from deepcorrect import plots
from deepcorrect.architecture import Architecture, LayerDescription, UnitDescription
from deepcorrect.classes import class_counts
from deepcorrect.ideal import IdealCurves
from deepcorrect.penultimate import Penultimate
from deepcorrect.plots.style import RIGHT, WRONG
from deepcorrect.ranking import Ranking
from deepcorrect.results import Record


@pytest.fixture
def axes() -> Axes:
    """The only axes of a figure."""
    return Figure(layout="constrained").subplots()


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


def test_styles_differ_and_small_print_has_contrast() -> None:
    assert len({tuple(plots.style(place).values()) for place in range(49)}) == 49
    for colour in (RIGHT, WRONG):
        assert 1.05 / (luminance(colour) + 0.05) >= 4.5


def test_levels_are_drawn_as_given(axes: Axes) -> None:
    plots.plot_levels(axes, "fog", (0, 1), {"a": (0.9, 0.3), "b": (0.8, 0.7)}, dashed={"c": (0.5, 0.4)})
    drawn = lines(axes)
    assert {name: heights(line) for name, line in drawn.items()} == {"a": [0.9, 0.3], "b": [0.8, 0.7], "c": [0.5, 0.4]}
    assert drawn["c"].get_linestyle() == "--"
    assert drawn["c"].get_color() == drawn["a"].get_color() != drawn["b"].get_color()
    assert "fog" in axes.get_xlabel()


def test_random_draws_are_averaged_and_share_the_colour_of_as_many_ranked_filters(axes: Axes) -> None:
    records = [
        record("baseline", (0.9, 0.2, 0.1)),
        record("deepcorr-1 (ranked-24)", (0.9, 0.5, 0.4), trained=24),
        record("deepcorr-1 (ranked-48)", (0.9, 0.7, 0.6), trained=48),
        record("deepcorr-1-random (draw-1)", (0.8, 0.5, 0.2), trained=48),
        record("deepcorr-1-random (draw-2)", (0.8, 0.6, 0.4), trained=48),
        record("deepcorr-3-random", (0.1, 0.1, 0.1), trained=24),
    ]
    drawn = lines(plots.plot_ranked_and_random(axes, records))
    random = "deepcorr-1 (ranked-48), random filters (mean of 2)"
    assert list(drawn) == ["baseline", "deepcorr-1 (ranked-24)", "deepcorr-1 (ranked-48)", random]
    assert heights(drawn[random]) == pytest.approx([0.8, 0.55, 0.3])
    assert drawn[random].get_linestyle() == "--"
    assert drawn[random].get_color() == drawn["deepcorr-1 (ranked-48)"].get_color()
    assert [drawn[name].get_linestyle() for name in list(drawn)[:3]] == ["-"] * 3


def test_training_is_drawn_against_iterations(axes: Axes) -> None:
    drawn = lines(plots.plot_training(axes, {"a": [(16, 0.5), (32, 0.625)], "b": [(8, 0.25)]}))
    assert points(drawn["a"]) == [[16, 0.5], [32, 0.625]]
    assert points(drawn["b"]) == [[8, 0.25]]


@pytest.fixture
def ranking() -> Ranking:
    """Two layers of different width."""
    scores = {"conv1": (0.1, -0.3, 0.2, 0.0), "conv2": (0.01, 0.05)}
    return Ranking("blur", (1.0,), 10, 0, (0.5,), scores)


def test_the_priority_map_has_filters_in_order_and_the_cut_of_each_layer(axes: Axes, ranking: Ranking) -> None:
    plots.plot_priority_map(axes, ranking, {"conv1": (0, 2, 3), "conv2": (0, 1)})
    meshes = [found for found in axes.collections if isinstance(found, QuadMesh)]
    assert cells(axes) == [[0.2, 0.1, 0.0, -0.3], [0.05, 0.01]]
    assert all((mesh.norm.vmin, mesh.norm.vmax) == (-0.3, 0.3) for mesh in meshes)
    cuts = [found.get_segments() for found in axes.collections if isinstance(found, LineCollection)]
    assert [[segment[0, 0] for segment in layer] for layer in cuts] == [[0.75], [1.0]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["conv1: 3 of 4", "conv2: 2 of 2"]


def test_corrected_filters_that_are_not_the_first_are_shown_as_such(axes: Axes, ranking: Ranking) -> None:
    plots.plot_priority_map(axes, ranking, {"conv1": (0, 3)})
    cuts = [found.get_segments() for found in axes.collections if isinstance(found, LineCollection)]
    assert [[segment[0, 0] for segment in layer] for layer in cuts] == [[0.25, 0.75], []]


def test_ideal_curves_begin_at_the_clean_accuracy(axes: Axes) -> None:
    top1 = {"conv1": ((0.5, 0.25), (0.75, 0.5)), "conv2": ((0.5, 0.25), (0.625, 0.375))}
    curves = IdealCurves(distortion="blur", levels=(1, 2), images=8, shares=(0, 0.5), top1=top1)
    shares = lines(plots.plot_ideal_shares(axes, curves, "conv1", 0.875))
    assert [heights(line) for line in shares.values()] == [[0.875, 0.5, 0.25], [0.875, 0.75, 0.5]]
    assert list(shares) == ["baseline", "50% of conv1"]
    layers = lines(plots.plot_ideal_layers(Figure().subplots(), curves, 0.5, 0.875))
    assert list(layers) == ["baseline", "50% of conv1", "50% of conv2"]
    assert heights(layers["50% of conv2"]) == [0.875, 0.625, 0.375]
    assert points(layers["baseline"]) == [[0, 0.875], [1, 0.5], [2, 0.25]]
    with pytest.raises(ValueError, match="not in"):
        plots.plot_ideal_layers(axes, curves, 0.25, 0.875)


def test_kernels_stand_in_order_scaled_by_their_own_extreme(axes: Axes) -> None:
    weights = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    weights[1] = 0
    plots.plot_kernels(axes, weights, [2, 0, 1], [0])
    mosaic = np.asarray(axes.get_images()[0].get_array())
    assert mosaic.shape == (5, 17, 3)  # one row of three, a gap of one between them
    for place, filter_ in enumerate((2, 0)):
        kernel = weights[filter_] / weights[filter_].abs().max()
        assert mosaic[:, 6 * place : 6 * place + 5] == pytest.approx((0.5 + kernel / 2).permute(1, 2, 0).numpy())
    assert (mosaic[:, 12:17] == 0.5).all()
    (frame,) = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    left, top = frame.get_xy()
    assert 4 < left < 5.5 < 10.5 < left + frame.get_width() < 12
    assert top < -0.5 < 4.5 < top + frame.get_height()


@pytest.mark.parametrize("channels", [1, 4])
def test_kernels_without_three_channels_are_grey(axes: Axes, channels: int) -> None:
    weights = torch.arange(1.0, 1 + channels * 4).reshape(1, channels, 2, 2)
    plots.plot_kernels(axes, weights, [0], [])
    mosaic = np.asarray(axes.get_images()[0].get_array())
    mean = weights[0].mean(0)
    assert mosaic == pytest.approx((0.5 + mean / mean.max() / 2).unsqueeze(-1).expand(2, 2, 3).numpy())


@pytest.fixture(scope="module")
def penultimate() -> Penultimate:
    """Four classes: apart in one network, in another only where images are clean."""
    stream = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 4
    apart = torch.eye(4).repeat(1, 20)[labels] * 10 + torch.randn(60, 80, generator=stream)
    alike = torch.randn(60, 80, generator=stream)
    features = {"good": torch.stack([apart, apart]), "poor": torch.stack([apart, alike])}
    return Penultimate(torch.tensor([0.0, 1.0]), labels, features)


def test_embeddings_keep_clusters_apart_and_repeat_by_seed(penultimate: Penultimate) -> None:
    maps = plots.embed(penultimate, seed=3)
    assert {name: [level.shape for level in levels] for name, levels in maps.items()} == {
        "good": [(60, 2), (60, 2)], "poor": [(60, 2), (60, 2)]
    }  # fmt: skip
    for name, level, apart in (("good", 0, True), ("good", 1, True), ("poor", 0, True), ("poor", 1, False)):
        for given in (penultimate.features[name][level], torch.from_numpy(maps[name][level])):
            separation = plots.class_separation(given, penultimate.labels)
            assert separation == 1 if apart else separation < 0.5
    again = plots.embed(penultimate, seed=3)
    assert all(np.array_equal(a, b) for name in maps for a, b in zip(maps[name], again[name], strict=True))


def test_class_separation_is_what_nearest_neighbours_say() -> None:
    stream = torch.Generator().manual_seed(1)
    features, labels = torch.randn(50, 6, generator=stream), torch.randint(3, (50,), generator=stream)
    neighbours = NearestNeighbors(n_neighbors=5).fit(features.numpy()).kneighbors(return_distance=False)
    expected = (labels.numpy()[neighbours] == labels.numpy()[:, None]).mean()
    assert plots.class_separation(features, labels) == pytest.approx(expected)


def test_every_class_of_an_embedding_looks_different(axes: Axes) -> None:
    labels = np.arange(33) % 11 * 2
    places = np.random.default_rng(0).normal(size=(33, 2))
    names = [f"class {number}" for number in range(22)]
    drawn = lines(plots.plot_embedding(axes, places, labels, names))
    assert list(drawn) == names[::2]
    assert points(drawn["class 4"]) == places[labels == 4].tolist()
    assert len({(line.get_color(), line.get_marker()) for line in drawn.values()}) == 11
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == names[::2]


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
    assert drawn["baseline (all it has)"].get_markerfacecolor() == "white"
    assert points(drawn["poor"]) == [pytest.approx((5000, 0.6))]
    assert axes.get_xscale() == "log"
    drawn = lines(plots.plot_pareto(Figure().subplots(), records, "multiply_accumulates"))
    assert points(drawn["Pareto front"]) == [pytest.approx(point) for point in ((100, 0.5), (200, 0.7), (300, 0.8))]
    assert drawn["baseline"].get_markerfacecolor() != "white"
