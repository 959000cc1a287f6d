"""Additive white Gaussian noise."""

from __future__ import annotations

from torch import Tensor

from deepcorrect.distortions.registry import register


def additive_gaussian_noise(images: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """Add white Gaussian noise: ``images + sigma / 255 * noise``, neither clipped nor rounded.

    Args:
        images: (B, C, H, W) in [0, 1].
        sigma: (B,), standard deviations on the 0-255 scale.
        noise: (B, C, H, W), standard normal.
    """
    return images + (sigma.view(-1, 1, 1, 1) / 255).to(images.dtype) * noise


register(
    "noise",
    ladders={
        "cifar": (5, 10, 15, 20, 25, 30),
        "imagenet": (10, 20, 40, 60, 80, 100),
        "digits": (15, 30, 45, 60, 75, 90),
    },
    random=True,
)(additive_gaussian_noise)
