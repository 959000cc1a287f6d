"""Gaussian blur and blur along a line, and correlation with any kernel."""

from __future__ import annotations

import functools
import math
from typing import Literal

import torch
from scipy.fft import next_fast_len
from torch import Tensor

Border = Literal["nearest", "reflect", "mirror"]


def beyond(positions: Tensor, size: int, mode: Border) -> Tensor:
    """Which pixel of a line stands at positions that may lie beyond its ends, by the names of ``scipy.ndimage``.

    Args:
        positions: integers.
        size: of the line; its pixels are 0 to ``size - 1``.
        mode: ``nearest`` (a a | a b c | c c), ``reflect`` (b a | a b c | c b) or ``mirror`` (c b | a b c | b a).
    """
    if mode == "nearest" or size == 1:
        return positions.clamp(0, size - 1)
    if mode == "reflect":
        wrapped = positions.remainder(2 * size)
        return torch.minimum(wrapped, 2 * size - 1 - wrapped)
    wrapped = positions.remainder(2 * size - 2)
    return torch.minimum(wrapped, 2 * size - 2 - wrapped)


def padded(images: Tensor, rows: tuple[int, int], columns: tuple[int, int], mode: Border) -> Tensor:
    """Images with what lies beyond their border, (..., rows[1] - rows[0], columns[1] - columns[0]).

    Args:
        images: (..., H, W).
        rows: the first, at most 0, and the end, at least H.
        columns: the same, at least W.
        mode: as in ``beyond``.
    """
    height, width = images.shape[-2:]
    down, left, right = (
        beyond(torch.arange(*ends, device=images.device), side, mode)
        for ends, side in ((rows, height), ((columns[0], 0), width), ((width, columns[1]), width))
    )
    images = images.index_select(-2, down)
    return torch.cat([images.index_select(-1, left), images, images.index_select(-1, right)], -1)


def gaussian(images: Tensor, sigma: float, mode: Border = "nearest", truncate: float = 4.0) -> Tensor:
    """Blur images as ``scipy.ndimage.gaussian_filter`` and ``skimage.filters.gaussian`` do.

    A blur is a band matrix applied to columns and rows, whose kernel is cut off at ``truncate`` standard deviations and sums
    to one.

    Args:
        images: (B, C, H, W), float32 or float64.
        sigma: standard deviation in pixels, 0 or more.
        mode: what lies beyond the border, as in ``beyond``.
        truncate: where the kernel ends.
    """
    (height, width), radius = images.shape[-2:], int(truncate * sigma + 0.5)
    rows, columns = (_bands(sigma, radius, side, mode, images.dtype, images.device) for side in (height, width))
    lines = torch.cat([weights @ images[..., near, :] for weights, near in rows], -2)
    return torch.cat([lines[..., near] @ weights.mT for weights, near in columns], -1)


@functools.lru_cache(maxsize=64)
def _bands(
    sigma: float, radius: int, size: int, mode: Border, dtype: torch.dtype, device: torch.device
) -> list[tuple[Tensor, slice]]:
    """Some rows of a band matrix at a time, only where they are not zero, and the columns where that is."""
    matrix, pieces = gaussian_matrix(sigma, radius, size, mode), []
    for start in range(0, size, 32):
        rows = matrix[start : start + 32]
        used = rows.any(0).nonzero()
        near = slice(int(used.min()), int(used.max()) + 1)
        pieces.append((rows[:, near].contiguous().to(device, dtype), near))
    return pieces


def gaussian_matrix(sigma: float, radius: int, size: int, mode: Border) -> Tensor:
    """The (size, size) band matrix, float64, that blurs a line of ``size`` pixels with a kernel of 2 ``radius`` + 1 weights."""
    offsets = torch.arange(-radius, radius + 1)
    kernel = torch.exp(-0.5 * (offsets.double() / max(sigma, 1e-6)) ** 2)
    pixels = beyond(torch.arange(size)[:, None] + offsets, size, mode)
    return torch.zeros(size, size, dtype=torch.float64).scatter_add_(1, pixels, (kernel / kernel.sum()).expand(size, -1))


def correlate(images: Tensor, kernel: Tensor, mode: Border) -> Tensor:
    """Correlate images with a kernel, by Fourier transforms: ``scipy.ndimage.correlate`` of each channel.

    Args:
        images: (B, C, H, W), float32 or float64.
        kernel: (K, K) float64, K odd.
        mode: what lies beyond the border, as in ``beyond``.
    """
    (height, width), (down, across) = images.shape[-2:], kernel.shape
    size = next_fast_len(height + down - 1, real=True), next_fast_len(width + across - 1, real=True)
    top, left = -(down // 2), -(across // 2)
    spectrum: Tensor = torch.fft.rfft2(padded(images, (top, size[0] + top), (left, size[1] + left), mode))
    spectrum *= torch.fft.rfft2(kernel, s=size).conj().to(spectrum)
    correlated: Tensor = torch.fft.irfft2(spectrum, s=size)
    return correlated[..., :height, :width]


def blur_along(images: Tensor, radius: float, sigma: float, angle: Tensor) -> Tensor:
    """Blur each image along a line of its own, as ImageMagick's ``MotionBlurImage`` does.

    The kernel is half a Gaussian of 2 ``radius`` + 1 weights, which sum to one; weight i stands at the pixel closest to i
    pixels from the centre. Beyond the border lies the pixel at the border.

    Args:
        images: (B, C, H, W).
        radius: pixels, rounded.
        sigma: standard deviation in pixels.
        angle: (B,), degrees: 0 is to the right, 90 down.
    """
    blurred = torch.zeros_like(images)
    for index, degrees in enumerate(angle.tolist()):
        _add_taps(blurred[index], images[index], _taps(round(radius), sigma, math.radians(degrees)))
    return blurred


def _taps(radius: int, sigma: float, angle: float) -> list[tuple[float, int, int]]:
    """Weights, with how far down and to the right of each pixel they stand."""
    width = 2 * radius + 1
    weights = [math.exp(-0.5 * (step / sigma) ** 2) for step in range(width)]
    total = sum(weights)
    return [
        (weight / total, math.ceil(step * math.sin(angle) - 0.5), math.ceil(step * math.cos(angle) - 0.5))
        for step, weight in enumerate(weights)
    ]


def _add_taps(blurred: Tensor, image: Tensor, taps: list[tuple[float, int, int]]) -> None:
    """Add up the shifted images, (C, H, W)."""
    height, width = image.shape[-2:]
    top, bottom = min(down for _, down, _ in taps), max(down for _, down, _ in taps)
    left, right = min(across for _, _, across in taps), max(across for _, _, across in taps)
    around = padded(image, (top, height + bottom), (left, width + right), "nearest")
    for weight, down, across in taps:
        blurred.add_(around[:, down - top : down - top + height, across - left : across - left + width], alpha=weight)
