"""Brightness, contrast and saturation."""

from __future__ import annotations

import torch
from torch import Tensor

from deepcorrect.distortions.common.corruption import COLOUR, corruption

_LARGE = (0.1, 0.2, 0.3, 0.4, 0.5)


@corruption("brightness", {224: _LARGE, 64: _LARGE, 32: (0.05, 0.1, 0.15, 0.2, 0.3)}, channels=COLOUR)
def brightness(images: Tensor, added: float) -> Tensor:
    """Add to the value V of an image in HSV, its largest channel; hue and saturation stay.

    So all channels of a pixel are multiplied by min(V + added, 1) / V. A black pixel has no hue and turns grey.

    Args:
        images: (B, 1 or 3, H, W) in [0, 1]; to grey images it is added.
        added: to V, 0 to 1.
    """
    value = images.amax(1, keepdim=True)
    raised = (value + added).clamp(max=1)
    return torch.where(value > 0, images * (raised / value), raised)


@corruption("contrast", {224: (0.4, 0.3, 0.2, 0.1, 0.05), 64: (0.4, 0.3, 0.2, 0.1, 0.05), 32: (0.75, 0.5, 0.4, 0.3, 0.15)})
def contrast(images: Tensor, left: float) -> Tensor:
    """Bring all pixels nearer to the mean of their channel: what is left of the difference is ``left`` times as much.

    Args:
        images: (B, C, H, W) in [0, 1].
        left: 0 to 1.
    """
    return torch.lerp(images.mean((2, 3), keepdim=True), images, left)


@corruption(
    "saturate",
    {
        224: ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
        64: ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)),
        32: ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
    },
    channels=COLOUR,
)
def saturate(images: Tensor, factor: float, added: float) -> Tensor:
    """Change the saturation S of an image in HSV to ``factor`` S + ``added``; hue and value stay.

    A pixel's channels lie S V f below its value V, its largest channel, with f in [0, 1] given by the hue. So their distances
    from V are multiplied by what S is. Grey pixels have the hue 0, as published: where something is added, they turn
    reddish. Images of one channel have no saturation and stay as they are.

    Args:
        images: (B, 1 or 3, H, W) in [0, 1].
        factor: of the saturation.
        added: to the saturation.
    """
    if images.shape[1] == 1:
        return images.clone()
    value = images.amax(1, keepdim=True)
    depth = value - images.amin(1, keepdim=True)
    wanted = torch.minimum(factor * depth + added * value, value)
    coloured = value - (value - images) * (wanted / depth)
    if not added:
        return torch.where(depth > 0, coloured, images)
    red = torch.cat([value, value - wanted, value - wanted], 1)
    return torch.where(depth > 0, coloured, red)


def luminance(images: Tensor) -> Tensor:
    """How bright images look, (B, 1, H, W), by the weights of ITU-R BT.601; grey ones as they are.

    Args:
        images: (B, 1 or 3, H, W).
    """
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    return (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]
