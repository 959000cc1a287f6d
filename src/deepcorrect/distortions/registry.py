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
from pathlib import Path

from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.plugins import load_file
from deepcorrect.distortions.base import DEFAULT, Distortion

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
