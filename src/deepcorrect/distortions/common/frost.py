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
_DIRECTIONS, _PATCHES = 5, 8
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
    ice = torch.addcmul(added * colour, added * contrast, crystals(streams, height, width, scale)).clamp_(0, added)
    return (luminance(ice) if images.shape[1] == 1 else ice).add_(images, alpha=kept)


def crystals(streams: Streams, height: int, width: int, scale: float) -> Tensor:
    """Patches of needles, (B, 1, H, W), with the mean 0 and the standard deviation 1.

    Each pixel has one of several directions, that whose smooth noise is largest there. Along it, noise is stretched to needles.
    """
    reach = math.hypot(height, width) / scale
    cells = [min(max(2, math.ceil(reach / size)), 512) for size in (_LENGTH, _WIDTH)]
    angles = streams.uniform("angles", (_DIRECTIONS, 1), 0, math.pi)
    shifts = streams.uniform("shifts", (_DIRECTIONS, 2, 1), -1, 1)
    whole = torch.tensor([[cells[0] * _LENGTH], [cells[1] * _WIDTH]]).to(angles) * (scale / 2)
    rows, columns = ((torch.arange(size) - size / 2).to(angles) / whole for size in (height, width))
    down = torch.stack([angles.sin(), angles.cos()], 2) * rows  # (B, directions, 2, H): along the needles, and across
    right = torch.stack([angles.cos(), -angles.sin()], 2) * columns + shifts
    strengths = streams.normal("patches", (_DIRECTIONS, _PATCHES, _PATCHES))
    strengths = _bumps(height).to(angles) @ strengths @ _bumps(width).to(angles).T
    first = second = torch.full_like(strengths[:, 0], -math.inf)
    positions = torch.zeros_like(first)[:, None]
    for direction, strength in enumerate(strengths.unbind(1)):
        here = down[:, direction, :, :, None] + right[:, direction, :, None]
        positions = torch.where((strength > first)[:, None], here, positions)
        second = torch.maximum(second, torch.minimum(first, strength))
        first = torch.maximum(first, strength)
    noise = streams.normal("needles", (1, cells[1], cells[0]))
    needles = grid_sample(noise, positions.movedim(1, -1), padding_mode="reflection", align_corners=False)
    gaps = (second - first).mul_(20).exp_()
    drawn = needles.add_(first[:, None], alpha=0.6).sub_(gaps[:, None], alpha=0.8)
    drawn -= drawn.mean((1, 2, 3), keepdim=True)
    return drawn / drawn.square().mean((1, 2, 3), keepdim=True).sqrt_().clamp_(min=1e-6)


def _bumps(size: int) -> Tensor:
    """How much each of ``_PATCHES`` numbers along a line counts at each of ``size`` pixels, (size, _PATCHES)."""
    pixels, centres = (torch.arange(count)[:, None] / max(1, count - 1) for count in (size, _PATCHES))
    return torch.exp(-(((pixels - centres.T) * _PATCHES) ** 2))
