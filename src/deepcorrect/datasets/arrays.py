"""Tensors and NumPy arrays as images: ``(images, labels)``, or images alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.images import UNLABELLED, ImageSet
from deepcorrect.datasets.pixels import CHANNELS, Normalization, as_tensor, channels_first, checked

NAME = "the images"
REMEDY = "normalise them, or give images in [0, 1] to a network that normalises inside"


def is_arrays(data: Any) -> bool:
    """Whether it is images in one array, or a pair of these and labels."""
    if isinstance(data, Tensor | np.ndarray):
        return True
    return (
        isinstance(data, tuple | list) and len(data) == 2 and isinstance(data[0], Tensor | np.ndarray) and _holds_labels(data)
    )


def _holds_labels(pair: Any) -> bool:
    """Whether the second of a pair is for many images, not the label of one."""
    images, labels = pair
    return images.ndim == 4 or (
        isinstance(labels, Tensor | np.ndarray | list | tuple) and images.ndim == 3 and _ndim(labels) == 1
    )


def _ndim(values: Any) -> int:
    return int(values.ndim) if isinstance(values, Tensor | np.ndarray) else 1


def from_arrays(data: Any, normalization: Normalization | None = None) -> ImageSet:
    """Images in memory; their memory is shared with the arrays where nothing has to be converted.

    Args:
        data: images (N, C, H, W), (N, H, W) of grey ones, or a NumPy array (N, H, W, C); or a pair of these and labels (N,).
        normalization: how floating-point images are normalised.

    Raises:
        DeepcorrectError: other shapes, numbers or ranges, none at all, or labels that are not a class number an image.
    """
    images, labels = data if isinstance(data, tuple | list) else (data, None)
    pixels = as_tensor(images, NAME)
    if pixels.ndim == 3 and not {pixels.shape[0], pixels.shape[-1]} & set(CHANNELS):
        pixels = pixels[:, None]
    elif pixels.ndim != 4:
        raise DeepcorrectError(f"{NAME} have the shape {tuple(pixels.shape)}; give (images, channels, height, width)")
    else:
        pixels = channels_first(pixels, NAME, convention=isinstance(images, Tensor))
    if not pixels.numel():
        raise DeepcorrectError(f"{NAME} have the shape {tuple(pixels.shape)}: there are none")
    if normalization is not None and pixels.is_floating_point() and min(normalization.mean) > 0 and _in_range(pixels):
        raise DeepcorrectError(f"{NAME} lie in [0, 1] already, with no value below 0: they are not normalised; {REMEDY}")
    pixels = checked(pixels, NAME, normalization)
    return ImageSet.whole(pixels, torch.full((len(pixels),), UNLABELLED) if labels is None else _labels(labels, len(pixels)))


def _in_range(pixels: Tensor) -> bool:
    return bool(pixels.min() >= 0 and pixels.max() <= 1)


def _labels(given: Any, count: int) -> Tensor:
    try:
        labels = as_tensor(given if isinstance(given, Tensor) else np.asarray(given), NAME)
    except (DeepcorrectError, ValueError):
        raise DeepcorrectError("the labels are no numbers: give a class number from 0 on for every image") from None
    if labels.shape not in ((count,), (count, 1)):
        remedy = "; of one-hot labels give labels.argmax(1)" if labels.ndim == 2 else ""
        raise DeepcorrectError(f"the labels have the shape {tuple(labels.shape)} for {count} images; give ({count},){remedy}")
    if labels.is_floating_point() or labels.is_complex():
        raise DeepcorrectError("the labels are floating-point numbers; give class numbers from 0 on, as labels.long()")
    labels = labels.reshape(-1).long()
    if int(labels.min()) < UNLABELLED:
        raise DeepcorrectError(f"label {int(labels.min())}: class numbers begin at 0 (and {UNLABELLED} is no label)")
    return labels
