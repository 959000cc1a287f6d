"""What is drawn around drops of water: edges, the distance to them, and filters of three by three pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import label
from torch import Tensor
from torch.nn.functional import pad

from deepcorrect.distortions.common.convolution import Border, beyond

_TANGENT = 2**0.5 - 1  # of 22.5 degrees


def canny(images: Tensor, low: float, high: float) -> Tensor:
    """Edges by Canny's method, (B, H, W) bool.

    Gradients are those of Sobel, their size the sum of those down and across. A pixel is part of an edge if none of its two
    neighbours across the edge has a larger gradient, and its own is above ``high``, or above ``low`` and connected with one
    above ``high`` by others of the kind.

    Args:
        images: (B, H, W), 0 to 255.
        low, high: thresholds.
    """
    lines = filtered(images, ((1, 2, 1),), "nearest"), filtered(images, ((1,), (2,), (1,)), "nearest")
    down = filtered(lines[0], ((-1,), (0,), (1,)), "nearest")
    across = filtered(lines[1], ((-1, 0, 1),), "nearest")
    size = down.abs() + across.abs()
    height, width = size.shape[-2:]
    around = pad(size, (1, 1, 1, 1))

    def neighbour(row: int, column: int) -> Tensor:
        return around[:, 1 + row : 1 + row + height, 1 + column : 1 + column + width]

    steep, flat = across.abs() > down.abs() / _TANGENT, across.abs() < down.abs() * _TANGENT
    falling = (across < 0) == (down < 0)
    beside = (size > neighbour(0, -1)) & (size >= neighbour(0, 1))
    above = (size > neighbour(-1, 0)) & (size >= neighbour(1, 0))
    diagonal = torch.where(
        falling,
        (size > neighbour(-1, -1)) & (size > neighbour(1, 1)),
        (size > neighbour(-1, 1)) & (size > neighbour(1, -1)),
    )
    peaks = torch.where(steep, beside, torch.where(flat, above, diagonal)) & (size > low)
    return _connected(peaks, peaks & (size > high))


def _connected(weak: Tensor, strong: Tensor) -> Tensor:
    within_images = np.zeros((3, 3, 3), dtype=bool)
    within_images[1] = True
    pieces, count = label(weak.cpu().numpy(), within_images)
    kept = np.zeros(count + 1, dtype=bool)
    kept[pieces[strong.cpu().numpy()]] = True
    return torch.from_numpy(kept[pieces]).to(weak.device)


def distance(edges: Tensor, farthest: int) -> Tensor:
    """How far each pixel is from the closest edge, in a straight line, (B, H, W) float.

    Args:
        edges: (B, H, W), bool.
        farthest: distances end here, 1 to 100 pixels.
    """
    beyond_reach = farthest + 1
    in_row = torch.where(edges, 0, beyond_reach).to(torch.int16)
    step, left = 1, farthest
    while left:
        for moved in (
            pad(in_row, (step, 0), value=beyond_reach)[..., :-step],
            pad(in_row, (0, step), value=beyond_reach)[..., step:],
        ):
            in_row = torch.minimum(in_row, moved + step)
        left -= step
        step = min(2 * step, left)
    squares = pad(in_row.square(), (0, 0, farthest, farthest), value=beyond_reach**2)
    height = edges.shape[1]
    closest = squares[:, farthest : farthest + height].clone()
    for step in range(1, farthest + 1):
        either = torch.minimum(squares[:, farthest - step :][:, :height], squares[:, farthest + step :][:, :height])
        closest = torch.minimum(closest, either + step**2)
    return closest.float().sqrt_().clamp_(max=farthest)


def filtered(images: Tensor, kernel: Sequence[Sequence[float]], border: Border) -> Tensor:
    """The sum of the pixels around each one, weighted by a kernel.

    Args:
        images: (B, H, W).
        kernel: rows of weights, an odd number of each; the one in the middle is the pixel's own.
        border: what lies beyond, as in ``beyond``.
    """
    height, width = images.shape[-2:]
    rows, columns = len(kernel), len(kernel[0])
    down = torch.arange(-(rows // 2), height + rows // 2, device=images.device)
    across = torch.arange(-(columns // 2), width + columns // 2, device=images.device)
    if rows > 1:
        images = images.index_select(1, beyond(down, height, border))
    if columns > 1:
        images = images.index_select(2, beyond(across, width, border))
    total = torch.zeros_like(images[:, :height, :width])
    for row, weights in enumerate(kernel):
        for column, weight in enumerate(weights):
            if weight:
                total.add_(images[:, row : row + height, column : column + width], alpha=weight)
    return total


def mean_around(images: Tensor) -> Tensor:
    """The mean of the three by three pixels around each one, (B, H, W); beyond the border is the image mirrored."""
    return filtered(filtered(images, ((1, 1, 1),), "mirror"), ((1,), (1,), (1,)), "mirror") / 9


def equalized(images: Tensor) -> Tensor:
    """Images in which all grey values are as frequent as possible, by their histogram.

    Args:
        images: (B, H, W), whole numbers from 0 to 255.
    """
    count, pixels = len(images), images[0].numel()
    values = images.reshape(count, pixels).long()
    shifted = values + 256 * torch.arange(count, device=images.device)[:, None]
    histogram = torch.bincount(shifted.flatten(), minlength=256 * count).view(count, 256)
    up_to = histogram.cumsum(1)
    darkest = histogram.gather(1, values.amin(1, keepdim=True))
    spread = 255 / (pixels - darkest).clamp(min=1)
    table = ((up_to - darkest) * spread).round().clamp(min=0)
    table = torch.where(darkest == pixels, torch.arange(256, device=images.device), table)
    return table.gather(1, values).view(images.shape).to(images.dtype)
