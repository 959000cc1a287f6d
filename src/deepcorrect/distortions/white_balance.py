"""A white balance for another light than that of the scene."""

from __future__ import annotations

import torch
from torch import Tensor

from deepcorrect.distortions.common.corruption import COLOUR, corruption
from deepcorrect.distortions.linear_light import to_linear, to_srgb
from deepcorrect.distortions.streams import Streams


@corruption("white_balance", {224: (5200, 4400, 3700, 3200, 2800)}, random=True, channels=COLOUR)
def white_balance(images: Tensor, kelvin: float, streams: Streams) -> Tensor:
    """Photograph by the light of a lamp as if it were daylight, or in daylight as if by that lamp; either is as likely.

    In linear light red and blue are multiplied by those of the lamp's light, or divided by them; green stays. So images turn
    orange or blue, and what becomes brighter than white is cut off: no white balance afterwards brings it back.

    Args:
        images: (B, 1 or 3, H, W) in [0, 1], sRGB; grey ones have no white balance and stay as they are.
        kelvin: colour temperature of the lamp; daylight has 6504.
        streams: of the choice.
    """
    if images.shape[1] == 1:
        return images
    lamp = torch.tensor(light_of(kelvin)).to(images)
    exponents = 2 * streams.integers("lamp", 0, 2).to(images) - 1
    gains = lamp ** exponents[:, None]
    return to_srgb(to_linear(images) * gains[:, :, None, None])


def light_of(kelvin: float) -> tuple[float, float, float]:
    """Red, green and blue of a black body's light in linear sRGB, whose white is daylight; green is 1.

    The chromaticity is by the cubic approximation of Kim et al. (US patent 7,024,034).

    Args:
        kelvin: its temperature, 2222 to 25000.
    """
    t = 1000 / kelvin
    if kelvin <= 4000:
        x = ((-0.2661239 * t - 0.2343589) * t + 0.8776956) * t + 0.179910
        y = ((-0.9549476 * x - 1.37418593) * x + 2.09137015) * x - 0.16748867
    else:
        x = ((-3.0258469 * t + 2.1070379) * t + 0.2226347) * t + 0.240390
        y = ((3.0817580 * x - 5.87338670) * x + 3.75112997) * x - 0.37001483
    big_x, big_z = x / y, (1 - x - y) / y
    red = 3.2404542 * big_x - 1.5371385 - 0.4985314 * big_z
    green = -0.9692660 * big_x + 1.8760108 + 0.0415560 * big_z
    blue = 0.0556434 * big_x - 0.2040259 + 1.0572252 * big_z
    return red / green, 1.0, blue / green
