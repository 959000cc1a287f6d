"""From what a user's data set gives for an image to its pixels: (C, H, W), uint8 or float32 in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.decoding import eight_bits

ROUNDING = 1e-4
"""How far beyond [0, 1] floating-point images may lie."""
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
"""Pillow's modes without colours."""
CHANNELS = (1, 3)
"""Of grey and colour images: what tells the channels of an array from its height and width."""


class Normalization(NamedTuple):
    """How a user's images are normalised already: ``(image - mean) / std``, a number for each channel or one for all."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def undone(self, pixels: Tensor, name: str) -> Tensor:
        """Normalised images (..., C, H, W) brought back to [0, 1], float32.

        Raises:
            DeepcorrectError: other channels than the numbers are for, or values that come to lie outside [0, 1].
        """
        channels = pixels.shape[-3]
        if len(self.mean) not in (1, channels):
            raise DeepcorrectError(f"{name}: {channels} channels, but mean and std have {len(self.mean)} numbers")
        mean, std = (torch.tensor(numbers, dtype=torch.float64).view(-1, 1, 1) for numbers in self)
        rounding = max(ROUNDING, 4 * torch.finfo(pixels.dtype).eps * float((mean.abs() + std).max()))
        restored = pixels.double() * std + mean
        least, most = _extremes(restored)
        if not (least >= -rounding and most <= 1 + rounding):
            _require_finite(least, most, name)
            raise DeepcorrectError(
                f"{name}: values from {least:.4g} to {most:.4g} once mean and std are undone, outside [0, 1]: the images are "
                "normalised in another way than NormalizedInput is told"
            )
        return restored.clamp(0, 1).float()


def pixels_of(value: Any, name: str) -> Tensor:
    """An image as a tensor (C, H, W) of the numbers it has; Pillow's images as uint8.

    Args:
        value: an image of Pillow, a tensor, or a NumPy array; (H, W) is grey.
        name: of the image, for messages.

    Raises:
        DeepcorrectError: something else, or an array of which it cannot be told where its channels are.
    """
    if isinstance(value, Image.Image):
        try:
            image = eight_bits(value)
        except DeepcorrectError as error:
            raise DeepcorrectError(f"{name}: {error}") from None
        pixels = np.array(image.convert("L" if value.mode in GREY_MODES else "RGB"))
        return torch.from_numpy(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1).copy())
    if not isinstance(value, Tensor | np.ndarray):
        raise DeepcorrectError(f"{name}: its image is {_described(value)}; give a tensor, a NumPy array or an image of Pillow")
    if value.ndim == 2:
        return as_tensor(value, name)[None]
    if value.ndim != 3:
        raise DeepcorrectError(f"{name}: its image has the shape {tuple(value.shape)}; give (channels, height, width)")
    return channels_first(as_tensor(value, name), name, convention=isinstance(value, Tensor))


def as_tensor(array: Tensor | np.ndarray, name: str) -> Tensor:
    """An array as a tensor on the CPU.

    Raises:
        DeepcorrectError: numbers that torch does not know, or a sparse tensor.
    """
    if isinstance(array, Tensor):
        if array.layout is not torch.strided or array.is_quantized or array.is_meta:
            raise DeepcorrectError(f"{name}: a sparse, quantised or meta tensor; give an ordinary one")
        return array.detach().cpu()
    try:
        return torch.from_numpy(np.require(array, requirements=("C", "W")))
    except TypeError:
        raise DeepcorrectError(f"{name}: images of {array.dtype} numbers: give uint8, 0 to 255, or float32, 0 to 1") from None


def channels_first(pixels: Tensor, name: str, *, convention: bool) -> Tensor:
    """Images (..., C, H, W) from such, or from (..., H, W, C) where that is plain to see.

    Args:
        convention: whether the channels come first where both may be, as is the custom for tensors of torch.

    Raises:
        DeepcorrectError: it cannot be told where the channels are.
    """
    first, last = pixels.shape[-3] in CHANNELS, pixels.shape[-1] in CHANNELS
    if first and not last:
        return pixels
    if last and not first:
        return pixels.movedim(-1, -3)
    if convention:
        return pixels
    shape = "x".join(str(side) for side in pixels.shape[-3:])
    raise DeepcorrectError(
        f"{name}: where the channels of a {shape} array are cannot be told; give a torch tensor (channels, height, width)"
    )


def checked(pixels: Tensor, name: str, normalization: Normalization | None = None) -> Tensor:
    """Images (..., C, H, W) as uint8, or as float32 in [0, 1]; what is normalised is brought back there.

    Raises:
        DeepcorrectError: numbers of another type, NaN, or values outside [0, 1].
    """
    if pixels.dtype == torch.uint8:
        return pixels
    type_ = str(pixels.dtype).removeprefix("torch.")
    if not pixels.is_floating_point():
        raise DeepcorrectError(f"{name}: {type_} numbers: give uint8, 0 to 255, or floating point, 0 to 1")
    if normalization is not None:
        return normalization.undone(pixels, name)
    least, most = _extremes(pixels)
    if not (least >= -ROUNDING and most <= 1 + ROUNDING):  # as NaN is not either
        _require_finite(least, most, name)
        raise DeepcorrectError(
            f"{name}: {type_} numbers from {least:.4g} to {most:.4g}: floating-point images lie in [0, 1]; of normalised ones "
            "say the mean and std by deepcorrect.NormalizedInput(model, mean, std), others divide by their largest value"
        )
    return pixels.float()


def checked_numbers(mean: float | Sequence[float], std: float | Sequence[float]) -> Normalization:
    """A normalisation from a number for each channel, or one for all.

    Raises:
        DeepcorrectError: different counts, none, a mean that is not finite, or a std that is not above 0.
    """
    means, stds = (
        tuple(float(number) for number in (given if isinstance(given, Sequence | Tensor | np.ndarray) else (given,)))
        for given in (mean, std)
    )
    if not means or len(means) != len(stds):
        raise DeepcorrectError(f"mean has {len(means)} numbers, std {len(stds)}: give one of each for every channel")
    if not all(math.isfinite(number) for number in (*means, *stds)) or min(stds) <= 0:
        raise DeepcorrectError(f"mean={means}, std={stds}: give finite numbers, std above 0")
    return Normalization(means, stds)


def _require_finite(least: float, most: float, name: str) -> None:
    if not (math.isfinite(least) and math.isfinite(most)):
        raise DeepcorrectError(f"{name}: NaN or infinite values")


def _extremes(pixels: Tensor) -> tuple[float, float]:
    least, most = pixels.aminmax()
    return float(least), float(most)


def _described(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"
