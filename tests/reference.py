"""Corruptions as ``imagecorruptions`` computes them, for images of 224 pixels; and what random ones are compared by."""

from __future__ import annotations

import numpy as np
import torch
from imagecorruptions import corruptions
from torch import Tensor

from deepcorrect.distortions.registry import get_distortion


def published(name: str, images: Tensor, severity: int) -> Tensor:
    """(B, 3, H, W) in [0, 1], not rounded to 256 steps, from images in 256 steps."""
    np.random.seed(severity)
    pictures = (images.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    own_seed = name in ("glass_blur", "impulse_noise")
    corrupted = np.stack(
        [
            getattr(corruptions, name)(picture, severity, **({"seed": index} if own_seed else {}))
            for index, picture in enumerate(pictures)
        ]
    )
    return torch.from_numpy(corrupted).permute(0, 3, 1, 2).double() / 255


def ours(name: str, images: Tensor, severity: float, seed: int = 0) -> Tensor:
    """The same as this package computes it."""
    return get_distortion(name).at(images, severity, torch.arange(len(images)), seed)


def spectrum(images: Tensor, bands: int = 6) -> Tensor:
    """(bands,) mean power of images, (B, C, H, W), by radial frequency, from 0 to that of every other pixel."""
    power = torch.fft.fft2(images.double()).abs().square().mean((0, 1))
    frequencies = [torch.fft.fftfreq(side).double() for side in power.shape]
    radius = torch.hypot(frequencies[0][:, None], frequencies[1])
    each = [(radius >= low) & (radius < low + 0.5 / bands) for low in np.linspace(0, 0.5, bands, endpoint=False)]
    return torch.stack([power[band].mean() for band in each])
