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
    maps = _affine(images, reach * scale, streams)
    rows, columns = (torch.linspace(-1, 1, size).to(images) for size in (height, width))
    down = maps[:, None, :, 1] * rows[:, None] + maps[:, None, :, 2]
    grid = down[:, :, None] + (maps[:, None, :, 0] * columns[:, None])[:, None]  # (B, H, W, 2)
    warped = grid_sample(images, grid, padding_mode="reflection", align_corners=True)
    if strength == 0:
        return warped
    field = gaussian(streams.uniform("field", (2, height, width), -1, 1), sigma * scale, mode="reflect", truncate=3)
    lengths = torch.tensor([2 / width, 2 / height]).to(images) * (strength * scale)
    rows, columns = ((2 * torch.arange(size) + 1).to(images) / size - 1 for size in (height, width))
    still = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
    grid = torch.addcmul(still, field.movedim(1, -1), lengths)
    return grid_sample(warped, grid, padding_mode="reflection", align_corners=False)


def _affine(images: Tensor, reach: float, streams: Streams) -> Tensor:
    """The affine maps, (B, 2, 3), to where pixels come from when three corners of a square in the middle move.

    Positions are across and down, from -1 at the first pixel to 1 at the last.
    """
    height, width = images.shape[-2:]
    third = max(1, min(height, width) // 3)
    corners = torch.tensor([[third, third], [third, -third], [-third, -third]]).to(images)
    corners = corners + torch.tensor([width // 2, height // 2]).to(images)
    moved = corners + streams.uniform("points", (3, 2), -reach, reach)
    half = torch.tensor([max(1, width - 1), max(1, height - 1)]).to(images) / 2
    corners, moved = corners / half - 1, moved / half - 1
    back: Tensor = torch.linalg.solve(torch.cat([moved, torch.ones_like(moved[..., :1])], 2), corners)
    return back.mT
