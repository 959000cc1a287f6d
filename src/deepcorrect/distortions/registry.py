"""Distortions by name (section 3.2): ``blur``, ``noise``, and a user's own.

A distortion acts on float images in [0, 1], shape (B, C, H, W), with one severity per image; severity 0 returns the image
unchanged. Standard deviations follow the paper: pixels for blur, the 0-255 scale for noise. Noise is neither clipped nor
rounded; beyond the border of a blurred image lie zeros.

A distortion of your own joins by one registration::

    @register("dim", levels=(0.2, 0.4, 0.6))
    def dim(images, severity):
        return images * (1 - severity.view(-1, 1, 1, 1))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.plugins import load_file
from deepcorrect.base.words import argument
from deepcorrect.distortions.base import DEFAULT, Distortion, as_levels

_REGISTRY: dict[str, Distortion] = {}
Function = Callable[..., Tensor]


def register(
    name: str,
    *,
    ladders: Mapping[str, Iterable[float]] | None = None,
    random: bool = False,
    levels: Iterable[float] | None = None,
) -> Callable[[Function], Function]:
    """Make a function, or an object that can be called, a distortion by name (see the module's example).

    Args:
        name: as on the command line, in place of an earlier distortion of that name.
        ladders, random, levels: as in ``Distortion``.

    Raises:
        DeepcorrectError: ladders or levels that ``Distortion`` refuses.
    """

    def decorate(function: Function) -> Function:
        _REGISTRY[name] = Distortion(name, function, ladders, random, levels=levels)
        return function

    return decorate


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
        raise DeepcorrectError(f"{argument('distortion', spec)}: {where} {name!r}; known: {', '.join(sorted(_REGISTRY))}")
    return _REGISTRY[name]


def ladders_for(ladder: str) -> dict[str, tuple[float, ...]]:
    """The severities of every registered distortion that has this ladder or a default one, by its name."""
    return {
        name: distortion.levels(ladder)
        for name, distortion in _REGISTRY.items()
        if {ladder, DEFAULT} & distortion.ladders.keys()
    }


def parse_levels(given: str | None, distortion: Distortion, ladder: str) -> tuple[float, ...]:
    """The severities that an option asks for.

    Args:
        given: numbers separated by commas (``0.5,1,2``) or the name of one of the distortion's ladders; None for the levels
            that suit the data.
        ladder: of the data, ``Dataset.ladder``.

    Raises:
        DeepcorrectError: neither numbers above 0, each once, nor a ladder.
    """
    if given is None:
        return distortion.levels(ladder)
    if given in distortion.ladders:
        return distortion.ladders[given]
    said = argument("levels", given)
    try:
        numbers = [float(number) for number in given.split(",")]
    except ValueError:
        known = ", ".join(distortion.ladders)
        raise DeepcorrectError(f"{said}: neither numbers nor a ladder of {distortion.name} ({known})") from None
    return as_levels(numbers, said)
