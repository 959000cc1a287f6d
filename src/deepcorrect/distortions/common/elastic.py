"""Elastic transform: images stretched at random, as a whole and locally."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from deepcorrect.distortions.common.convolution import gaussian
from deepcorrect.distortions.common.corruption import corruption
from deepcorrect.distortions.streams import Streams

SMALLEST, LARGEST = 32, 224


@corruption(
    "elastic_transform",
    {
        LARGEST: ((488, 170.8, 24.4), (488, 19.52, 48.8), (12.2, 2.44, 4.88), (17.08, 2.44, 4.88), (29.28, 2.44, 4.88)),
        64: ((0, 0, 5.12), (3.2, 19.2, 3.84), (6.4, 5.12, 3.84), (6.4, 1.92, 1.92), (10.24, 1.92, 1.28)),
        SMALLEST: ((0, 0, 2.56), (1.6, 6.4, 2.24), (2.56, 1.92, 1.92), (3.2, 1.28, 1.6), (3.2, 0.96, 0.96)),
    },
    random=True,
)
def elastic_transform(images: Tensor, strength: float, sigma: float, reach: float, streams: Streams) -> Tensor:
    """Move three points of an image, and the rest along with them; then every pixel by a smooth random field.

    All three lengths are shares of an image's side, given in pixels for the sizes of the table: for smaller images than 32
    pixels and larger ones than 224 they shrink and grow with the side. What lies beyond the border is the image mirrored.

    Args:
        images: (B, C, H, W) in [0, 1].
        strength: of the field of displacements, by which uniform noise over [-1, 1) is multiplied after it was smoothed.
        sigma: standard deviation of the Gaussian that smoothes it, cut off at 3 sigma.
        reach: the points move by up to this, down and across.
        streams: of the points and of the field.
    """
    height, width = images.shape[-2:]
    side = min(height, width)
    scale = side / min(max(side, SMALLEST), LARGEST)
    rows, columns = torch.arange(height).to(images)[:, None], torch.arange(width).to(images)
    across, down = _affine(rows, columns, reach * scale, streams)
    warped = _sampled(images, across, down, border_twice=False)
    if strength == 0:
        return warped
    noise = streams.uniform("field", (2, height, width), -1, 1)
    field = gaussian(noise, sigma * scale, mode="reflect", truncate=3) * (strength * scale)
    return _sampled(warped, columns + field[:, 0], rows + field[:, 1], border_twice=True)


def _affine(rows: Tensor, columns: Tensor, reach: float, streams: Streams) -> tuple[Tensor, Tensor]:
    """Where each pixel comes from, across and down (B, H, W), after three corners of a square in the middle moved."""
    height, width = len(rows), len(columns)
    third = max(1, min(height, width) // 3)
    corners = torch.tensor([[third, third], [third, -third], [-third, -third]]).to(rows)
    corners = corners + torch.tensor([width // 2, height // 2]).to(rows)
    moved = corners + streams.uniform("points", (3, 2), -reach, reach)
    back = torch.linalg.solve(torch.cat([moved, torch.ones_like(moved[..., :1])], 2), corners)  # (B, 3, 2)
    x, y, constant = (each[..., None, None] for each in back.unbind(1))
    source = x * columns + y * rows + constant
    return source[:, 0], source[:, 1]


def _sampled(images: Tensor, across: Tensor, down: Tensor, *, border_twice: bool) -> Tensor:
    """Images at positions between their pixels, (B, H, W), interpolated linearly.

    Args:
        border_twice: whether the mirror image begins with the pixel at the border, or with the next one.
    """
    height, width = images.shape[-2:]
    if border_twice:
        grid = torch.stack([(2 * across + 1) / width - 1, (2 * down + 1) / height - 1], -1)
    else:
        grid = torch.stack([2 * across / max(1, width - 1) - 1, 2 * down / max(1, height - 1) - 1], -1)
    return grid_sample(images, grid, padding_mode="reflection", align_corners=not border_twice)
