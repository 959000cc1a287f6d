"""Gaussian, shot, impulse and speckle noise against the published code, NumPy and SciPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from deepcorrect.distortions.common.photons import photons
from deepcorrect.distortions.streams import Streams
from tests.photographs import photographs, psnr
from tests.reference import ours, published, spectrum

NOISES = ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise")
SEVERITIES = (1, 2, 3, 4, 5)
TABLES = {
    64: {
        "gaussian_noise": (0.04, 0.08, 0.12, 0.15, 0.18),
        "shot_noise": (250, 100, 50, 30, 15),
        "impulse_noise": (0.01, 0.02, 0.05, 0.08, 0.14),
        "speckle_noise": (0.15, 0.2, 0.25, 0.3, 0.35),
    },
    32: {
        "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),
        "shot_noise": (500, 250, 100, 75, 50),
        "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07),
        "speckle_noise": (0.06, 0.1, 0.12, 0.16, 0.2),
    },
}
"""Those of Tiny-ImageNet-C and CIFAR-10-C."""
Numbers = NDArray[np.float64]


def impulses(x: Numbers, share: float, draw: np.random.Generator) -> Numbers:
    replaced = draw.random(x.shape) < share
    return np.where(replaced, draw.integers(0, 2, x.shape), x)


FORMULAS: dict[str, Callable[[Numbers, float, np.random.Generator], Numbers]] = {
    "gaussian_noise": lambda x, c, draw: x + draw.normal(0, c, x.shape),
    "shot_noise": lambda x, c, draw: draw.poisson(x * c) / c,
    "impulse_noise": impulses,
    "speckle_noise": lambda x, c, draw: x + x * draw.normal(0, c, x.shape),
}


def assert_alike(distorted: Tensor, expected: Tensor, clean: Tensor) -> None:
    """Two samples of one noise: in strength, mean, and power by frequency."""
    assert psnr(distorted, clean) == pytest.approx(psnr(expected, clean), abs=0.25)
    noise, other = distorted - clean, expected - clean
    assert noise.mean().item() == pytest.approx(other.mean().item(), abs=0.03 * other.std().item())
    assert noise.std().item() == pytest.approx(other.std().item(), rel=0.03)
    assert torch.allclose(spectrum(noise)[1:], spectrum(other)[1:], rtol=0.07)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", NOISES)
def test_photographs_of_224_pixels_are_as_noisy_as_published(name: str, severity: int) -> None:
    clean = photographs(224, 4)
    assert_alike(ours(name, clean, severity), published(name, clean, severity), clean)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("side", TABLES)
@pytest.mark.parametrize("name", NOISES)
def test_small_images_are_as_noisy_as_published(name: str, side: int, severity: int) -> None:
    clean = photographs(side, 4096 // side)
    expected = FORMULAS[name](clean.double().numpy(), TABLES[side][name][severity - 1], np.random.default_rng(severity))
    assert_alike(ours(name, clean, severity), torch.from_numpy(expected.clip(0, 1)), clean)


def test_images_of_other_sizes_have_parameters_in_between() -> None:
    for side, sigma in ((144, (0.12 + 0.18) / 2), (48, (0.08 + 0.12) / 2), (300, 0.18), (8, 0.08)):
        grey = torch.full((max(1, 20_000 // side**2), 3, side, side + 5), 0.5)
        assert (ours("gaussian_noise", grey, 3) - grey).std().item() == pytest.approx(sigma, rel=0.03)


@pytest.mark.parametrize("largest", [3, 60, 500])
@pytest.mark.parametrize("grey", [1 / 255, 0.2345, 100 / 255, 0.9999, 1])
def test_photons_are_poisson_distributed(grey: float, largest: float) -> None:
    images = torch.full((2, 1, 250, 200), grey)
    counts = photons(images, largest, Streams([(1,), (2,)], images)).long().flatten().numpy()
    expected = stats.poisson(grey * largest).pmf(np.arange(counts.max() + 1)) * len(counts)
    often = expected > 10
    observed = np.bincount(counts)[often]
    statistic = ((observed - expected[often]) ** 2 / expected[often]).sum()
    assert stats.chi2(often.sum() - 1).sf(statistic) > 1e-4


def test_photons_of_one_pixel_say_nothing_of_the_next() -> None:
    images = torch.full((1, 1, 300, 300), 0.4)
    counts = photons(images, 12, Streams([(3,)], images))[0, 0]
    for other in (counts.roll(1, 0), counts.roll(1, 1), photons(images, 12, Streams([(4,)], images))[0, 0]):
        assert abs(np.corrcoef(counts.flatten(), other.flatten())[0, 1]) < 0.015


def test_black_stays_black_where_noise_needs_light() -> None:
    black = torch.zeros(2, 3, 40, 40)
    for name in ("shot_noise", "speckle_noise"):
        assert torch.equal(ours(name, black, 5), black)


def test_impulses_are_black_and_white_alike_and_each_channel_has_its_own() -> None:
    grey = torch.full((4, 3, 100, 100), 0.5)
    noisy = ours("impulse_noise", grey, 5)
    share = 0.14 + (0.27 - 0.14) * (100 - 64) / (224 - 64)
    assert set(noisy.flatten().tolist()) == {0, 0.5, 1}
    for value in (0, 1):
        assert (noisy == value).float().mean().item() == pytest.approx(share / 2, rel=0.05)
    struck = noisy != 0.5
    assert (struck[:, 0] & struck[:, 1]).float().mean().item() == pytest.approx(share**2, rel=0.1)
