"""Corruptions written for one severity at a time, applied to batches of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.distortions.common.severity import SEVERITIES, Parameters
from deepcorrect.distortions.registry import Function, register
from deepcorrect.distortions.streams import Streams

COLOUR = (1, 3)
"""The channels of images that have a colour, or are grey."""
_NUMBERS_AT_ONCE = 2**20
"""Pixels of all channels that are worked on together on a CPU, 4 MB."""


@dataclass(frozen=True)
class Corruption:
    """A corruption of a batch: a function is called with the images of each severity and that severity's parameters.

    The function gets a copy of the images, in single precision or in double where they came so. What it returns is clipped to
    [0, 1] and brought back to the precision of the images.

    Attributes:
        name: as messages call it.
        function: ``(images, *parameters)``, or ``(images, *parameters, streams)`` if it draws random numbers.
        parameters: of each severity.
        channels: how many an image may have; any number if there are none.
    """

    name: str
    function: Callable[..., Tensor]
    parameters: Parameters = field(compare=False)
    channels: tuple[int, ...] = ()

    def __call__(self, images: Tensor, severity: Tensor, streams: Streams | None = None) -> Tensor:
        """Corrupt images, (B, C, H, W) in [0, 1], each at its severity, (B,).

        Raises:
            DeepcorrectError: a severity that is not 1, 2, 3, 4 or 5, or images with a number of channels that have no meaning
                to it.
        """
        if self.channels and images.shape[1] not in self.channels:
            allowed = " or ".join(str(count) for count in self.channels)
            raise DeepcorrectError(f"{self.name}: for images with {allowed} channels, not with {images.shape[1]}")
        corrupted = torch.empty_like(images)
        for step in sorted(set(severity.tolist())):
            parameters = self.parameters.of(images, step)
            for rows in (severity == step).nonzero()[:, 0].split(_images_at_once(images)):
                some = images.index_select(0, rows)
                some = some if some.dtype == torch.float64 else some.float()
                drawn = [] if streams is None else [streams.take(rows, some)]
                corrupted[rows] = self.function(some, *parameters, *drawn).clamp_(0, 1).to(images.dtype)
        return corrupted


def _images_at_once(images: Tensor) -> int:
    return max(1, _NUMBERS_AT_ONCE // images[0].numel()) if images.device.type == "cpu" else len(images)


def corruption(
    name: str,
    by_side: Mapping[int, Sequence[float] | Sequence[Sequence[float]]],
    *,
    random: bool = False,
    channels: tuple[int, ...] = (),
) -> Callable[[Function], Function]:
    """Register a function of the images and one severity's parameters.

    Args:
        name: as on the command line.
        by_side: five severities' parameters by the size of the images, as ``Parameters`` takes them.
        random: whether the function takes ``Streams`` behind the parameters.
        channels: how many an image may have; any number without it.
    """

    def decorate(function: Function) -> Function:
        corrupts = Corruption(name, function, Parameters(by_side), channels)
        register(name, levels=SEVERITIES, random="streams" if random else False, graded=True)(corrupts)
        return function

    return decorate
