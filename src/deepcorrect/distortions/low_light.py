"""Low light: what the camera of a phone makes of a dark scene."""

from __future__ import annotations

from torch import Tensor

from deepcorrect.distortions.common.corruption import corruption
from deepcorrect.distortions.linear_light import to_linear, to_srgb
from deepcorrect.distortions.streams import Streams

FULL_WELL = 6000
"""Electrons that a pixel of a phone's sensor holds; as many are counted where a well exposed photograph is white."""
READ_NOISE = 3.0
"""Standard deviation of the electrons that reading a pixel adds or loses."""


@corruption("low_light", {224: ((4, 3.25), (5, 4), (6, 4.5), (7, 5), (8, 5.5))}, random=True)
def low_light(images: Tensor, stops: float, gain: float, streams: Streams) -> Tensor:
    """Expose images too little, count electrons, and brighten what was counted.

    All happens in linear light. A pixel in which L in [0, 1] of the light of white arrives counts
    n = Poisson(L 6000 / 2^stops) + N(0, 3^2) electrons: shot noise, and the noise of reading them. It is shown as
    n 2^gain / 6000, so that the image stays 2^(stops - gain) times too dark.

    Args:
        images: (B, C, H, W) in [0, 1], sRGB.
        stops: by how many factors of two there is too little light.
        gain: how many of them the camera makes up for.
        streams: of the electrons.
    """
    counted = streams.poisson("shot", to_linear(images) * (FULL_WELL / 2**stops))
    counted = counted + READ_NOISE * streams.normal("read", tuple(images.shape[1:]))
    return to_srgb(counted * (2**gain / FULL_WELL))
