"""Frost: ice crystals on a window pane, drawn at random."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from deepcorrect.distortions.common.colour import luminance
from deepcorrect.distortions.common.corruption import COLOUR, corruption
from deepcorrect.distortions.streams import Streams

PANES = (
    (0.31, 0.58, 0.64, 0.055),
    (0.78, 0.79, 0.83, 0.085),
    (0.78, 0.79, 0.83, 0.085),
    (0.57, 0.62, 0.67, 0.115),
    (0.39, 0.44, 0.49, 0.145),
)
"""Mean red, green and blue, and the contrast, of the five pictures of frost in ImageNet-C; two of them are the same."""
_DIRECTIONS, _PATCHES = 6, 8
_LENGTH, _WIDTH = 16, 1.2


@corruption(
    "frost",
    {
        224: ((1, 0.4, 1), (0.8, 0.6, 1), (0.7, 0.7, 1), (0.65, 0.7, 1), (0.6, 0.75, 1)),
        64: ((1, 0.3, 0.3), (0.9, 0.4, 0.3), (0.8, 0.45, 0.3), (0.75, 0.5, 0.3), (0.7, 0.55, 0.3)),
        32: ((1, 0.2, 0.2), (1, 0.3, 0.2), (0.9, 0.4, 0.2), (0.85, 0.4, 0.2), (0.75, 0.45, 0.2)),
    },
    random=True,
    channels=COLOUR,
)
def frost(images: Tensor, kept: float, added: float, scale: float, streams: Streams) -> Tensor:
    """Look through a frozen window pane: ``kept`` times the image and ``added`` times the frost.

    The frost is drawn, not copied from the pictures of the published code: patches of ice needles, each patch with a
    direction of its own. Its colours and its contrast are those of one of the published pictures, chosen at random.

    Args:
        images: (B, 1 or 3, H, W) in [0, 1].
        kept, added: weights.
        scale: how large the needles are; at 1 they are about 16 pixels long.
        streams: of the frost.
    """
    chosen = torch.tensor(PANES).to(images)[streams.integers("pane", 0, len(PANES))]
    colour, contrast = chosen[:, :3, None, None], chosen[:, 3, None, None, None]
    height, width = images.shape[-2:]
    ice = colour + contrast * crystals(streams, height, width, scale)
    return kept * images + added * (luminance(ice) if images.shape[1] == 1 else ice).clamp(0, 1)


def crystals(streams: Streams, height: int, width: int, scale: float) -> Tensor:
    """Patches of needles, (B, 1, H, W), with the mean 0 and the standard deviation 1.

    Each pixel has one of several directions, that whose smooth noise is largest there. Along it, noise is stretched to needles.
    """
    first, second, which = _patches(streams, height, width)
    angles = streams.uniform("angles", (_DIRECTIONS,), 0, math.pi)
    shifts = streams.uniform("shifts", (2, _DIRECTIONS), -1, 1)

    def of_patch(values: Tensor) -> Tensor:
        return values.gather(1, which.flatten(1)).view(which.shape)

    rows = ((torch.arange(height) - height / 2) / scale).to(first)[:, None]
    columns = ((torch.arange(width) - width / 2) / scale).to(first)
    cosine, sine = of_patch(angles.cos()), of_patch(angles.sin())
    reach = math.hypot(height, width) / scale
    cells = [min(max(2, math.ceil(reach / size)), 512) for size in (_WIDTH, _LENGTH)]
    noise = streams.normal("needles", (1, *cells))
    across = (rows * cosine - columns * sine) * (2 / (cells[0] * _WIDTH)) + of_patch(shifts[:, 0])
    along = (columns * cosine + rows * sine) * (2 / (cells[1] * _LENGTH)) + of_patch(shifts[:, 1])
    grid = torch.stack([along, across], -1)
    needles = grid_sample(noise, grid, padding_mode="reflection", align_corners=False)
    drawn = needles + (0.6 * first - 0.8 * torch.exp(-20 * (first - second)))[:, None]
    return (drawn - drawn.mean((1, 2, 3), keepdim=True)) / drawn.std((1, 2, 3), correction=0, keepdim=True).clamp(min=1e-6)


def _patches(streams: Streams, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of one smooth noise for each direction: the largest, the next, and which the largest is, (B, H, W) each."""
    noise = streams.normal("patches", (_DIRECTIONS, _PATCHES, _PATCHES))
    rows, columns = (_bumps(size).to(noise) for size in (height, width))
    smooth = rows @ noise @ columns.T
    first, which = smooth[:, 0], torch.zeros_like(smooth[:, 0], dtype=torch.int64)
    second = torch.full_like(first, -math.inf)
    for direction, each in enumerate(smooth.unbind(1)[1:], 1):
        which = torch.where(each > first, direction, which)
        second = torch.maximum(second, torch.minimum(first, each))
        first = torch.maximum(first, each)
    return first, second, which


def _bumps(size: int) -> Tensor:
    """How much each of ``_PATCHES`` numbers along a line counts at each of ``size`` pixels, (size, _PATCHES)."""
    pixels, centres = (torch.arange(count)[:, None] / max(1, count - 1) for count in (size, _PATCHES))
    return torch.exp(-(((pixels - centres.T) * _PATCHES) ** 2))
