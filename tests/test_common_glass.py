"""Glass blur against the published code, and against a loop over pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from deepcorrect.distortions.common.glass import pixel_sources
from tests.photographs import photographs, psnr
from tests.reference import ours, published, spectrum

SMALL = {
    64: ((0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)),
    32: ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
}
"""Those of Tiny-ImageNet-C and CIFAR-10-C: sigma, how far pixels come from, how often they are moved."""


def moved(image: NDArray[np.float64], offsets: NDArray[np.int64], reach: int) -> NDArray[np.float64]:
    """The published loop over an image, (H, W, C): its swap of two views copies the second pixel over the first."""
    image = image.copy()
    height, width = image.shape[:2]
    for step in offsets:
        for h in range(height - reach, reach, -1):
            for w in range(width - reach, reach, -1):
                dy, dx = step[:, h - reach - 1, w - reach - 1]
                image[h, w], image[h + dy, w + dx] = image[h + dy, w + dx], image[h, w]
    return image


def drawn(seed: int, count: int, times: int, reach: int, height: int, width: int) -> Tensor:
    shape = (count, times, 2, max(0, height - 2 * reach), max(0, width - 2 * reach))
    return torch.randint(-reach, reach, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("reach", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(30, 43), (12, 9), (9, 9), (8, 8), (4, 40), (3, 3), (2, 5), (1, 7), (1, 1)])
def test_all_at_once_is_the_loop_over_pixels(size: tuple[int, int], reach: int) -> None:
    images = np.random.default_rng(0).random((2, *size, 3))
    for times in (1, 3):
        offsets = drawn(reach, 2, times, reach, *size)
        sources = pixel_sources(offsets[:, :, 0] * size[1] + offsets[:, :, 1], size, reach)
        for image, own, given in zip(images, sources, offsets, strict=True):
            assert np.array_equal(image.reshape(-1, 3)[own].reshape(image.shape), moved(image, given.numpy(), reach))


def test_the_longest_chain_of_copies_is_followed() -> None:
    offsets = torch.full((1, 1, 16, 16), 20 + 1)
    sources = pixel_sources(offsets, (20, 20), 2).view(20, 20)
    diagonal = np.arange(3, 19)
    assert sources[diagonal, diagonal].tolist() == [19 * 20 + 19] * 16
    assert sources[3, 5] == 17 * 20 + 19


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_photographs_of_224_pixels_are_seen_through_the_published_glass(severity: int) -> None:
    clean = photographs(224, 4)
    seen, expected = ours("glass_blur", clean, severity), published("glass_blur", clean, severity)
    assert psnr(seen, clean) == pytest.approx(psnr(expected, clean), abs=0.15)
    assert torch.allclose(spectrum(seen).log(), spectrum(expected).log(), atol=0.06)
    # the published code cuts off decimals between the blurs: half a grey level
    assert (seen.mean() - expected.mean()).item() * 255 == pytest.approx(0.5, abs=0.3)


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("side", SMALL)
def test_small_images_are_seen_through_the_published_glass(side: int, severity: int) -> None:
    sigma, reach, times = SMALL[side][severity - 1]
    clean = photographs(side, 768 // side)
    offsets = drawn(severity, len(clean), times, reach, side, side).numpy()
    spread = (0, sigma, sigma, 0)
    blurred = gaussian_filter(clean.permute(0, 2, 3, 1).double().numpy(), spread, mode="nearest")
    behind = np.stack([moved(image, given, reach) for image, given in zip(blurred, offsets, strict=True)])
    expected = gaussian_filter(behind, spread, mode="nearest")
    wanted = torch.from_numpy(expected).permute(0, 3, 1, 2)
    seen = ours("glass_blur", clean, severity)
    assert psnr(seen, clean) == pytest.approx(psnr(wanted, clean), abs=0.25)
    assert torch.allclose(spectrum(seen).log(), spectrum(wanted).log(), atol=0.12)
