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


def canny(images: Tensor, low: int, high: int) -> Tensor:
    """Edges by Canny's method, (B, H, W) bool.

    Gradients are those of Sobel, their size the sum of those down and across. A pixel is part of an edge if none of its two
    neighbours across the edge has a larger gradient, and its own is above ``high``, or above ``low`` and connected with one
    above ``high`` by others of the kind.

    Args:
        images: (B, H, W) int16, 0 to 255.
        low, high: thresholds.
    """
    lines = filtered(images, ((1, 2, 1),), "nearest"), filtered(images, ((1,), (2,), (1,)), "nearest")
    down = filtered(lines[0], ((-1,), (0,), (1,)), "nearest")
    across = filtered(lines[1], ((-1, 0, 1),), "nearest")
    steepness, flatness = down.abs(), across.abs()
    size = steepness + flatness
    height, width = size.shape[-2:]
    around = pad(size, (1, 1, 1, 1))

    def neighbour(row: int, column: int) -> Tensor:
        return around[:, 1 + row : 1 + row + height, 1 + column : 1 + column + width]

    sideways, upright = steepness < flatness * _TANGENT, flatness < steepness * _TANGENT
    beside = torch.maximum(neighbour(0, -1), neighbour(0, 1) - 1)
    above = torch.maximum(neighbour(-1, 0), neighbour(1, 0) - 1)
    falling = torch.maximum(neighbour(-1, -1), neighbour(1, 1))
    rising = torch.maximum(neighbour(-1, 1), neighbour(1, -1))
    diagonal = torch.where((across ^ down) >= 0, falling, rising)
    larger = torch.where(sideways, beside, torch.where(upright, above, diagonal))
    peaks = size > larger.clamp_(min=low)
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
    in_row = edges.logical_not().to(torch.int16) * beyond_reach
    step, left = 1, farthest
    while left:
        for moved in (
            pad(in_row, (step, 0), value=beyond_reach)[..., :-step],
            pad(in_row, (0, step), value=beyond_reach)[..., step:],
        ):
            in_row = torch.minimum(in_row, moved + step)
        left -= step
        step = min(2 * step, left)
    squares = pad(in_row * in_row, (0, 0, farthest, farthest), value=beyond_reach**2)
    height = edges.shape[1]
    closest = squares[:, farthest : farthest + height].clone()
    for step in range(1, farthest + 1):
        above, below = (squares[:, begin : begin + height] for begin in (farthest - step, farthest + step))
        torch.minimum(closest, torch.minimum(above, below).add_(step**2), out=closest)
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
    images = _with_border(_with_border(images, 1, rows // 2, border), 2, columns // 2, border)
    total = torch.zeros(len(images), height, width, dtype=images.dtype, device=images.device)
    for row, weights in enumerate(kernel):
        for column, weight in enumerate(weights):
            if weight:
                total.add_(images[:, row : row + height, column : column + width], alpha=weight)
    return total


def _with_border(images: Tensor, dim: int, reach: int, border: Border) -> Tensor:
    if not reach:
        return images
    size = images.shape[dim]
    outside = torch.arange(-reach, 0), torch.arange(size, size + reach)
    before, after = (images.index_select(dim, beyond(each, size, border).to(images.device)) for each in outside)
    return torch.cat([before, images, after], dim)


def mean_around(images: Tensor) -> Tensor:
    """The mean of the three by three pixels around each one, (B, H, W) float; beyond the border is the image mirrored."""
    return filtered(filtered(images, ((1, 1, 1),), "mirror"), ((1,), (1,), (1,)), "mirror") / 9


def equalized(images: Tensor) -> Tensor:
    """Images in which all grey values are as frequent as possible, by their histogram.

    Args:
        images: (B, H, W) int16, 0 to 255.
    """
    count, pixels = len(images), images[0].numel()
    values = images.reshape(count, pixels).to(torch.int64)
    histogram = torch.stack([each.bincount(minlength=256) for each in values])
    darkest = histogram.gather(1, (histogram > 0).int().argmax(1, keepdim=True))
    table = ((histogram.cumsum(1) - darkest) * (255 / (pixels - darkest).clamp(min=1))).round().clamp(min=0)
    table = torch.where(darkest == pixels, torch.arange(256, device=images.device), table).to(images.dtype)
    return table.gather(1, values).view(images.shape)
