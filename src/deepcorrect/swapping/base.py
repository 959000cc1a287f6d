"""What a swap is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Batch(Protocol):
    """A batch of images, passed through clean and distorted.

    Attributes:
        outputs: (B, ...) float32, of the distorted images.
        changes: (B, C), whether a filter's swap can change an image's result.
    """

    outputs: Tensor

    @property
    def changes(self) -> Tensor: ...

    def answer(self, filters: Sequence[int]) -> Tensor:
        """Outputs (B, ...) with some filters swapped together."""

    def finish(self, filters: Tensor, images: Tensor) -> Tensor:
        """Outputs (P, ...) of P pairs of a filter and an image of the batch; equal filters stand together."""


class Swap(Protocol):
    """Swaps a layer's filters in a network; to finish a pair takes about ``bytes_a_pair`` of memory."""

    @property
    def bytes_a_pair(self) -> int: ...

    def prepare(self, clean: Tensor, distorted: Tensor) -> Batch:
        """Pass images through, clean and distorted."""
