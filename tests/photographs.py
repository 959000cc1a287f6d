"""Photographs on which corruptions are tried, and how much they are ruined."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor


@cache
def photographs(side: int, count: int) -> Tensor:
    """(count, 3, side, side) in [0, 1], in 256 steps: parts of the two photographs that come with scikit-learn."""
    taken = []
    for number in range(count):
        picture = load_sample_images().images[number % 2]
        top, left = 90 + 29 * (number // 2) % 90, 67 * (number // 2) % 400
        part = Image.fromarray(picture[top : top + 224, left : left + 224])
        taken.append(np.asarray(part.resize((side, side), Image.Resampling.BOX)))
    return torch.from_numpy(np.stack(taken)).permute(0, 3, 1, 2).float().contiguous() / 255


def psnr(images: Tensor, clean: Tensor) -> float:
    """Peak signal-to-noise ratio in dB, from the error of all images together."""
    return -10 * torch.log10((images.double() - clean.double()).square().mean()).item()


def as_pixels(images: Tensor) -> list[NDArray[np.uint8]]:
    """Images, (B, C, H, W) in [0, 1], as pictures (H, W, C) of 256 steps."""
    return list((images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())


def from_pixels(pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Pictures, (H, W, C) of 256 steps, as images (B, C, H, W) in [0, 1]."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
