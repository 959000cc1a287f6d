"""Figures: what is drawn is what was given, and what no eye checks (orders, fronts, counts, contrasts) is right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from sklearn.neighbors import NearestNeighbors

from deepcorrect.ranking.result import Ranking
from deepcorrect.report import plots
from deepcorrect.report.plots.style import RIGHT, WRONG
from deepcorrect.runs.ideal import IdealCurves
from deepcorrect.runs.penultimate import Penultimate
from tests.axes import cells, heights, lines, luminance, points, record


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
