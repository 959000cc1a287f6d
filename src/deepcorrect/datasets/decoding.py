"""From an image file to pixels of one size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from deepcorrect.errors import DeepcorrectError

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]


@dataclass(frozen=True)
class CentreCrop:
    """The middle of an image.

    Attributes:
        size: pixels a side.
        nearest: where the middle is between two pixels, whether it is rounded to the even one as torchvision does, or down.
    """

    size: int
    nearest: bool = False

    def start(self, side: int) -> int:
        """Where it begins in so many pixels; 0 where there are too few."""
        gap = max(0, side - self.size)
        return round(gap / 2) if self.nearest else gap // 2


@dataclass(frozen=True)
class Resize:
    """How images are brought to one size, ``size`` pixels a side.

    Attributes:
        size: of the shorter side, after which the centre is cropped; or of both sides, if they are to be squashed.
        squash: whether they are.
        interpolation: one of Pillow's, which average over the pixels that an output pixel covers.
        crop: what is cropped of the resized image later on, so that both crops together are this one.
    """

    size: int
    squash: bool = False
    interpolation: Interpolation = "bilinear"
    crop: CentreCrop | None = None

    def __call__(self, image: Image.Image) -> Image.Image:
        """The image at its size."""
        size = self.size
        kind = Image.Resampling[self.interpolation.upper()]
        if self.squash:
            return image.resize((size, size), kind)
        shorter = min(image.size)
        width, height = (max(size, side * size // shorter) for side in image.size)
        crop = self.crop or CentreCrop(size)
        left, top = (crop.start(side) - crop.start(size) for side in (width, height))
        return image.resize((width, height), kind).crop((left, top, left + size, top + size))


def decode(name: str, open: Callable[[], Image.Image], resize: Resize | None, grey: bool) -> np.ndarray:
    """One image as (H, W, C) uint8.

    Raises:
        DeepcorrectError: it cannot be decoded; ``name`` names it.
    """
    try:
        with open() as opened:
            image = opened.convert("L" if grey else "RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DeepcorrectError(f"{name}: not a readable image ({type(error).__name__})") from None
    pixels = np.asarray(image if resize is None else resize(image))
    return pixels[..., None] if grey else pixels
