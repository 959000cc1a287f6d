"""Random flips, shifts and rotations of a training batch, in one resampling on the batch's own device."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcorrect.base.processes import Part


def augment(
    images: Tensor, *, flip: bool, shift: float, rotation: float, generator: torch.Generator, part: Part | None = None
) -> Tensor:
    """Move every image on its own; pixels from beyond the border are mirrored in.

    Args:
        images: (B, C, H, W), float.
        flip: mirror left and right with probability one half.
        shift: largest shift, as a share of height and width. Without rotation, shifts are whole pixels: nothing is smoothed.
        rotation: largest rotation, degrees.
        generator: on the images' device.
        part: which of a larger batch these images are.
    """
    batch, _, height, width = images.shape
    part = part or Part(0, batch, batch)

    def uniform(limit: float) -> Tensor:
        return (part.of(torch.rand(part.whole, generator=generator, device=images.device)) * 2 - 1) * limit

    angle = uniform(math.radians(rotation))
    mirror = torch.where(uniform(1.0) > 0, -1.0, 1.0) if flip else torch.ones(batch, device=images.device)
    down, right = uniform(shift * height), uniform(shift * width)
    if rotation == 0:
        down, right = down.round(), right.round()
    cosine, sine = angle.cos(), angle.sin()
    # affine_grid maps output to input in coordinates that span [-1, 1] along each side
    rows = (
        torch.stack([cosine * mirror, -sine * height / width, 2 * right / width], 1),
        torch.stack([sine * mirror * width / height, cosine, 2 * down / height], 1),
    )
    grid = F.affine_grid(torch.stack(rows, 1), [batch, 1, height, width], align_corners=False)
    mode = "bilinear" if rotation else "nearest"
    return F.grid_sample(images, grid.to(images.dtype), mode=mode, padding_mode="reflection", align_corners=False)
