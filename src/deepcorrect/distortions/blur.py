"""Gaussian blur (section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.registry import register

LADDERS = {"cifar": (0.5, 1, 1.5, 2, 2.5, 3), "imagenet": (1, 2, 3, 4, 5, 6), "digits": (0.4, 0.6, 0.8, 1, 1.2, 1.4)}
"""The paper's for CIFAR-100 and ImageNet."""


class GaussianBlur(Distortion):
    """Gaussian blur by a standard deviation in pixels; what lies beyond the border of an image is black.

    ``GaussianBlur(levels=(1, 2, 3))`` blurs by 1, 2 and 3 pixels, whatever the data. Without levels they follow the data:
    0.5 to 3 pixels for images up to 64 pixels wide (the paper's for CIFAR-100), 1 to 6 for larger ones (the paper's for
    ImageNet), 0.4 to 1.4 for the digits. Results call it ``blur``.

    Args:
        levels: standard deviations in pixels: finite numbers above 0, each once, in the order in which results show them.

    Raises:
        DeepcorrectError: levels that are something else, or none.
    """

    def __init__(self, levels: Iterable[float] | None = None) -> None:
        super().__init__("blur", gaussian_blur, LADDERS if levels is None else None, levels=levels)


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur every image with its own Gaussian.

    The window is 4 sigma + 1 wide (3, 5, ..., 13 on the CIFAR ladder) and sums to one; zeros lie beyond the border. As a
    blur is a band matrix applied to columns and rows, a batch of mixed severities is two batched matrix products.

    Args:
        images: (B, C, H, W), float.
        sigma: (B,), standard deviations in pixels, 0 or more.
    """
    height, width = images.shape[-2:]
    rows = _blur_matrix(sigma, height).to(images.dtype)
    columns = rows if height == width else _blur_matrix(sigma, width).to(images.dtype)
    return rows[:, None] @ images @ columns[:, None]


def _blur_matrix(sigma: Tensor, size: int) -> Tensor:
    """(B, size, size) symmetric band matrices that blur a line of ``size`` pixels."""
    sigma = sigma.float().view(-1, 1)
    radius = torch.floor(2 * sigma + 0.5)
    widest = int(radius.max()) if len(radius) else 0
    offsets = torch.arange(-widest, widest + 1, device=sigma.device)
    kernel = torch.exp(-0.5 * (offsets / sigma.clamp_min(1e-6)) ** 2) * (offsets.abs() <= radius)
    kernel = kernel / kernel.sum(1, keepdim=True)
    position = torch.arange(size, device=sigma.device)
    distance = (position[:, None] - position[None, :]).abs()
    inside = distance <= widest
    return kernel[:, distance.clamp_max(widest) + widest] * inside


register("blur", ladders=LADDERS)(gaussian_blur)
