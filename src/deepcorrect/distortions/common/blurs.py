"""Gaussian, defocus and motion blur."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from deepcorrect.distortions.common.convolution import blur_along, correlate, gaussian, gaussian_matrix
from deepcorrect.distortions.common.severity import Parameters, common
from deepcorrect.distortions.streams import Streams

_GAUSSIAN = Parameters({224: (1, 2, 3, 4, 6), 64: (0.5, 0.75, 1, 1.25, 1.5), 32: (0.4, 0.6, 0.7, 0.8, 1)})
"""The standard deviation in pixels."""
_DEFOCUS = Parameters(
    {
        224: ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
        64: ((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
        32: ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    }
)
"""The radius of the disc, and the standard deviation of the Gaussian that smooths its edge."""
_MOTION = Parameters(
    {
        224: ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        64: ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
        32: ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    }
)
"""The radius and the standard deviation of the kernel."""
_STEEPEST = 45.0


@common("gaussian_blur")
def gaussian_blur(images: Tensor, severity: Tensor) -> Tensor:
    """Blur by a Gaussian, with the pixel at the border beyond it.

    Args:
        images: (B, C, H, W) in [0, 1].
        severity: (B,), 1 to 5.
    """
    return gaussian(images, _GAUSSIAN.of(images, severity)[:, 0])


@common("defocus_blur")
def defocus_blur(images: Tensor, severity: Tensor) -> Tensor:
    """Blur by a disc with a smoothed edge; the image is mirrored beyond its border.

    Args:
        images: (B, C, H, W) in [0, 1].
        severity: (B,), 1 to 5.
    """
    blurred = torch.empty_like(images)
    for (radius, smoothing), rows in _DEFOCUS.groups(images, severity):
        blurred[rows] = correlate(images[rows], disc(radius, smoothing).to(images), "mirror")
    return blurred


@common("motion_blur", random="streams")
def motion_blur(images: Tensor, severity: Tensor, streams: Streams) -> Tensor:
    """Blur along a line at an angle of at most 45 degrees to the horizontal.

    Args:
        images: (B, C, H, W) in [0, 1].
        severity: (B,), 1 to 5.
        streams: of the images.
    """
    radius, sigma = _MOTION.of(images, severity).unbind(1)
    return blur_along(images, radius, sigma, streams.uniform("angle", (), -_STEEPEST, _STEEPEST))


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
    size = 2 * reach + 1
    smooth = gaussian_matrix(smoothing, edge, size, "mirror")
    return smooth @ (even / even.sum()) @ smooth.T
