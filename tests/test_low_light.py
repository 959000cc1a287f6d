"""Low light and white balance: what happens to light, electrons and colours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from deepcorrect.distortions.linear_light import to_linear, to_srgb
from deepcorrect.distortions.low_light import FULL_WELL, READ_NOISE
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.distortions.white_balance import light_of
from tests.photographs import photographs

LOW_LIGHT = ((4, 3.25), (5, 4), (6, 4.5), (7, 5), (8, 5.5))
LAMPS = (5200, 4400, 3700, 3200, 2800)


def ours(name: str, images: Tensor, severity: int) -> Tensor:
    return get_distortion(name).at(images, severity, torch.arange(len(images)), 0)


def test_light_and_numbers_are_those_of_the_standard() -> None:
    # IEC 61966-2-1: middle grey, the end of the straight part, both ends
    numbers = torch.tensor([0.0, 0.04045, 0.5, 188 / 255, 1], dtype=torch.float64)
    light = torch.tensor([0.0, 0.0031308, 0.21404, 0.50289, 1], dtype=torch.float64)
    assert torch.allclose(to_linear(numbers), light, atol=1e-5)
    assert torch.allclose(to_srgb(light), numbers, atol=1e-4)
    assert to_srgb(torch.tensor([-0.2, 1.7])).tolist() == pytest.approx([0, 1])
    steps = torch.linspace(0, 1, 256)
    assert torch.allclose(to_srgb(to_linear(steps)), steps, atol=1e-5)


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("grey", [0.35, 0.6, 0.9])
def test_electrons_of_an_even_area_have_shot_and_read_noise(severity: int, grey: float) -> None:
    stops, gain = LOW_LIGHT[severity - 1]
    light = float(to_linear(torch.tensor(grey)))
    shown = to_linear(ours("low_light", torch.full((4, 3, 96, 96), grey), severity).double())
    electrons = shown * FULL_WELL / 2**gain
    wanted, variance = light * FULL_WELL / 2**stops, light * FULL_WELL / 2**stops + READ_NOISE**2
    if wanted > 4 * READ_NOISE:  # else some are below zero, and cut off
        assert electrons.mean().item() == pytest.approx(wanted, rel=0.02)
        assert electrons.var().item() == pytest.approx(variance, rel=0.05)
    pixels = electrons.flatten(1).numpy()
    assert abs(np.corrcoef(pixels[0], pixels[1])[0, 1]) < 0.02
    assert abs(np.corrcoef(pixels[0, :-1], pixels[0, 1:])[0, 1]) < 0.02


def test_a_dark_image_stays_dark_but_not_still() -> None:
    black = ours("low_light", torch.zeros(2, 3, 64, 64), 5)
    assert 0.4 < (black == 0).float().mean() < 0.6
    light = to_linear(black[black > 0].double()) * FULL_WELL / 2 ** LOW_LIGHT[4][1]
    assert light.square().mean().sqrt().item() == pytest.approx(READ_NOISE, rel=0.05)


@pytest.mark.parametrize("kelvin", [2300, 2856, 4000, 5000, 6504])
def test_the_light_of_a_lamp_is_that_of_a_black_body(kelvin: float) -> None:
    """Planck's law with the CIE colour matching functions, which are sums of Gaussians (Wyman, Sloan and Shirley, 2013)."""
    length = np.arange(380.0, 781)
    power = length**-5 / np.expm1(1.438777e7 / (length * kelvin))

    def lobe(peak: float, below: float, above: float) -> np.ndarray:
        return np.exp(-0.5 * ((length - peak) * np.where(length < peak, below, above)) ** 2)

    x = 0.362 * lobe(442, 0.0624, 0.0374) + 1.056 * lobe(599.8, 0.0264, 0.0323) - 0.065 * lobe(501.1, 0.049, 0.0382)
    y = 0.821 * lobe(568.8, 0.0213, 0.0247) + 0.286 * lobe(530.9, 0.0613, 0.0322)
    z = 1.217 * lobe(437, 0.0845, 0.0278) + 0.681 * lobe(459, 0.0385, 0.0725)
    tristimulus = np.array([(power * each).sum() for each in (x, y, z)])
    matrix = np.array(
        [[3.2404542, -1.5371385, -0.4985314], [-0.969266, 1.8760108, 0.041556], [0.0556434, -0.2040259, 1.0572252]]
    )
    colour = matrix @ tristimulus
    assert light_of(kelvin) == pytest.approx(colour / colour[1], rel=0.05, abs=0.01)


def test_daylight_is_nearly_white_and_lamps_are_orange() -> None:
    assert light_of(6504) == pytest.approx((1, 1, 1), abs=0.06)
    reds, _, blues = zip(*map(light_of, LAMPS), strict=True)
    assert list(reds) == sorted(reds)
    assert list(blues) == sorted(blues, reverse=True)


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_white_balance_multiplies_channels_of_light_or_divides_them(severity: int) -> None:
    images = photographs(32, 2)[:1].expand(24, -1, -1, -1)
    gains = torch.tensor(light_of(LAMPS[severity - 1])).view(3, 1, 1)
    warm, cold = (to_srgb((to_linear(images[0]) * each).clamp(max=1)) for each in (gains, 1 / gains))
    kinds = [
        [torch.allclose(distorted, wanted, atol=1e-5) for wanted in (warm, cold)]
        for distorted in ours("white_balance", images, severity)
    ]
    assert all(sum(kind) == 1 for kind in kinds)
    assert 5 < sum(kind[0] for kind in kinds) < 19


def test_grey_images_have_no_white_balance() -> None:
    grey = photographs(32, 2)[:, :1]
    assert torch.equal(ours("white_balance", grey, 5), grey)
