"""Zoom blur: the mean of an image at several magnifications."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from deepcorrect.distortions.common.corruption import corruption

_SMALL = ((1.06, 7), (1.11, 12), (1.15, 16), (1.2, 21), (1.25, 26))
_ROUNDING = 1e-9


@corruption("zoom_blur", {224: ((1.11, 12), (1.15, 16), (1.2, 11), (1.24, 13), (1.3, 11)), 64: _SMALL, 32: _SMALL})
def zoom_blur(images: Tensor, largest: float, count: float) -> Tensor:
    """Move the camera: the mean of an image and all its magnifications, the first of which is 1.

    Args:
        images: (B, C, H, W) in [0, 1].
        largest: factor of the last magnification.
        count: how many there are, rounded.
    """
    factors = torch.linspace(1, largest, round(count), dtype=torch.float64).tolist()
    channels = images.flatten(0, 1)
    total = channels * 2
    for factor in factors[1:]:
        total += magnified(channels, factor)
    return total.div_(len(factors) + 1).view_as(images)


def magnified(channels: Tensor, factor: float) -> Tensor:
    """The middle of single channels, (N, H, W), magnified to their size with linear interpolation.

    Args:
        channels: (N, H, W).
        factor: 1 or more.
    """
    height, width = channels.shape[-2:]
    down, across = (math.ceil(side / factor - _ROUNDING) for side in (height, width))
    size = [max(height, _rounded(down * factor)), max(width, _rounded(across * factor))]
    top, left = (height - down) // 2, (width - across) // 2
    middle = channels[:, None, top : top + down, left : left + across]
    return functional.interpolate(middle, size, mode="bilinear", align_corners=True)[:, 0, :height, :width]


def _rounded(size: float) -> int:
    return math.floor(size + 0.5 + _ROUNDING)
