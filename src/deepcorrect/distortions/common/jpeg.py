"""JPEG compression by a real codec."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
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
    pixels = images.clamp(0, 1).mul_(255).round_().to(torch.int16).to(torch.uint8)
    pictures = torch.stack(pixels.unbind(1), -1).cpu().numpy()
    read = np.stack([_saved_and_read(picture, round(quality)) for picture in pictures])
    return torch.from_numpy(read).movedim(-1, 1).to(images).div_(255)


def _saved_and_read(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """A picture, (H, W, 1 or 3), after its time in a file."""
    file = BytesIO()
    Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).reshape(picture.shape)
