"""Edges, distances and filters of drops, against OpenCV and SciPy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from deepcorrect.distortions.common.edges import canny, distance, equalized, filtered, mean_around

SHAPES = [(224, 224), (32, 47), (8, 8), (1, 9), (9, 1), (1, 1)]


def drops(shape: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    field = gaussian_filter(np.random.default_rng(seed).normal(0.65, 0.3, shape), 1 + seed % 3)
    return (np.where(field < 0.67, 0, field.clip(0, 1)) * 255).astype(np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
def test_edges_are_those_of_opencv(shape: tuple[int, int]) -> None:
    pictures = np.stack([drops(shape, seed) for seed in range(6)])
    for low, high in ((50, 150), (100, 400), (10, 20)):
        edges = canny(torch.from_numpy(pictures).to(torch.int16), low, high)
        for picture, own in zip(pictures, edges.numpy(), strict=True):
            assert np.array_equal(own, cv2.Canny(picture, low, high) > 0)
    if shape == (224, 224):
        assert 0.05 < edges.float().mean() < 0.95


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("farthest", [1, 7, 20])
def test_distances_are_in_a_straight_line(shape: tuple[int, int], farthest: int) -> None:
    edges = np.random.default_rng(0).random((3, *shape)) < np.array([0.002, 0.05, 0.3])[:, None, None]
    edges[2] |= np.indices(shape).sum(0) == 0
    own = distance(torch.from_numpy(edges), farthest).numpy()
    for picture, found in zip(edges, own, strict=True):
        expected = distance_transform_edt(~picture) if picture.any() else np.full(shape, np.inf)
        assert np.abs(found - np.minimum(expected, farthest)).max() < 1e-5


@pytest.mark.parametrize("shape", SHAPES)
def test_filters_are_those_of_opencv(shape: tuple[int, int]) -> None:
    picture = drops(shape, 4)
    image = torch.from_numpy(picture).float()[None]
    kernel = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))
    expected = cv2.filter2D(picture.astype(np.float32), -1, np.array(kernel, np.float32))
    assert np.abs(filtered(image, kernel, "mirror")[0].numpy() - expected).max() < 1e-3
    assert np.abs(mean_around(image)[0].numpy() - cv2.blur(picture.astype(np.float32), (3, 3))).max() < 1e-3
    assert np.array_equal(mean_around(torch.full((1, *shape), 20.0)), torch.full((1, *shape), 20.0))


@pytest.mark.parametrize("shape", SHAPES)
def test_grey_values_are_spread_as_by_opencv(shape: tuple[int, int]) -> None:
    pictures = np.stack([drops(shape, 1), np.full(shape, 20, np.uint8), np.full(shape, 0, np.uint8), drops(shape, 2) // 3])
    own = equalized(torch.from_numpy(pictures).to(torch.int16)).numpy()
    for picture, found in zip(pictures, own, strict=True):
        assert np.array_equal(found, cv2.equalizeHist(picture))
