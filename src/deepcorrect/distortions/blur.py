"""Gaussian blur."""

from __future__ import annotations

import torch
from torch import Tensor

from deepcorrect.distortions.registry import register


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
    place = torch.arange(size, device=sigma.device)
    distance = (place[:, None] - place[None, :]).abs()
    inside = distance <= widest
    return kernel[:, distance.clamp_max(widest) + widest] * inside


register(
    "blur",
    ladders={"cifar": (0.5, 1, 1.5, 2, 2.5, 3), "imagenet": (1, 2, 3, 4, 5, 6), "digits": (0.4, 0.6, 0.8, 1, 1.2, 1.4)},
)(gaussian_blur)
