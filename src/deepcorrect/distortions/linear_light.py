"""Between the numbers of an image and the light that they stand for, by the sRGB standard (IEC 61966-2-1)."""

from __future__ import annotations

import torch
from torch import Tensor


def to_linear(images: Tensor) -> Tensor:
    """Light in proportion to what a sensor counts, from the numbers of an image; both in [0, 1]."""
    return torch.where(images <= 0.04045, images / 12.92, ((images.clamp(min=0) + 0.055) / 1.055) ** 2.4)


def to_srgb(light: Tensor) -> Tensor:
    """The numbers of an image, from light; both in [0, 1], as that which is more or less than a screen shows is cut off."""
    light = light.clamp(0, 1)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
