"""From an image file to pixels of one size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from deepcorrect.base.errors import DeepcorrectError

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

DECODING = 2
"""Version of the rules by which files become pixels; a run that was begun under other rules is not continued."""

COLOURS = frozenset(("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"))
"""Pillow's modes of 8 bits and less that it converts to grey and RGB without a loss of range."""

ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings an image upright, by its EXIF orientation."""

BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
WHITE_IS_ZERO = 0


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
        """The index of its first pixel on a side of so many pixels; 0 if the side is shorter than the crop."""
        gap = max(0, side - self.size)
        return round(gap / 2) if self.nearest else gap // 2


@dataclass(frozen=True)
class Resize:
    """How images are brought to one size, ``size`` pixels a side.

    Attributes:
        size: of the shorter side, after which the centre is cropped; of both sides where ``squash``.
        squash: whether both sides are scaled to ``size``, whatever the shape of the image.
        interpolation: one of Pillow's, which averages over the pixels that an output pixel covers.
        crop: the crop that the network takes of the resized image later, so that both crops together are this one.
    """

    size: int
    squash: bool = False
    interpolation: Interpolation = "bilinear"
    crop: CentreCrop | None = None

    def __call__(self, image: Image.Image) -> Image.Image:
        """The image at its size."""
        size = self.size
        resampling = Image.Resampling[self.interpolation.upper()]
        if self.squash:
            return image.resize((size, size), resampling)
        shorter = min(image.size)
        width, height = (max(size, side * size // shorter) for side in image.size)
        crop = self.crop or CentreCrop(size)
        left, top = (crop.start(side) - crop.start(size) for side in (width, height))
        return image.resize((width, height), resampling).crop((left, top, left + size, top + size))


def decode(name: str, open: Callable[[], Image.Image], resize: Resize | None, grey: bool) -> np.ndarray:
    """One image as (H, W, C) uint8, upright as a person sees it; only the first of several frames, without transparency.

    Raises:
        DeepcorrectError: it cannot be decoded, or its values have no known range; ``name`` names it.
    """
    try:
        with open() as opened:
            opened.load()
            image = upright(eight_bits(opened)).convert("L" if grey else "RGB")
    except DeepcorrectError as error:
        raise DeepcorrectError(f"{name}: {error}") from None
    except Exception as error:  # the reader of each format has errors of its own
        raise DeepcorrectError(f"{name}: not a readable image ({type(error).__name__})") from None
    pixels = np.asarray(image if resize is None else resize(image))
    return pixels[..., None] if grey else pixels


def eight_bits(image: Image.Image) -> Image.Image:
    """A loaded image with 8 bits a value, by a rule that depends on its format alone: none is stretched to its own range.

    16 bits are scaled from 65535 to 255, 12 bits of a TIFF file from 4095, and floats from 1; they are inverted where a TIFF
    file says that 0 is white. Images of 8 bits and less come back as they are.

    Raises:
        DeepcorrectError: floats outside [0, 1], integers of 32 bits or with a sign, or unknown colours.
    """
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    if tags.get(SAMPLE_FORMAT, (1,))[0] == 2:
        raise DeepcorrectError("its integers are signed, so the value of black is unknown; save it with 8 or 16 bits")
    if image.mode in COLOURS:
        return image
    values = np.asarray(image)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        white = 4095 if tags.get(BITS_PER_SAMPLE, (16,))[0] == 12 else 65535
    elif image.mode == "I":
        raise DeepcorrectError("its integers have 32 bits, so the value of white is unknown; save it with 8 or 16 bits")
    elif image.mode == "F":
        white = 1
        if not (values.min() >= 0 and values.max() <= 1):
            reach = f"from {values.min():g} to {values.max():g}" if np.isfinite(values).all() else "not all finite"
            raise DeepcorrectError(
                f"its floats are {reach}, but 0 is black and 1 white; scale them, or save it with 8 or 16 bits"
            )
    else:
        raise DeepcorrectError(f"its colour mode (Pillow's {image.mode}) is not supported; save it as RGB")
    shares = values / white
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        shares = 1 - shares
    scaled = Image.fromarray(np.rint(shares * 255).astype(np.uint8))
    scaled.info = image.info
    return scaled


def upright(image: Image.Image) -> Image.Image:
    """A loaded image turned as its EXIF tag says; unchanged if its tags are damaged."""
    try:
        turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged tags raise what their parts are read with
        return image
    return image if turn is None else image.transpose(turn)
