"""Image distortions with a severity (section 3.2): Gaussian blur and additive white Gaussian noise.

A distortion acts on float images in [0, 1], shape (B, C, H, W), with one severity per image; severity 0 returns the image
unchanged. Standard deviations follow the paper: pixels for blur, the 0-255 scale for noise. Noise is neither clipped nor
rounded; beyond the border of a blurred image lie zeros.

A distortion of your own joins by one registration::

    @register("dim", ladders={"default": (0.2, 0.4, 0.6)})
    def dim(images, severity):
        return images * (1 - severity.view(-1, 1, 1, 1))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from deepcorrect.errors import DeepcorrectError
from deepcorrect.parallel import Part
from deepcorrect.plugins import load_file
from deepcorrect.seeding import normal_field

DEFAULT = "default"


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur every image with its own Gaussian.

    The window is 4 sigma + 1 wide (3, 5, ..., 13 on the CIFAR ladder) and sums to one; zeros lie beyond the border. As a
    blur is a band matrix applied to columns and rows, a batch of mixed severities is two batched matrix products.

    Args:
        images: (B, C, H, W), float.
        sigma: (B,), standard deviations in pixels, 0 or more.
    """
    height, width = images.shape[-2:]
    rows = _blur_matrix(sigma, height).to(images.dtype)
    columns = rows if height == width else _blur_matrix(sigma, width).to(images.dtype)
    return rows[:, None] @ images @ columns[:, None]


def _blur_matrix(sigma: Tensor, size: int) -> Tensor:
    """(B, size, size) symmetric band matrices that blur a line of ``size`` pixels."""
    sigma = sigma.float().view(-1, 1)
    radius = torch.floor(2 * sigma + 0.5)
    widest = int(radius.max()) if len(radius) else 0
    offsets = torch.arange(-widest, widest + 1, device=sigma.device)
    kernel = torch.exp(-0.5 * (offsets / sigma.clamp_min(1e-6)) ** 2) * (offsets.abs() <= radius)
    kernel = kernel / kernel.sum(1, keepdim=True)
    place = torch.arange(size, device=sigma.device)
    distance = (place[:, None] - place[None, :]).abs()
    inside = distance <= widest
    return kernel[:, distance.clamp_max(widest) + widest] * inside


def additive_gaussian_noise(images: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """Add white Gaussian noise: ``images + sigma / 255 * noise``, neither clipped nor rounded.

    Args:
        images: (B, C, H, W) in [0, 1].
        sigma: (B,), standard deviations on the 0-255 scale.
        noise: (B, C, H, W), standard normal.
    """
    return images + (sigma.view(-1, 1, 1, 1) / 255).to(images.dtype) * noise


@dataclass(frozen=True)
class Distortion:
    """A named distortion with its severity ladders.

    Attributes:
        name: as on the command line.
        function: ``(images, severity)``, or ``(images, severity, noise)`` where ``random``.
        ladders: severities from mild to severe by data kind (``cifar``, ``imagenet``, ``digits``); ``default`` serves the rest.
        random: whether the function needs standard normal numbers, shaped like the images.
    """

    name: str
    function: Callable[..., Tensor]
    ladders: Mapping[str, tuple[float, ...]]
    random: bool = False

    def levels(self, ladder: str) -> tuple[float, ...]:
        """The severities of a ladder, or of the default one; the clean level (0) is not among them."""
        known = self.ladders.get(ladder) or self.ladders.get(DEFAULT)
        if known is None:
            raise DeepcorrectError(
                f"distortion {self.name} has no ladder {ladder!r} (it has {', '.join(self.ladders)}); give --levels"
            )
        return known

    def __call__(self, images: Tensor, severity: Tensor, *, generator: torch.Generator, part: Part | None = None) -> Tensor:
        """Distort a training batch, or a ``part`` of one; random numbers come from ``generator``, on the images' device."""
        if not self.random:
            return self._run(images, severity)
        part = part or Part(0, len(images), len(images))
        shape = (part.whole, *images.shape[1:])
        noise = part.of(torch.randn(shape, generator=generator, device=images.device, dtype=images.dtype))
        return self._run(images, severity, noise)

    def at(self, images: Tensor, severity: float, indices: Tensor, seed: int) -> Tensor:
        """Distort an evaluation batch, all of it at one severity.

        The result for an image depends on (seed, its index, severity) alone: never on the batch, the order or the device.

        Args:
            images: (B, C, H, W) in [0, 1].
            severity: 0 returns the images themselves.
            indices: (B,), each image's position in its data set.
            seed: of the random numbers.
        """
        if severity == 0:
            return images
        levels = torch.full((len(images),), severity, device=images.device)
        if not self.random:
            return self._run(images, levels)
        noise = torch.stack(
            [torch.from_numpy(normal_field(seed, i, severity, tuple(images.shape[1:]))) for i in indices.tolist()]
        )
        return self._run(images, levels, noise.to(images))

    def _run(self, images: Tensor, *given: Tensor) -> Tensor:
        try:
            distorted = self.function(images, *given)
        except Exception as error:
            raise DeepcorrectError(f"distortion {self.name} failed: {type(error).__name__}: {error}") from error
        if not isinstance(distorted, Tensor) or distorted.shape != images.shape:
            found = tuple(distorted.shape) if isinstance(distorted, Tensor) else type(distorted).__name__
            raise DeepcorrectError(
                f"distortion {self.name} turned shape {tuple(images.shape)} into {found}; it must keep the shape"
            )
        return distorted


_REGISTRY: dict[str, Distortion] = {}


def register(
    name: str, *, ladders: Mapping[str, Sequence[float]], random: bool = False
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Make a function, or an object that can be called, a distortion by name (see the module's example)."""

    def add(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        steps = {ladder: tuple(float(level) for level in levels) for ladder, levels in ladders.items()}
        _REGISTRY[name] = Distortion(name, function, steps, random)
        return function

    return add


def get_distortion(spec: str | Distortion) -> Distortion:
    """A distortion by name (``blur``, ``noise`` or a registered one) or from a file that registers it, ``file.py:name``.

    Raises:
        DeepcorrectError: nothing of that name is registered.
    """
    if isinstance(spec, Distortion):
        return spec
    path, separator, name = spec.rpartition(":")
    if separator:
        load_file(Path(path))
    if name not in _REGISTRY:
        where = f"{path} registers no distortion" if separator else "unknown distortion"
        raise DeepcorrectError(f"--distortion {spec}: {where} {name!r}; known: {', '.join(sorted(_REGISTRY))}")
    return _REGISTRY[name]


def ladders_for(ladder: str) -> dict[str, tuple[float, ...]]:
    """The severities of every registered distortion that has this ladder or a default one, by its name."""
    return {name: kind.levels(ladder) for name, kind in _REGISTRY.items() if {ladder, DEFAULT} & kind.ladders.keys()}


def parse_levels(given: str | None, distortion: Distortion, ladder: str) -> tuple[float, ...]:
    """Severities from ``0.5,1,2`` or the name of a ladder; those of the data's own ``ladder`` when None.

    Raises:
        DeepcorrectError: neither numbers above 0 nor a ladder.
    """
    if given is None:
        return distortion.levels(ladder)
    if given in distortion.ladders:
        return distortion.ladders[given]
    try:
        levels = tuple(float(level) for level in given.split(","))
    except ValueError:
        known = ", ".join(distortion.ladders)
        raise DeepcorrectError(f"--levels {given}: neither numbers nor a ladder of {distortion.name} ({known})") from None
    if not all(0 < level < math.inf for level in levels):
        raise DeepcorrectError(f"--levels {given}: give numbers above 0, separated by commas; clean images are always measured")
    return levels


register(
    "blur",
    ladders={"cifar": (0.5, 1, 1.5, 2, 2.5, 3), "imagenet": (1, 2, 3, 4, 5, 6), "digits": (0.4, 0.6, 0.8, 1, 1.2, 1.4)},
)(gaussian_blur)
register(
    "noise",
    ladders={
        "cifar": (5, 10, 15, 20, 25, 30),
        "imagenet": (10, 20, 40, 60, 80, 100),
        "digits": (15, 30, 45, 60, 75, 90),
    },
    random=True,
)(additive_gaussian_noise)
