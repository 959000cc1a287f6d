"""Pixelation: few large pixels in place of many small ones."""

from __future__ import annotations

import torch
from torch import Tensor

from deepcorrect.distortions.common.corruption import corruption


@corruption("pixelate", {224: (0.6, 0.5, 0.4, 0.3, 0.25), 64: (0.9, 0.8, 0.7, 0.6, 0.5), 32: (0.95, 0.9, 0.85, 0.75, 0.65)})
def pixelate(images: Tensor, share: float) -> Tensor:
    """Shrink images to a share of their sides and enlarge them again, both with a box filter.

    A pixel of the small image is the mean of those whose centres lie in it; each pixel of the result is the one of the small
    image in which its centre lies.

    Args:
        images: (B, C, H, W) in [0, 1].
        share: of the sides that is left, rounded down to whole pixels, at least one.
    """
    height, width = images.shape[-2:]
    rows = _shrunk(images, share)
    columns = _enlarged(_shrunk(rows.mT.contiguous(), share), width)
    return _enlarged(columns.mT.contiguous(), height)


def _shrunk(images: Tensor, share: float) -> Tensor:
    """Shrink the columns of pixels, dimension 2, along which whole rows are added: much faster than along rows."""
    size = images.shape[2]
    small = max(1, int(size * share))
    scale = size / small
    centres = (torch.arange(small, dtype=torch.float64) + 0.5) * scale
    begin, end = ((centres + side + 0.5).long().clamp(max=size) for side in (-scale / 2, scale / 2))
    nearby = begin[:, None] + torch.arange(int((end - begin).max()))
    offsets = (nearby + 0.5 - centres[:, None]) / scale
    inside = (nearby < end[:, None]) & (offsets > -0.5) & (offsets <= 0.5)
    weights = (inside / inside.sum(1, keepdim=True)).to(images)
    first, *others = zip(nearby.clamp(max=size - 1).to(images.device).unbind(1), weights.unbind(1), strict=True)
    total = images.index_select(2, first[0]).mul_(first[1][:, None])
    for pixels, weight in others:
        total.addcmul_(images.index_select(2, pixels), weight[:, None])
    return total


def _enlarged(images: Tensor, size: int) -> Tensor:
    centres = (torch.arange(size, dtype=torch.float64) + 0.5) * (images.shape[2] / size)
    return images.index_select(2, centres.long().to(images.device))
