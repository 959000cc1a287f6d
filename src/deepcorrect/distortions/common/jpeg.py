"""JPEG compression by a real codec."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deepcorrect.distortions.common.corruption import COLOUR, corruption


@corruption("jpeg_compression", {224: (25, 18, 15, 10, 7), 64: (65, 58, 50, 40, 25), 32: (80, 65, 58, 50, 40)}, channels=COLOUR)
def jpeg_compression(images: Tensor, quality: float) -> Tensor:
    """Save images as JPEG files, by Pillow, and read them again.

    Colours are stored as Pillow does by itself, with half the resolution of the brightness; grey images as grey ones, which
    have the same pixels as if they were saved in colour.

    Args:
        images: (B, 1 or 3, H, W) in [0, 1]; rounded to 256 steps.
        quality: 1 to 95.
    """
    pixels = images.clamp(0, 1).mul_(255).round_().to(torch.int16).to(torch.uint8).cpu().numpy()
    read = [_saved_and_read(picture, round(quality)) for picture in pixels]
    return torch.from_numpy(np.stack(read)).to(images).div_(255)


def _saved_and_read(picture: np.ndarray, quality: int) -> np.ndarray:
    """A picture, (1 or 3, H, W) uint8, after its time in a file."""
    channels = [Image.fromarray(channel) for channel in picture]
    file = BytesIO()
    (Image.merge("RGB", channels) if len(channels) == 3 else channels[0]).save(file, "JPEG", quality=quality)
    return np.stack([np.asarray(channel) for channel in Image.open(file).split()])
