"""What the five severities of a common corruption mean for images of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError

SEVERITIES = (1, 2, 3, 4, 5)


class Parameters:
    """A corruption's parameters by severity, as its authors chose them for images of some sizes (224, 64 and 32 pixels).

    Between two sizes they are interpolated by the shorter side of an image; beyond the smallest and the largest they stay.
    """

    def __init__(self, by_side: Mapping[int, Sequence[float] | Sequence[Sequence[float]]]) -> None:
        """Five severities for each size: a number or several of each."""
        self._sides = sorted(by_side)
        tables = [torch.tensor(by_side[side], dtype=torch.float64) for side in self._sides]
        self._tables = torch.stack([table.reshape(len(SEVERITIES), -1) for table in tables])

    def of(self, images: Tensor, severity: float) -> list[float]:
        """Those of one severity.

        Args:
            images: (B, C, H, W).
            severity: 1, 2, 3, 4 or 5.

        Raises:
            DeepcorrectError: a severity that is something else.
        """
        if severity not in SEVERITIES:
            raise DeepcorrectError(f"severity {severity:g}: the common corruptions have the severities 1, 2, 3, 4 and 5 alone")
        side = min(max(min(images.shape[-2:]), self._sides[0]), self._sides[-1])
        above = next(index for index, known in enumerate(self._sides) if known >= side)
        below = max(0, above - 1)
        span = self._sides[above] - self._sides[below]
        share = (side - self._sides[below]) / span if span else 1.0
        row = int(severity) - 1
        return torch.lerp(self._tables[below, row], self._tables[above, row], share).tolist()
