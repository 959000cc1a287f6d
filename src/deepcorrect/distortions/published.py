"""Corrupted test images as they are published: CIFAR-10-C and CIFAR-100-C, ImageNet-C and data in their layouts.

They are distortions whose images come from files, ``cifar-c:DIR`` and ``imagenet-c:DIR`` for all that DIR holds, and
``cifar-c:DIR/fog`` for one. No function is behind them: they serve to measure the test images that they were
made of.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NoReturn, Self

import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument
from deepcorrect.datasets.images import Images
from deepcorrect.distortions.base import Distortion

SEVERITIES = (1, 2, 3, 4, 5)


class Published(Distortion, ABC):
    """One corruption of published test images, at severities 1 to 5.

    Results call it ``cifar-c/fog``. It is of use once it is ``matched`` with the test images that it was made of.

    Attributes:
        layout: which of the two layouts its files have.
        corruption: its name in the literature.
        path: where its images are.
    """

    layout: ClassVar[str]
    corruption: str
    path: Path
    _indices: Tensor | None

    def __init__(self, corruption: str, path: Path) -> None:
        object.__setattr__(self, "corruption", corruption)
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "_indices", None)
        super().__init__(f"{self.layout}/{corruption}", self._no_function, levels=SEVERITIES, graded=True)

    def _identity(self) -> tuple[object, ...]:
        return type(self), self.name, self.path

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.corruption!r}, {str(self.path)!r})"

    @property
    def ours(self) -> bool:
        """No: what it does to an image is in its files."""
        return False

    @property
    def known_index(self) -> int:
        """The index of the first test image that it was matched with."""
        return int(self._matched_indices()[0])

    def require_function(self) -> NoReturn:
        """Refuse whatever needs other images than the test images distorted.

        Raises:
            DeepcorrectError: always.
        """
        raise DeepcorrectError(
            f"{argument('distortion', self.name)}: published images serve to measure, not to rank, to train or to be "
            f"combined; give {argument('distortion', self.corruption)}, which is computed"
        )

    def _no_function(self, *_: object) -> NoReturn:
        self.require_function()

    def matched(self, images: Images, levels: Sequence[float], seen: tuple[int, int]) -> Self:
        """The same for the test images that its files were made of.

        Args:
            images: what is measured: all test images, or some of them.
            levels: severities that are to be measured.
            seen: height and width of what the network sees of the test images.

        Raises:
            DeepcorrectError: a file is missing or unsound, or the files were made of other images or for another size.
        """
        self.require_levels(levels)
        found = copy.copy(self)
        object.__setattr__(found, "_indices", images.indices.cpu().clone())
        object.__setattr__(found, "function", found._no_function)
        found._match(images, [int(level) for level in levels], seen)
        return found

    def at(self, images: Tensor, severity: float, indices: Tensor, seed: int) -> Tensor:
        """The published images at one severity; severity 0 returns the images themselves.

        Args:
            images: (B, C, H, W), whose device and precision the result has.
            indices: (B,), each image's position in the test data.

        Raises:
            DeepcorrectError: a severity that it does not have, a file that cannot be read, or images that it was not matched
                with.
        """
        if severity == 0:
            return images
        self.require_levels((severity,))
        if not bool(torch.isin(indices.cpu(), self._matched_indices()).all()):
            raise DeepcorrectError(f"{self.name}: asked for images with which its files were not matched")
        pixels = self._read(int(severity), indices.cpu(), grey=images.shape[1] == 1)
        return pixels.to(images.device).to(images.dtype).div_(255)

    def _matched_indices(self) -> Tensor:
        if self._indices is None:
            raise DeepcorrectError(f"{self.name}: match its files with the test images first, by matched()")
        return self._indices

    @abstractmethod
    def _match(self, images: Images, severities: Sequence[int], seen: tuple[int, int]) -> None: ...

    @abstractmethod
    def _read(self, severity: int, indices: Tensor, *, grey: bool) -> Tensor:
        """(B, C, H, W) uint8."""
