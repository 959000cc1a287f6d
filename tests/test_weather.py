"""Snow, fog, frost and spatter: the published ones for the same random numbers, or as they are on average."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from imagecorruptions import corrupt
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from deepcorrect.distortions.common.fog import plasma
from deepcorrect.distortions.common.frost import PANES
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.distortions.streams import Streams
from tests.photographs import as_pixels, from_pixels, photographs, psnr

SEVERITIES = (1, 2, 3, 4, 5)
five = pytest.mark.parametrize("severity", SEVERITIES)
SNOW = {1: (0.1, 0.3, 3), 2: (0.2, 0.3, 2), 3: (0.55, 0.3, 4), 4: (0.55, 0.3, 4.5), 5: (0.55, 0.3, 2.5)}
FROST = {
    224: ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    64: ((1, 0.3), (0.9, 0.4), (0.8, 0.45), (0.75, 0.5), (0.7, 0.55)),
    32: ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
}


def streams_of(images: Tensor) -> Streams:
    return Streams([(7,)], images)


def ours(name: str, images: Tensor, severity: int) -> Tensor:
    return get_distortion(name).drawn(images, torch.full((len(images),), severity), streams_of(images))


def published(name: str, images: Tensor, severity: int) -> Tensor:
    return from_pixels([corrupt(picture, corruption_name=name, severity=severity) for picture in as_pixels(images)])


def in_order_of_publication(steps: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """The same steps of a cloud, as the published diamond-square algorithm draws them."""
    size = len(steps)
    while size >= 2:
        half = size // 2
        yield steps[half::size, half::size]
        yield steps[::size, half::size]
        yield steps[half::size, ::size]
        size = half


@five
def test_fog_is_the_published_one_for_the_same_cloud(severity: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = photographs(224, 2)[1:]
    cloud = streams_of(images).uniform("cloud", (256, 256), -1, 1)[0].numpy()
    steps = in_order_of_publication(cloud)
    monkeypatch.setattr(np.random, "uniform", lambda low, high, shape: high * next(steps))
    expected = published("fog", images, severity)
    assert (ours("fog", images, severity) - expected).abs().max() <= 1.01 / 255


def test_a_cloud_continues_at_the_opposite_edge() -> None:
    steps = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    clouds = plasma(steps, 3.0)
    assert clouds.amin((1, 2)).tolist() == [0, 0, 0]
    assert clouds.amax((1, 2)).tolist() == [1, 1, 1]
    inside = (clouds[:, 1:] - clouds[:, :-1]).abs().mean()
    across = (clouds[:, 0] - clouds[:, -1]).abs().mean()
    assert across < 2 * inside
    rough = plasma(steps, 1.3)
    assert (rough[:, 1:] - rough[:, :-1]).abs().mean() > 3 * inside


@five
def test_snow_is_the_published_one_for_the_same_flakes(severity: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = photographs(224, 2)[1:]
    mean, spread, zoom = SNOW[severity]
    side = math.ceil(224 / zoom)
    field, begin = np.zeros((224, 224)), (224 - side) // 2
    field[begin : begin + side, begin : begin + side] = streams_of(images).normal("flakes", (1, side, side))[0, 0]
    angle = streams_of(images).uniform("angle", low=-135, high=-45).item()
    monkeypatch.setattr(np.random, "normal", lambda size, loc, scale: field * scale + loc)
    monkeypatch.setattr(np.random, "uniform", lambda low, high: angle)
    difference = (ours("snow", images, severity) - published("snow", images, severity)).abs()
    assert mean + spread > 0
    assert difference.mean() < 1.2 / 255
    assert difference.quantile(0.99) < 3 / 255


@five
def test_spatter_is_the_published_one_for_the_same_drops(severity: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = photographs(224, 2)[1:]
    field = streams_of(images).normal("drops", (1, 224, 224))[0, 0].numpy()
    monkeypatch.setattr(np.random, "normal", lambda size, loc, scale: field * scale + loc)
    expected = published("spatter", images, severity)
    difference = (ours("spatter", images, severity) - expected).abs()
    changed = (expected - images).abs() > 4 / 255
    # OpenCV's distances to the edges of drops are approximate
    assert difference.mean() < 2 / 255
    assert difference[changed].mean() < 0.25 * (expected - images)[changed].abs().mean()
    for other in SEVERITIES:
        if other != severity:
            assert (ours("spatter", images, other) - expected).abs().mean() > 1.5 * difference.mean()


def profile(images: Tensor, clean: Tensor) -> Tensor:
    """Mean and spread in percent, the PSNR, and the power of the change in bands of spatial frequency in dB."""
    change = (images - clean).mean(1)
    power = torch.fft.fft2(change).abs().square().mean(0) / change[0].numel()
    each = torch.fft.fftfreq(change.shape[-1])
    radius = (each[:, None] ** 2 + each**2).sqrt()
    edges = (0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5)
    bands = [power[(low <= radius) & (radius < high)].mean() for low, high in pairwise(edges)]
    spread = 100 * images.std((1, 2, 3)).mean()
    return torch.tensor([100 * images.mean(), spread, psnr(images, clean), *(10 * torch.log10(torch.stack(bands)))])


@pytest.mark.parametrize(("name", "close"), [("snow", 1.0), ("spatter", 1.5)])
def test_on_average_they_are_as_published(name: str, close: float) -> None:
    images = photographs(224, 16)
    before = np.random.get_state()
    np.random.seed(0)
    wanted = [profile(published(name, images, severity), images) for severity in SEVERITIES]
    np.random.set_state(before)
    own = [profile(get_distortion(name).at(images, severity, torch.arange(16), 0), images) for severity in SEVERITIES]
    distances = torch.stack([torch.stack([(one - other).abs().max() for other in own]) for one in wanted])
    assert distances.diagonal().max() < close
    assert distances.fill_diagonal_(torch.inf).min() > 2 * close


@cache
def pane(picture: int, side: int) -> NDArray[np.float64]:
    """One of the five published pictures of frost, as large as for images of this size."""
    path = files("imagecorruptions") / "frost" / f"frost{picture}.{'png' if picture < 4 else 'jpg'}"
    scale = {224: 1.0, 64: 0.3, 32: 0.2}[side]
    pixels = np.asarray(Image.open(str(path)).convert("RGB"))
    return np.asarray(cv2.resize(pixels, (0, 0), fx=scale, fy=scale)) / 255


@pytest.mark.parametrize("side", [224, 64, 32])
def test_frost_is_drawn_and_as_bright_and_varied_as_the_published_pictures(side: int) -> None:
    image, rng = photographs(side, 2)[1], np.random.default_rng(0)
    copies = image.expand(45, -1, -1, -1)
    for severity in (1, 3, 5):
        kept, added = FROST[side][severity - 1]
        cropped = []
        for number in range(45):
            whole = pane(number % 5 + 1, side)
            top, left = (int(rng.integers(0, length - side)) for length in whole.shape[:2])
            cropped.append(kept * image + added * torch.tensor(whole[top : top + side, left : left + side]).permute(2, 0, 1))
        expected = torch.stack(cropped).clamp(0, 1).float()
        distorted = get_distortion("frost").at(copies, severity, torch.arange(45), 0)
        wanted, own = profile(expected, copies), profile(distorted, copies)
        assert (own - wanted)[0].abs() < 2.5
        assert (own - wanted)[1].abs() < 2
        assert (own - wanted)[2].abs() < 0.8
        if side == 224:
            assert (own - wanted)[3:].abs().max() < 2


def test_frost_has_the_colours_of_the_published_pictures() -> None:
    for picture, colours in enumerate(PANES, 1):
        assert np.abs(pane(picture, 224).mean((0, 1)) - colours[:3]).max() < 0.06


def test_weather_on_a_grey_image_is_that_of_a_colour_image_whose_channels_are_the_same() -> None:
    grey = photographs(64, 2)[:, :1]
    for severity in SEVERITIES:
        for name, weights in (("snow", (1, 0, 0)), ("fog", (1, 0, 0)), ("spatter", (0.299, 0.587, 0.114))):
            whole = get_distortion(name).at(grey.expand(-1, 3, -1, -1), severity, torch.arange(2), 0)
            expected = (whole * torch.tensor(weights).view(1, 3, 1, 1)).sum(1, keepdim=True)
            difference = (get_distortion(name).at(grey, severity, torch.arange(2), 0) - expected).abs()
            assert difference.quantile(0.9) < 1e-5
            assert difference.mean() < 0.01
