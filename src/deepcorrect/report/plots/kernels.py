"""Filters of the first layer in order of susceptibility (Figure 6)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor


def plot_kernels(axes: Axes, weights: Tensor, order: Sequence[int], chosen: Sequence[int]) -> Axes:
    """The kernels of a layer, the most susceptible first, row by row; those of corrected filters are framed (Figure 6).

    Each kernel is scaled by its own largest weight, with 0 as middle grey.

    Args:
        weights: (F, C, k, k). Three channels are shown as colours, any other number as the grey of their mean.
        order: the filters to show, the most susceptible first.
        chosen: the corrected filters.
    """
    tiles = _tiles(weights[list(order)])
    count, height, width, _ = tiles.shape
    columns = min(count, math.ceil(math.sqrt(2 * count)))
    rows = math.ceil(count / columns)
    gap = max(1, width // 5)
    mosaic = np.ones((rows * (height + gap), columns * (width + gap), 3), dtype=np.float32)
    for index, (filter_, tile) in enumerate(zip(order, tiles, strict=True)):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        mosaic[top : top + height, left : left + width] = tile
        if filter_ in chosen:
            corner = (left - 0.5 - gap / 4, top - 0.5 - gap / 4)
            frame = Rectangle(corner, width + gap / 2, height + gap / 2, fill=False, linewidth=1.5, clip_on=False)
            axes.add_patch(frame)
    axes.imshow(mosaic[:-gap, :-gap], interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_xlabel("most susceptible first, row by row (framed: corrected)")
    return axes


def _tiles(weights: Tensor) -> np.ndarray:
    """Kernels (F, C, k, k) as images (F, k, k, 3) in [0, 1], 0.5 where a weight is 0."""
    shown = weights.detach().float().cpu()
    if shown.shape[1] != 3:
        shown = shown.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    extreme = shown.abs().amax((1, 2, 3), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    return (0.5 + 0.5 * shown / extreme).permute(0, 2, 3, 1).numpy()
