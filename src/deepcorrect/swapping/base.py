"""The interface of a swap: filters of a layer that see clean images while the network runs on distorted ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Batch(Protocol):
    """A batch of images that has passed through the network clean and distorted.

    Attributes:
        outputs: (B, ...) float32, of the distorted images.
        changes: (B, C) bool, whether the swap of a filter can change the result for an image.
    """

    outputs: Tensor

    @property
    def changes(self) -> Tensor: ...

    def answer(self, filters: Sequence[int]) -> Tensor:
        """Outputs (B, ...) with some filters swapped together."""

    def finish(self, filters: Tensor, images: Tensor) -> Tensor:
        """Outputs (P, ...) for P pairs of a filter and an image of the batch, by index; equal filters are adjacent."""


class Swap(Protocol):
    """Swaps a layer's filters in a network; finishing one pair takes about ``bytes_a_pair`` bytes of memory."""

    @property
    def bytes_a_pair(self) -> int: ...

    def prepare(self, clean: Tensor, distorted: Tensor) -> Batch:
        """Pass images through the network, clean and distorted, (B, C, H, W) each."""
