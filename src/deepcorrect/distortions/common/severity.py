"""What the five severities of a common corruption mean for images of any size."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.distortions.base import Random
from deepcorrect.distortions.registry import Function, register
from deepcorrect.distortions.streams import Streams

SEVERITIES = (1, 2, 3, 4, 5)


def common(name: str, *, random: Random = False) -> Callable[[Function], Function]:
    """Register a common corruption: five severities, whatever the data, and none in between.

    It is computed in single precision at least, and makes new images. They are clipped to [0, 1], in the precision of the old.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def corruption(images: Tensor, severity: Tensor, *streams: Streams) -> Tensor:
            precise = images.to(torch.promote_types(images.dtype, torch.float32))
            if precise is not images:
                streams = tuple(each.take(torch.arange(len(images)), precise) for each in streams)
            return function(precise, severity, *streams).clamp_(0, 1).to(images.dtype)

        return register(name, levels=SEVERITIES, random=random, graded=True)(corruption)

    return decorate


class Parameters:
    """A corruption's parameters by severity, as its authors chose them for images of some sizes (224, 64 and 32 pixels).

    Between two sizes they are interpolated by the shorter side of an image; beyond the smallest and the largest they stay.
    """

    def __init__(self, by_side: Mapping[int, Sequence[float] | Sequence[Sequence[float]]]) -> None:
        """Five severities for each size: a number or several of each."""
        self._sides = sorted(by_side)
        tables = [torch.tensor(by_side[side], dtype=torch.float64) for side in self._sides]
        self._tables = torch.stack([table.reshape(len(SEVERITIES), -1) for table in tables])

    def of(self, images: Tensor, severity: Tensor) -> Tensor:
        """Those of each image, (B, parameters) float64 on the CPU.

        Args:
            images: (B, C, H, W).
            severity: (B,), 1 to 5.

        Raises:
            DeepcorrectError: a severity that is something else.
        """
        if strange := [step for step in severity.tolist() if step not in SEVERITIES]:
            raise DeepcorrectError(
                f"severity {strange[0]:g}: the common corruptions have the severities 1, 2, 3, 4 and 5 alone"
            )
        side = min(max(min(images.shape[-2:]), self._sides[0]), self._sides[-1])
        above = next(index for index, known in enumerate(self._sides) if known >= side)
        below = max(0, above - 1)
        span = self._sides[above] - self._sides[below]
        share = (side - self._sides[below]) / span if span else 1.0
        table = torch.lerp(self._tables[below], self._tables[above], share)
        return table[severity.long().cpu() - 1]

    def scale(self, images: Tensor, severity: Tensor) -> Tensor:
        """The only parameter of each image, (B, 1, 1, 1), in the precision and on the device of the images."""
        return self.of(images, severity).to(images).view(-1, 1, 1, 1)

    def groups(self, images: Tensor, severity: Tensor) -> Iterator[tuple[list[float], Tensor]]:
        """The images that share a severity: its parameters, and their row numbers, (rows,) on the device of the images."""
        for level in sorted(set(severity.tolist())):
            yield self.of(images, torch.tensor([level]))[0].tolist(), (severity == level).nonzero()[:, 0]
