"""What goes wrong with a photograph of a letter, on top of our own distortions: framing, colours, shade; and several at once.

Registered as ``framing``, ``recoloured`` and ``shade``, each at the severities 1 to 5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcorrect.distortions.registry import get_distortion, register
from deepcorrect.distortions.streams import Streams

SEVERITIES = (1, 2, 3, 4, 5)
CHANCE = 0.4
"""That a photograph suffers each of the mishaps."""


@register("framing", levels=SEVERITIES, random="streams")
def framing(images: Tensor, severity: Tensor, streams: Streams) -> Tensor:
    """Shift, stretch, shear and turn a letter; the border's colours go on beyond it.

    At severity 5 by up to a fifth of the side, by a factor of up to 1.45 each way, by a third, and by 15 degrees.
    """
    strength = severity.to(images) / 5

    def spread(name: str, limit: float) -> Tensor:
        return streams.uniform(name, (), -limit, limit) * strength

    angle = spread("angle", math.radians(15))
    wide, high = spread("wide", 0.37).exp(), spread("high", 0.37).exp()
    cosine, sine, shear = angle.cos(), angle.sin(), spread("shear", 0.33)
    across = torch.stack([cosine * wide, (shear - sine) * high, spread("across", 0.4)], 1)
    down = torch.stack([sine * wide, cosine * high, spread("down", 0.4)], 1)
    return _moved(images, torch.stack([across, down], 1))


@register("recoloured", levels=SEVERITIES, random="streams")
def recoloured(images: Tensor, severity: Tensor, streams: Streams) -> Tensor:
    """Blend in the image with its channels in another order, and in half of the images also inverted."""
    order = streams.uniform("order", (images.shape[1],)).argsort(1)
    other = images.gather(1, order.view(*order.shape, 1, 1).expand_as(images))
    inverted = _wide(streams.uniform("inverted")) < 0.5
    return torch.lerp(images, torch.where(inverted, 1 - other, other), _wide(severity.to(images) / 5))


@register("shade", levels=SEVERITIES, random="streams")
def shade(images: Tensor, severity: Tensor, streams: Streams) -> Tensor:
    """Make one side of the image lighter or darker than the other, with an edge between them, soft or hard."""
    height, width = images.shape[-2:]
    down = torch.linspace(-1, 1, height, device=images.device).view(1, 1, height, 1)
    across = torch.linspace(-1, 1, width, device=images.device).view(1, 1, 1, width)
    angle = _wide(streams.uniform("angle", (), 0, 2 * math.pi))
    distance = across * angle.cos() + down * angle.sin() - _wide(streams.uniform("edge", (), -0.6, 0.6))
    side = torch.sigmoid(distance * _wide(streams.uniform("hardness", (), 2, 10)))
    light = streams.uniform("light", (), -0.6, 0.6) * severity.to(images) / 5
    return (images + side * _wide(light)).clamp(0, 1)


class Photographed:
    """Several mishaps at once, in their order: an image suffers each with ``CHANCE``, at the level of the same step."""

    def __init__(self, members: Sequence[str]) -> None:
        self._members = [get_distortion(name) for name in members]

    def __call__(self, images: Tensor, severity: Tensor, streams: Streams) -> Tensor:
        for member in self._members:
            levels = member.levels("cifar")[: len(SEVERITIES)]
            rows = (streams.uniform(f"{member.name}?") < CHANCE).nonzero()[:, 0]
            if len(rows):
                suffered = torch.tensor(levels, device=images.device)[severity[rows].long() - 1]
                drawn = member.drawn(images[rows], suffered, streams.take(rows, images).within(member.name))
                images = images.index_copy(0, rows, drawn.clamp(0, 1))
        return images


def _moved(images: Tensor, mapping: Tensor) -> Tensor:
    """Images under affine mappings (B, 2, 3) from output to input coordinates in [-1, 1]."""
    grid = F.affine_grid(mapping, [len(images), 1, *images.shape[-2:]], align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _wide(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
