"""Spatter: drops of water or mud on the lens."""

from __future__ import annotations

import torch
from torch import Tensor

from deepcorrect.distortions.common.colour import luminance
from deepcorrect.distortions.common.convolution import gaussian
from deepcorrect.distortions.common.corruption import COLOUR, corruption
from deepcorrect.distortions.common.edges import canny, distance, equalized, filtered, mean_around
from deepcorrect.distortions.streams import Streams

_WATER, _MUD = (175, 238, 238), (63, 42, 20)
_LIGHT_FROM_TOP_LEFT = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))


@corruption(
    "spatter",
    {
        224: (
            (0.65, 0.3, 4, 0.69, 0.6, 0),
            (0.65, 0.3, 3, 0.68, 0.6, 0),
            (0.65, 0.3, 2, 0.68, 0.5, 0),
            (0.65, 0.3, 1, 0.65, 1.5, 1),
            (0.67, 0.4, 1, 0.65, 1.5, 1),
        ),
        64: (
            (0.62, 0.1, 0.7, 0.7, 0.6, 0),
            (0.65, 0.1, 0.8, 0.7, 0.6, 0),
            (0.65, 0.3, 1, 0.69, 0.6, 0),
            (0.65, 0.1, 0.7, 0.68, 0.6, 1),
            (0.65, 0.1, 0.5, 0.67, 0.6, 1),
        ),
        32: (
            (0.62, 0.1, 0.7, 0.7, 0.5, 0),
            (0.65, 0.1, 0.8, 0.7, 0.5, 0),
            (0.65, 0.3, 1, 0.69, 0.5, 0),
            (0.65, 0.1, 0.7, 0.69, 0.6, 1),
            (0.65, 0.1, 0.5, 0.68, 0.6, 1),
        ),
    },
    random=True,
    channels=COLOUR,
)
def spatter(
    images: Tensor,
    mean: float,
    spread: float,
    sigma: float,
    threshold: float,
    opacity: float,
    mud: float,
    streams: Streams,
) -> Tensor:
    """Let drops fall on the lens: where a smooth random field is above a threshold.

    Args:
        images: (B, 1 or 3, H, W) in [0, 1]; on grey ones the drops are as bright as their colour looks.
        mean, spread: of the normal field.
        sigma: standard deviation, in pixels, of the Gaussian that smoothes it.
        threshold: of the smooth field.
        opacity: of water; of mud, the standard deviation of a second Gaussian, in pixels.
        mud: 1 for mud, 0 for water.
        streams: of the field.
    """
    field = streams.normal("drops", (1, *images.shape[-2:])) * spread + mean
    field = gaussian(field, sigma)
    if mud:
        thickness = gaussian((field >= threshold).to(images), opacity)
        thickness = torch.where(thickness < 0.8, 0, thickness)
        return torch.lerp(images, _coloured(_MUD, images), thickness)
    liquid = torch.where(field < threshold, 0, (field * 255).clamp_(0, 255))[:, 0].to(torch.int16)
    light = _shaded(liquid).to(images)
    brightest = light.amax((1, 2), keepdim=True)
    light *= torch.where(brightest > 0, opacity / brightest, 0)
    return torch.addcmul(images, light[:, None], _coloured(_WATER, images))


def _shaded(liquid: Tensor) -> Tensor:
    """How much light drops reflect, (B, H, W) int16 from 0 to 255: they bulge between their edges and are lit from one side."""
    height = mean_around(distance(canny(liquid, 50, 150), farthest=20)).to(torch.int16)
    lit = filtered(equalized(height), _LIGHT_FROM_TOP_LEFT, "mirror").clamp_(0, 255)
    return liquid * mean_around(lit).round_()


def _coloured(colour: tuple[int, int, int], images: Tensor) -> Tensor:
    colours = torch.tensor(colour).to(images).view(1, 3, 1, 1) / 255
    return colours if images.shape[1] == 3 else luminance(colours)
