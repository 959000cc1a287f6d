"""Fog: a cloud of diamonds and squares in front of the image."""

from __future__ import annotations

import torch
from torch import Tensor

from deepcorrect.distortions.common.corruption import corruption
from deepcorrect.distortions.streams import Streams


@corruption(
    "fog",
    {
        224: ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
        64: ((0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)),
        32: ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    },
    random=True,
)
def fog(images: Tensor, amplitude: float, decay: float, streams: Streams) -> Tensor:
    """Add a cloud, and darken the whole so that its brightest point stays what it could be: m (x + a cloud) / (m + a).

    Args:
        images: (B, C, H, W) in [0, 1]; m is the largest number of an image.
        amplitude: a, how dense the fog is.
        decay: by what the roughness of the cloud falls from one scale to the next, half as large; more is smoother.
        streams: of the cloud.
    """
    height, width = images.shape[-2:]
    side = max(2, 1 << (max(height, width) - 1).bit_length())
    cloud = plasma(streams.uniform("cloud", (side, side), -1, 1), decay)[:, None, :height, :width]
    brightest = images.amax((1, 2, 3), keepdim=True)
    return torch.add(images, cloud, alpha=amplitude).mul_(brightest / (brightest + amplitude))


def plasma(steps: Tensor, decay: float) -> Tensor:
    """Clouds by the diamond-square algorithm, (B, S, S) in [0, 1], which continue beyond an edge at the opposite one.

    Every point is the mean of four that are known, the corners of a square or of a diamond around it, and a random step. From
    one scale to the next the steps shrink by the square of ``decay``: the published code multiplies them by their scale twice.

    Args:
        steps: (B, S, S) evenly spread over [-1, 1), one for each point; S is a power of two, at least 2.
        decay: above 1.
    """
    heights = torch.zeros_like(steps)
    size, scale = steps.shape[-1], 1.0
    while size >= 2:
        half = size // 2
        corners = heights[:, ::size, ::size]
        pairs = corners + corners.roll(-1, 1)
        centres = (pairs + pairs.roll(-1, 2)) / 4 + scale * steps[:, half::size, half::size]
        heights[:, half::size, half::size] = centres
        above = (centres + centres.roll(1, 1) + corners + corners.roll(-1, 2)) / 4
        heights[:, ::size, half::size] = above + scale * steps[:, ::size, half::size]
        beside = (centres + centres.roll(1, 2) + corners + corners.roll(-1, 1)) / 4
        heights[:, half::size, ::size] = beside + scale * steps[:, half::size, ::size]
        size, scale = half, scale / decay**2
    low, high = heights.amin((1, 2), keepdim=True), heights.amax((1, 2), keepdim=True)
    return (heights - low) / (high - low)
