"""Batches: small sets stay on the device, large ones are streamed to it; augmentation and distortion happen there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.images import Images
from deepcorrect.datasets.pixels import ROUNDING


class Batch(NamedTuple):
    """Images (B, C, H, W) in [0, 1], their labels (B,) and their positions in the data set (B,)."""

    images: Tensor
    labels: Tensor
    indices: Tensor


def as_float(images: Tensor) -> Tensor:
    """Images as float32 in [0, 1]: uint8 is divided by 255, floating-point numbers in [0, 1] are those already.

    Raises:
        DeepcorrectError: numbers of another kind, or outside [0, 1].
    """
    if images.dtype == torch.uint8:
        return images.float().div_(255)
    if not images.is_floating_point():
        raise DeepcorrectError(f"images of {_name(images)} numbers: give uint8, 0 to 255, or floating point, 0 to 1")
    if images.numel():
        least, most = (float(value) for value in images.aminmax())
        if not (least >= -ROUNDING and most <= 1 + ROUNDING):  # as NaN is not either
            raise DeepcorrectError(
                f"images of {_name(images)} numbers from {least:g} to {most:g}: floating-point images lie in [0, 1]; "
                "divide them by their largest value, and leave normalisation to the network"
            )
    return images.float()


def _name(images: Tensor) -> str:
    return str(images.dtype).removeprefix("torch.")


def batches(images: Images, size: int, device: torch.device) -> Iterator[Batch]:
    """The images in order, ``size`` at a time; nothing is kept of one batch while the next is made."""
    groups = [torch.arange(start, min(start + size, len(images))) for start in range(0, len(images), size)]
    read = images.read(groups)
    for group in groups:
        yield Batch(as_float(next(read).to(device)), images.labels[group].to(device), images.indices[group].to(device))
