"""Zoom blur: the mean of an image at several magnifications."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from deepcorrect.distortions.common.convolution import chunks
from deepcorrect.distortions.common.severity import Parameters, common

_SMALL = ((1.06, 7), (1.11, 12), (1.15, 16), (1.2, 21), (1.25, 26))
_ZOOM = Parameters({224: ((1.11, 12), (1.15, 16), (1.2, 11), (1.24, 13), (1.3, 11)), 64: _SMALL, 32: _SMALL})
"""The largest factor, and how many there are from 1 on."""
_ROUNDING = 1e-9


@common("zoom_blur")
def zoom_blur(images: Tensor, severity: Tensor) -> Tensor:
    """Move the camera: the mean of the image and of all its magnifications, the first of which is 1.

    Args:
        images: (B, C, H, W) in [0, 1].
        severity: (B,), 1 to 5.
    """
    blurred = torch.empty_like(images)
    for (largest, count), rows in _ZOOM.groups(images, severity):
        factors = torch.linspace(1, largest, round(count), dtype=torch.float64).tolist()
        for some in chunks(rows, images):
            channels = images[some].flatten(0, 1)
            total = channels * 2
            for factor in factors[1:]:
                total += magnified(channels, factor)
            blurred[some] = (total / (len(factors) + 1)).view(-1, *images.shape[1:])
    return blurred


def magnified(channels: Tensor, factor: float) -> Tensor:
    """The middle of single channels, (N, H, W), magnified to their size with linear interpolation.

    Args:
        channels: (N, H, W).
        factor: 1 or more.
    """
    height, width = channels.shape[-2:]
    crop = [math.ceil(side / factor - _ROUNDING) for side in (height, width)]
    size = [max(side, round(cropped * factor)) for side, cropped in zip((height, width), crop, strict=True)]
    top, left = (height - crop[0]) // 2, (width - crop[1]) // 2
    middle = channels[:, None, top : top + crop[0], left : left + crop[1]]
    return functional.interpolate(middle, size, mode="bilinear", align_corners=True)[:, 0, :height, :width]
