"""Brightness, contrast, saturation, pixelation and JPEG compression against the published code and plain formulas."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from imagecorruptions import corrupt
from numpy.typing import NDArray
from PIL import Image
from skimage.color import hsv2rgb, rgb2hsv
from torch import Tensor

from deepcorrect.distortions.common.colour import brightness, saturate
from deepcorrect.distortions.registry import get_distortion
from tests.photographs import as_pixels, from_pixels, photographs, psnr

NAMES = ("brightness", "contrast", "saturate", "pixelate", "jpeg_compression")
BRIGHTNESS = {64: (0.1, 0.2, 0.3, 0.4, 0.5), 32: (0.05, 0.1, 0.15, 0.2, 0.3)}
CONTRAST = {64: (0.4, 0.3, 0.2, 0.1, 0.05), 32: (0.75, 0.5, 0.4, 0.3, 0.15)}
SATURATE = {64: ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)), 32: ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))}
PIXELATE = {64: (0.9, 0.8, 0.7, 0.6, 0.5), 32: (0.95, 0.9, 0.85, 0.75, 0.65)}
JPEG = {64: (65, 58, 50, 40, 25), 32: (80, 65, 58, 50, 40)}


def ours(name: str, images: Tensor, severity: int) -> Tensor:
    return get_distortion(name).at(images, severity, torch.arange(len(images)), 0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_they_are_the_published_ones(name: str, severity: int) -> None:
    images = photographs(224, 3)
    expected = from_pixels([corrupt(picture, corruption_name=name, severity=severity) for picture in as_pixels(images)])
    # the published results are rounded down to 256 steps, and pixelation rounds twice
    assert (ours(name, images, severity) - expected).abs().max() <= 1.01 / 255
    for other in {1, 2, 3, 4, 5} - {severity}:
        assert (ours(name, images, other) - expected).abs().mean() > 2 / 255


@pytest.mark.parametrize("side", [64, 32])
@pytest.mark.parametrize("level", range(5))
def test_colours_of_small_images_are_those_of_hsv(side: int, level: int) -> None:
    images = photographs(side, 3)
    pictures = images.permute(0, 2, 3, 1).double().numpy()

    def compare(name: str, expected: NDArray[np.float64]) -> None:
        difference = ours(name, images, level + 1).permute(0, 2, 3, 1).numpy() - expected.clip(0, 1)
        assert np.abs(difference).max() < 2e-5

    hsv = rgb2hsv(pictures)
    value = np.clip(hsv[..., 2] + BRIGHTNESS[side][level], 0, 1)
    compare("brightness", hsv2rgb(np.stack([hsv[..., 0], hsv[..., 1], value], -1)))
    factor, added = SATURATE[side][level]
    saturation = np.clip(hsv[..., 1] * factor + added, 0, 1)
    compare("saturate", hsv2rgb(np.stack([hsv[..., 0], saturation, hsv[..., 2]], -1)))
    mean = pictures.mean((1, 2), keepdims=True)
    compare("contrast", (pictures - mean) * CONTRAST[side][level] + mean)


def test_colours_without_a_hue() -> None:
    pixels = torch.tensor([[0.0, 0, 0], [1, 1, 1], [0.4, 0.4, 0.4], [0.8, 0.2, 0.2], [0, 0, 1]]).T.reshape(1, 3, 1, 5)
    picture = pixels.permute(0, 2, 3, 1).double().numpy()
    for factor, added in ((0.3, 0), (20, 0.2)):
        hsv = rgb2hsv(picture)
        hsv[..., 1] = np.clip(hsv[..., 1] * factor + added, 0, 1)
        assert np.abs(saturate(pixels, factor, added).permute(0, 2, 3, 1).numpy() - hsv2rgb(hsv)).max() < 1e-6
    hsv = rgb2hsv(picture)
    hsv[..., 2] = np.clip(hsv[..., 2] + 0.3, 0, 1)
    assert np.abs(brightness(pixels, 0.3).permute(0, 2, 3, 1).numpy() - hsv2rgb(hsv)).max() < 1e-6


@pytest.mark.parametrize("side", [64, 32])
@pytest.mark.parametrize("level", range(5))
def test_small_images_are_pixelated_as_by_pillow(side: int, level: int) -> None:
    images = photographs(side + 5, 3)[..., :side, :]
    height, width = images.shape[-2:]
    small = int(width * PIXELATE[side][level]), int(height * PIXELATE[side][level])
    for channel, distorted in zip(images.flatten(0, 1), ours("pixelate", images, level + 1).flatten(0, 1), strict=True):
        picture = Image.fromarray(channel.numpy())
        assert picture.mode == "F"
        boxes = picture.resize(small, Image.Resampling.BOX).resize((width, height), Image.Resampling.BOX)
        assert np.abs(distorted.numpy() - np.asarray(boxes)).max() < 1e-6


@pytest.mark.parametrize("side", [64, 32])
@pytest.mark.parametrize("level", range(5))
def test_small_images_are_saved_by_pillow(side: int, level: int) -> None:
    images = photographs(side, 3)
    for picture, distorted in zip(as_pixels(images), as_pixels(ours("jpeg_compression", images, level + 1)), strict=True):
        file = BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=JPEG[side][level])
        assert np.array_equal(np.asarray(Image.open(file)), distorted)


def test_a_grey_image_saved_is_the_same_image_saved_in_colour() -> None:
    grey = photographs(64, 3)[:, :1]
    for severity in (1, 5):
        colours = ours("jpeg_compression", grey.expand(-1, 3, -1, -1), severity)
        assert (colours - ours("jpeg_compression", grey, severity)).abs().max() < 1e-6
        assert psnr(colours, grey) < 40


def test_grey_images_have_brightness_and_contrast_but_no_saturation() -> None:
    grey = photographs(32, 3)[:, :1]
    assert torch.allclose(ours("brightness", grey, 3), (grey + 0.15).clamp(max=1))
    mean = grey.mean((2, 3), keepdim=True)
    assert torch.allclose(ours("contrast", grey, 2), mean + 0.5 * (grey - mean))
    assert torch.equal(ours("saturate", grey, 5), grey)


def test_brighter_than_white_is_no_colour_for_the_codec() -> None:
    images = photographs(32, 2) * 1.5 - 0.2
    assert torch.equal(ours("jpeg_compression", images, 3), ours("jpeg_compression", images.clamp(0, 1), 3))
