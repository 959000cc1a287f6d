"""Restoring images before the network sees them, the alternative to correcting the network (Tables 7 and 8).

Both restorers are non-blind, as in the paper: they are told the distortion's severity.

- ``bm3d`` against noise: block matching and 3D filtering (Dabov et al.), of the package ``bm3d``, whose licence is
  non-commercial;
- ``wiener`` against blur: scikit-image's Wiener deconvolution, where the paper has NCSR, of which there is no package. The blur
  darkens the border, because zeros lie beyond it; that is undone first, and the image is mirrored beyond its border.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.blur import gaussian_blur

BALANCE = 0.01
"""Of the Wiener filter, between sharpness and ringing; the best of 0.1, 0.01 and 0.001 at sigma 2 and 3."""


def restored(distortion: Distortion, name: str) -> Distortion:
    """The distortion with its images restored afterwards.

    Args:
        name: ``bm3d`` for noise, ``wiener`` for blur.

    Raises:
        DeepcorrectError: another restorer or distortion, or its package is not installed.
    """
    if name not in _RESTORERS or _RESTORERS[name][0] != distortion.name:
        known = ", ".join(f"{restorer} for {suits}" for restorer, (suits, _, _) in _RESTORERS.items())
        raise DeepcorrectError(f"{argument('restore', name)}: not for {distortion.name}; there is {known}")
    _, restore, package = _RESTORERS[name]
    library = _import(name, package)

    def distort_and_restore(images: Tensor, severity: Tensor, *drawn: Tensor) -> Tensor:
        distorted = distortion.function(images, severity, *drawn)
        images_restored = [restore(library, image, level) for image, level in zip(distorted, severity.tolist(), strict=True)]
        return torch.stack(images_restored).to(images)

    return Distortion(distortion.name, distort_and_restore, distortion.ladders, distortion.random)


def _denoise(bm3d: ModuleType, image: Tensor, sigma: float) -> Tensor:
    pixels = np.moveaxis(image.double().cpu().numpy(), 0, -1)
    if pixels.shape[-1] == 3:
        return torch.from_numpy(np.moveaxis(bm3d.bm3d_rgb(pixels, sigma / 255), -1, 0))
    return torch.from_numpy(bm3d.bm3d(pixels[..., 0], sigma / 255))[None]


def _deblur(restoration: ModuleType, image: Tensor, sigma: float) -> Tensor:
    radius = int(2 * sigma + 0.5)
    steps = np.arange(-radius, radius + 1)
    line = np.exp(-0.5 * (steps / sigma) ** 2)
    kernel = np.outer(line, line) / line.sum() ** 2
    share_inside = gaussian_blur(torch.ones_like(image)[None], torch.tensor([sigma], device=image.device))[0]
    beyond = min(2 * radius + 1, *image.shape[-2:])
    planes = []
    for plane in (image / share_inside).double().cpu().numpy():
        mirrored = np.pad(plane, beyond, mode="symmetric")
        planes.append(restoration.wiener(mirrored, kernel, BALANCE)[beyond:-beyond, beyond:-beyond])
    return torch.from_numpy(np.stack(planes))


def _import(name: str, module: str) -> ModuleType:
    package = {"skimage.restoration": "scikit-image"}.get(module, module)
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise DeepcorrectError(f"{argument('restore', name)}: {package} is not installed; pip install {package}") from None


_RESTORERS: dict[str, tuple[str, Callable[[ModuleType, Tensor, float], Tensor], str]] = {
    "bm3d": ("noise", _denoise, "bm3d"),
    "wiener": ("blur", _deblur, "skimage.restoration"),
}
