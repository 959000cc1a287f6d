"""Gaussian, shot, impulse and speckle noise."""

from __future__ import annotations

from torch import Tensor

from deepcorrect.distortions.common.corruption import corruption
from deepcorrect.distortions.common.photons import photons
from deepcorrect.distortions.streams import Streams


@corruption(
    "gaussian_noise",
    {224: (0.08, 0.12, 0.18, 0.26, 0.38), 64: (0.04, 0.08, 0.12, 0.15, 0.18), 32: (0.04, 0.06, 0.08, 0.09, 0.1)},
    random=True,
)
def gaussian_noise(images: Tensor, sigma: float, streams: Streams) -> Tensor:
    """Add normal noise: ``images + sigma * normal``.

    Args:
        images: (B, C, H, W) in [0, 1].
        sigma: standard deviation.
        streams: of the noise.
    """
    return images.add_(streams.normal("noise", tuple(images.shape[1:])), alpha=sigma)


@corruption("shot_noise", {224: (60, 25, 12, 5, 3), 64: (250, 100, 50, 30, 15), 32: (500, 250, 100, 75, 50)}, random=True)
def shot_noise(images: Tensor, largest: float, streams: Streams) -> Tensor:
    """Count photons: ``Poisson(largest * images) / largest``.

    Args:
        images: (B, C, H, W) in [0, 1].
        largest: mean number of photons in a white pixel.
        streams: of the photons.
    """
    return photons(images, largest, streams).div_(largest)


@corruption(
    "impulse_noise",
    {224: (0.03, 0.06, 0.09, 0.17, 0.27), 64: (0.01, 0.02, 0.05, 0.08, 0.14), 32: (0.01, 0.02, 0.03, 0.05, 0.07)},
    random=True,
)
def impulse_noise(images: Tensor, share: float, streams: Streams) -> Tensor:
    """Replace values, of each channel by itself, by 0, and as many by 1 (salt and pepper).

    Args:
        images: (B, C, H, W) in [0, 1].
        share: of all values that are replaced.
        streams: of the impulses.
    """
    drawn = streams.uniform("impulse", tuple(images.shape[1:]))
    return images.mul_(drawn >= share).add_(drawn < share / 2)


@corruption(
    "speckle_noise",
    {224: (0.15, 0.2, 0.35, 0.45, 0.6), 64: (0.15, 0.2, 0.25, 0.3, 0.35), 32: (0.06, 0.1, 0.12, 0.16, 0.2)},
    random=True,
)
def speckle_noise(images: Tensor, sigma: float, streams: Streams) -> Tensor:
    """Add normal noise in proportion to the image: ``images + images * sigma * normal``.

    Args:
        images: (B, C, H, W) in [0, 1].
        sigma: standard deviation in a white pixel.
        streams: of the noise.
    """
    return images.addcmul_(images, streams.normal("noise", tuple(images.shape[1:])), value=sigma)
