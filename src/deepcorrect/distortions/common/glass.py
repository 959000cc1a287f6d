"""Glass blur: pixels that trade places with their neighbours, between two Gaussian blurs."""

from __future__ import annotations

import torch
from torch import Tensor

from deepcorrect.distortions.common.convolution import gaussian
from deepcorrect.distortions.common.corruption import corruption
from deepcorrect.distortions.streams import Streams


@corruption(
    "glass_blur",
    {
        224: ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
        64: ((0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)),
        32: ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    },
    random=True,
)
def glass_blur(images: Tensor, sigma: float, distance: float, times: float, streams: Streams) -> Tensor:
    """Look through frosted glass: blur, move pixels, and blur again.

    Args:
        images: (B, C, H, W) in [0, 1].
        sigma: standard deviation of both blurs, in pixels.
        distance: from which pixels come, rounded.
        times: how often they are moved, rounded.
        streams: of the offsets.
    """
    (height, width), reach = images.shape[-2:], round(distance)
    blurred = gaussian(images, sigma).flatten(2)
    shape = (round(times), max(0, height - 2 * reach), max(0, width - 2 * reach))
    choices = streams.integers("offsets", 0, (2 * reach) ** 2, shape)
    offsets = torch.arange(-reach, reach, device=images.device)
    offsets = (offsets[:, None] * width + offsets).flatten().index_select(0, choices.flatten()).view_as(choices)
    sources = pixel_sources(offsets, (height, width), reach)
    moved = blurred.gather(2, sources[:, None].expand(-1, blurred.shape[1], -1))
    return gaussian(moved.view_as(images), sigma)


def pixel_sources(offsets: Tensor, size: tuple[int, int], reach: int) -> Tensor:
    """From which pixel of an image each pixel comes after all were moved several times, (B, H * W).

    Each time, the pixels are taken from the last to the first, and each becomes a copy of the one at its offset: of what that
    is by now, if it comes later in the image. Such a pixel has the source of the later one. That is looked up for all at once,
    again and again, until every source is known.

    Args:
        offsets: (B, times, H - 2 reach, W - 2 reach) integers, down times W plus across, each at least ``-reach`` and below
            ``reach``; of the pixels from ``reach + 1`` on. All others stay as they are.
        size: (H, W) of the images.
        reach: how far pixels may come from.
    """
    (height, width), count = size, len(offsets)
    total = count * height * width
    pixels = torch.arange(total, device=offsets.device)
    sources = pixels
    for step in offsets.unbind(1):
        copied = pixels.clone()
        inner = copied.view(count, height, width)[:, reach + 1 : height - reach + 1, reach + 1 : width - reach + 1]
        inner += step
        unknown = (copied > pixels).nonzero()[:, 0]
        ahead = copied.index_select(0, unknown)
        copied.index_add_(0, unknown, torch.full_like(ahead, total))
        while len(unknown):
            source = copied.index_select(0, ahead)
            copied.index_copy_(0, unknown, source)
            still = (source >= total).nonzero()[:, 0]
            unknown, ahead = unknown.index_select(0, still), source.index_select(0, still) - total
        sources = sources.index_select(0, copied)
    return sources.view(count, -1) % (height * width)
