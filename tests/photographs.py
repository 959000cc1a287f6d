"""Photographs on which corruptions are tried, and how much they are ruined."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_sample_images
from torch import Tensor


@cache
def photographs(side: int, count: int) -> Tensor:
    """(count, 3, side, side) in [0, 1], in 256 steps: parts of the two photographs that come with scikit-learn."""
    taken = []
    for number in range(count):
        picture = np.asarray(load_sample_images().images[number % 2])
        top, left = 29 * (number // 2) % (len(picture) - side + 1), 67 * (number // 2) % (picture.shape[1] - side + 1)
        taken.append(picture[top : top + side, left : left + side])
    return torch.from_numpy(np.stack(taken)).permute(0, 3, 1, 2).float().contiguous() / 255


def psnr(images: Tensor, clean: Tensor) -> float:
    """Peak signal-to-noise ratio in dB, from the error of all images together."""
    return -10 * torch.log10((images.double() - clean.double()).square().mean()).item()
