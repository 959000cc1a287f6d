"""Gaussian, shot, impulse and speckle noise."""

from __future__ import annotations

from torch import Tensor

from deepcorrect.distortions.common.photons import photons
from deepcorrect.distortions.common.severity import Parameters, common
from deepcorrect.distortions.streams import Streams

_GAUSSIAN = Parameters(
    {224: (0.08, 0.12, 0.18, 0.26, 0.38), 64: (0.04, 0.08, 0.12, 0.15, 0.18), 32: (0.04, 0.06, 0.08, 0.09, 0.1)}
)
"""The standard deviation."""
_SHOT = Parameters({224: (60, 25, 12, 5, 3), 64: (250, 100, 50, 30, 15), 32: (500, 250, 100, 75, 50)})
"""The mean number of photons in a white pixel."""
_IMPULSE = Parameters(
    {224: (0.03, 0.06, 0.09, 0.17, 0.27), 64: (0.01, 0.02, 0.05, 0.08, 0.14), 32: (0.01, 0.02, 0.03, 0.05, 0.07)}
)
"""The share of values replaced."""
_SPECKLE = Parameters({224: (0.15, 0.2, 0.35, 0.45, 0.6), 64: (0.15, 0.2, 0.25, 0.3, 0.35), 32: (0.06, 0.1, 0.12, 0.16, 0.2)})
"""The standard deviation in a white pixel."""


@common("gaussian_noise", random="streams")
def gaussian_noise(images: Tensor, severity: Tensor, streams: Streams) -> Tensor:
    """Add normal noise: ``images + sigma * normal``.

    Args:
        images: (B, C, H, W) in [0, 1].
        severity: (B,), 1 to 5.
        streams: of the images.
    """
    noise = streams.normal("noise", tuple(images.shape[1:]))
    return noise.mul_(_GAUSSIAN.scale(images, severity)).add_(images)


@common("shot_noise", random="streams")
def shot_noise(images: Tensor, severity: Tensor, streams: Streams) -> Tensor:
    """Count photons: ``Poisson(largest * images) / largest``.

    Args:
        images: (B, C, H, W) in [0, 1].
        severity: (B,), 1 to 5.
        streams: of the images.
    """
    largest = _SHOT.scale(images, severity)
    return photons(images, largest.flatten(), streams).div_(largest)


@common("impulse_noise", random="streams")
def impulse_noise(images: Tensor, severity: Tensor, streams: Streams) -> Tensor:
    """Replace a share of all values, each channel by itself, by 0 and as many by 1 (salt and pepper).

    Args:
        images: (B, C, H, W) in [0, 1].
        severity: (B,), 1 to 5.
        streams: of the images.
    """
    drawn, share = streams.uniform("impulse", tuple(images.shape[1:])), _IMPULSE.scale(images, severity)
    return images.where(drawn >= share, (drawn < share / 2).to(images))


@common("speckle_noise", random="streams")
def speckle_noise(images: Tensor, severity: Tensor, streams: Streams) -> Tensor:
    """Add normal noise in proportion to the image: ``images + images * sigma * normal``.

    Args:
        images: (B, C, H, W) in [0, 1].
        severity: (B,), 1 to 5.
        streams: of the images.
    """
    noise = streams.normal("noise", tuple(images.shape[1:]))
    return noise.mul_(_SPECKLE.scale(images, severity)).add_(1).mul_(images)
