"""Gaussian, defocus, motion and zoom blur against the published code, SciPy and OpenCV."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from imagecorruptions.corruptions import _motion_blur
from scipy import ndimage, stats
from torch import Tensor

from deepcorrect.distortions.common import blurs
from deepcorrect.distortions.common.convolution import Border, blur_along, correlate, gaussian
from deepcorrect.distortions.streams import Streams
from tests.photographs import photographs
from tests.reference import ours, published

SEVERITIES = (1, 2, 3, 4, 5)
SIGMAS = {64: (0.5, 0.75, 1, 1.25, 1.5), 32: (0.4, 0.6, 0.7, 0.8, 1)}
DISCS = {
    64: ((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
    32: ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
}
MOTIONS = {
    64: ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
    32: ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
}
ZOOMS = (1.06, 1.11, 1.16, 1.21, 1.26)
"""Ends of ``numpy.arange(1, end, 0.01)``, for 32 and 64 pixels."""
SHAPES = [(40, 40), (8, 8), (1, 9), (9, 1), (1, 1), (33, 70)]
still = pytest.mark.parametrize("name", ["gaussian_blur", "defocus_blur", "zoom_blur"])
each_severity = pytest.mark.parametrize("severity", SEVERITIES)
each_side = pytest.mark.parametrize("side", [64, 32])


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(7))


@each_severity
@still
def test_a_photograph_of_224_pixels_is_blurred_as_published(name: str, severity: int) -> None:
    wide = torch.cat([photographs(224, 2), photographs(224, 4)[2:, ..., :31]], -1)
    assert (ours(name, wide, severity) - published(name, wide, severity)).abs().max() < 1e-5


@each_severity
@each_side
def test_a_small_image_is_blurred_by_the_published_gaussian(side: int, severity: int) -> None:
    images = photographs(side, 3)
    sigma = SIGMAS[side][severity - 1]
    expected = ndimage.gaussian_filter(images.double().numpy(), (0, 0, sigma, sigma), mode="nearest", truncate=4)
    assert (ours("gaussian_blur", images, severity) - torch.from_numpy(expected)).abs().max() < 1e-5


@each_severity
@each_side
def test_a_small_image_is_defocused_by_the_published_disc(side: int, severity: int) -> None:
    radius, smoothing = DISCS[side][severity - 1]
    kernel = np.array([[x**2 + y**2 <= radius**2 for x in range(-8, 9)] for y in range(-8, 9)], np.float64)
    kernel = cv2.GaussianBlur(kernel / kernel.sum(), (3, 3), smoothing)
    images = photographs(side, 3)
    expected = np.stack([[cv2.filter2D(channel, -1, kernel) for channel in image] for image in images.double().numpy()])
    assert (ours("defocus_blur", images, severity) - torch.from_numpy(expected)).abs().max() < 1e-5


def zoomed(line: np.ndarray, factor: float) -> np.ndarray:
    """The middle of a line along the first axis, enlarged to at least its length, by ``numpy.interp``."""
    count = len(line)
    crop = math.ceil(round(count / factor, 6))
    start = (count - crop) // 2
    where = np.linspace(start, start + crop - 1, max(count, round(crop * factor)))[:count]
    flat = line.reshape(count, -1)
    return np.stack([np.interp(where, np.arange(count), each) for each in flat.T], 1).reshape(line.shape)


@each_severity
@each_side
def test_a_small_image_is_zoomed_by_the_published_factors(side: int, severity: int) -> None:
    factors = np.arange(1, ZOOMS[severity - 1], 0.01)
    images = photographs(side, 2)
    pictures = images.double().permute(2, 3, 0, 1).numpy()
    total = pictures + sum(zoomed(zoomed(pictures, factor).swapaxes(0, 1), factor).swapaxes(0, 1) for factor in factors)
    expected = torch.from_numpy(total / (len(factors) + 1)).permute(2, 3, 0, 1)
    assert (ours("zoom_blur", images, severity) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("angle", [-45, -17, 0, 33.3, 45, 90, -90, -135, 180])
@pytest.mark.parametrize(("radius", "sigma"), [(10, 3), (15, 12), (6, 1)])
def test_a_blur_along_a_line_is_the_published_one(radius: int, sigma: float, angle: float) -> None:
    images = noise(2, 3, 60, 71)
    blurred = blur_along(images, radius, sigma, torch.tensor([angle, 10]))
    for image, degrees, result in zip(images, (angle, 10), blurred, strict=True):
        expected = _motion_blur(image.permute(1, 2, 0).numpy(), radius, sigma, degrees)
        assert np.abs(result.permute(1, 2, 0).numpy() - expected).max() < 1e-5


def test_a_long_blur_of_a_small_image_repeats_its_border() -> None:
    image = noise(1, 1, 5, 4)
    blurred = blur_along(image, 10, 8, torch.tensor([30.0]))
    weights = np.exp(-0.5 * (np.arange(21) / 8) ** 2)
    down, across = (np.ceil(np.arange(21) * part - 0.5).astype(int) for part in (0.5, math.sqrt(0.75)))
    for y in range(5):
        for x in range(4):
            seen = image[0, 0].numpy()[(y + down).clip(0, 4), (x + across).clip(0, 3)]
            assert blurred[0, 0, y, x].item() == pytest.approx((weights * seen).sum() / weights.sum(), abs=1e-6)
    assert torch.allclose(blur_along(torch.ones(1, 3, 8, 8), 20, 15, torch.tensor([77.0])), torch.ones(()))


@each_severity
def test_a_photograph_of_224_pixels_is_moved_as_published(severity: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = photographs(224, 1)
    angle = 17.0 * severity - 45
    monkeypatch.setattr(np.random, "uniform", lambda low, high: angle)
    monkeypatch.setattr(Streams, "uniform", lambda *given, low, high: torch.tensor([angle]))
    assert (ours("motion_blur", images, severity) - published("motion_blur", images, severity)).abs().max() < 1e-5


@each_severity
@each_side
def test_a_small_image_is_moved_along_a_line_of_at_most_45_degrees(side: int, severity: int) -> None:
    radius, sigma = MOTIONS[side][severity - 1]
    images = photographs(side, 8)
    moved = ours("motion_blur", images, severity)
    angles = torch.arange(-45, 45.01, 0.5)
    best = []
    for image, result in zip(images, moved, strict=True):
        candidates = blur_along(image.expand(len(angles), -1, -1, -1), radius, sigma, angles)
        error = (candidates - result).abs().amax((1, 2, 3))
        assert error.min() < 0.04
        best.append(angles[error.argmin()].item())
    assert min(best) < -10
    assert max(best) > 10
    assert len(set(best)) > 4


def test_directions_are_spread_evenly_over_90_degrees(monkeypatch: pytest.MonkeyPatch) -> None:
    angles: list[float] = []

    def watched(images: Tensor, radius: float, sigma: float, angle: Tensor) -> Tensor:
        angles.extend(angle.tolist())
        return images

    monkeypatch.setattr(blurs, "blur_along", watched)
    ours("motion_blur", noise(1500, 1, 8, 8), 3)
    assert stats.kstest(angles, stats.uniform(-45, 90).cdf).pvalue > 1e-3
    assert -45 <= min(angles) < -44
    assert 44 < max(angles) <= 45


@pytest.mark.parametrize("mode", ["nearest", "reflect", "mirror"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_gaussian_is_that_of_scipy(shape: tuple[int, int], mode: Border) -> None:
    images = noise(2, 3, *shape).double()
    for sigma, truncate in ((0, 4), (0.3, 4), (1.5, 4), (1.5, 3), (25, 3)):
        expected = ndimage.gaussian_filter(images.numpy(), (0, 0, sigma, sigma), mode=mode, truncate=truncate)
        assert np.abs(gaussian(images, sigma, mode, truncate).numpy() - expected).max() < 1e-9
        assert (gaussian(images.float(), sigma, mode, truncate) - torch.from_numpy(expected)).abs().max() < 2e-6


@pytest.mark.parametrize("mode", ["nearest", "reflect", "mirror"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_correlation_is_that_of_scipy(shape: tuple[int, int], mode: Border) -> None:
    images = noise(2, 3, *shape).double()
    for width in (1, 3, 17):
        kernel = noise(width, width).double()
        kernel /= kernel.sum()
        expected = ndimage.correlate(images.numpy(), kernel.numpy()[None, None], mode=mode)
        assert np.abs(correlate(images, kernel, mode).numpy() - expected).max() < 1e-9
        assert (correlate(images.float(), kernel, mode) - torch.from_numpy(expected)).abs().max() < 2e-6
