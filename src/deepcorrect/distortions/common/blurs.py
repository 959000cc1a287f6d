"""Gaussian, defocus and motion blur."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from deepcorrect.distortions.common.convolution import blur_along, correlate, gaussian, gaussian_matrix
from deepcorrect.distortions.common.corruption import corruption
from deepcorrect.distortions.streams import Streams


@corruption("gaussian_blur", {224: (1, 2, 3, 4, 6), 64: (0.5, 0.75, 1, 1.25, 1.5), 32: (0.4, 0.6, 0.7, 0.8, 1)})
def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Blur by a Gaussian, with the pixel at the border beyond it.

    Args:
        images: (B, C, H, W) in [0, 1].
        sigma: standard deviation in pixels.
    """
    return gaussian(images, sigma)


@corruption(
    "defocus_blur",
    {
        224: ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
        64: ((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
        32: ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    },
)
def defocus_blur(images: Tensor, radius: float, smoothing: float) -> Tensor:
    """Blur by a disc with a smoothed edge; beyond its border an image is mirrored.

    Args:
        images: (B, C, H, W) in [0, 1].
        radius, smoothing: of ``disc``.
    """
    return correlate(images, disc(radius, smoothing), "mirror")


@corruption(
    "motion_blur",
    {
        224: ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        64: ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
        32: ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    },
    random=True,
)
def motion_blur(images: Tensor, radius: float, sigma: float, streams: Streams) -> Tensor:
    """Blur along a line at an angle of at most 45 degrees to the horizontal.

    Args:
        images: (B, C, H, W) in [0, 1].
        radius, sigma: of ``blur_along``.
        streams: of the angle.
    """
    return blur_along(images, radius, sigma, streams.uniform("angle", low=-45, high=45))


@functools.cache
def disc(radius: float, smoothing: float) -> Tensor:
    """The kernel of a defocused lens, (K, K) float64: an even disc, smoothed by a Gaussian.

    It reaches 8 pixels, and the Gaussian 1; of a larger disc they reach the radius, and 2. At the edge of the kernel the disc
    is mirrored, so that a disc as wide as the kernel is not quite even.

    Args:
        radius: pixels.
        smoothing: standard deviation in pixels.
    """
    reach, edge = (8, 1) if radius <= 8 else (math.ceil(radius), 2)
    squares = torch.arange(-reach, reach + 1, dtype=torch.float64) ** 2
    even = (squares[:, None] + squares <= radius**2).double()
    smooth = gaussian_matrix(smoothing, edge, len(even), "mirror")
    return smooth @ (even / even.sum()) @ smooth.T
