"""Snow: flakes blurred along their fall, in front of a whitened image."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from deepcorrect.distortions.common.colour import luminance
from deepcorrect.distortions.common.convolution import blur_along
from deepcorrect.distortions.common.corruption import COLOUR, corruption
from deepcorrect.distortions.streams import Streams


@corruption(
    "snow",
    {
        224: (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
        64: (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.8),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6),
        ),
        32: (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    },
    random=True,
    channels=COLOUR,
)
def snow(
    images: Tensor,
    mean: float,
    spread: float,
    zoom: float,
    threshold: float,
    radius: float,
    sigma: float,
    kept: float,
    streams: Streams,
) -> Tensor:
    """Whiten images, and let snow fall: a layer of flakes, and the same turned by 180 degrees.

    Args:
        images: (B, 1 or 3, H, W) in [0, 1].
        mean, spread: of the normal field whose peaks are the flakes.
        zoom: by what the field is enlarged; 1 or more.
        threshold: numbers of the field below it are no flake.
        radius, sigma: of the flakes' motion blur in pixels, as in ``blur_along``; they fall within 45 degrees of the vertical.
        kept: share of an image that is not whitened.
        streams: of the flakes and of the direction in which they fall.
    """
    height, width = images.shape[-2:]
    field = streams.normal("flakes", (1, math.ceil(height / zoom), math.ceil(width / zoom))) * spread + mean
    flakes = _enlarged(field, zoom, height, width)
    flakes = torch.where(flakes < threshold, 0, flakes.clamp(0, 1))
    flakes = blur_along(flakes, radius, sigma, streams.uniform("angle", low=-135, high=-45))
    whitened = torch.maximum(images, luminance(images) * 1.5 + 0.5)
    return torch.lerp(whitened, images, kept).add_(flakes + flakes.flip(2, 3))


def _enlarged(field: Tensor, zoom: float, height: int, width: int) -> Tensor:
    """The middle of the field between whose first and last numbers the others are spread evenly, interpolated."""
    rows, columns = (round(size * zoom) for size in field.shape[-2:])
    enlarged = interpolate(field, (rows, columns), mode="bilinear", align_corners=True)
    top, left = (rows - height) // 2, (columns - width) // 2
    return enlarged[..., top : top + height, left : left + width]
