"""Additive white Gaussian noise (section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.registry import register

LADDERS = {"cifar": (5, 10, 15, 20, 25, 30), "imagenet": (10, 20, 40, 60, 80, 100), "digits": (15, 30, 45, 60, 75, 90)}
"""The paper's for CIFAR-100 and ImageNet."""


class GaussianNoise(Distortion):
    """Additive white Gaussian noise by a standard deviation on the 0-255 scale; pixels are neither clipped nor rounded.

    ``GaussianNoise(levels=(20, 40))`` adds noise of 20/255 and 40/255, whatever the data. Without levels they follow the data:
    5 to 30 for images up to 64 pixels wide (the paper's for CIFAR-100), 10 to 100 for larger ones (the paper's for ImageNet),
    15 to 90 for the digits. Results call it ``noise``.

    Args:
        levels: standard deviations on the 0-255 scale: finite numbers above 0, each once, in the order in which results show
            them.

    Raises:
        DeepcorrectError: levels that are something else, or none.
    """

    def __init__(self, levels: Iterable[float] | None = None) -> None:
        ladders = LADDERS if levels is None else None
        super().__init__("noise", additive_gaussian_noise, ladders, random=True, levels=levels)


def additive_gaussian_noise(images: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """Add white Gaussian noise: ``images + sigma / 255 * noise``, neither clipped nor rounded.

    Args:
        images: (B, C, H, W) in [0, 1].
        sigma: (B,), standard deviations on the 0-255 scale.
        noise: (B, C, H, W), standard normal.
    """
    return images + (sigma.view(-1, 1, 1, 1) / 255).to(images.dtype) * noise


register("noise", ladders=LADDERS, random=True)(additive_gaussian_noise)
