"""Distortions by name: ``blur`` and ``noise`` (section 3.2), the common corruptions, combinations, and a user's own.

A distortion acts on float images in [0, 1], shape (B, C, H, W), with one severity per image; severity 0 returns the image
unchanged. Standard deviations follow the paper: pixels for blur, the 0-255 scale for noise. Noise is neither clipped nor
rounded; beyond the border of a blurred image lie zeros.

A distortion of your own joins by one registration::

    @register("dim", levels=(0.2, 0.4, 0.6))
    def dim(images, severity):
        return images * (1 - severity.view(-1, 1, 1, 1))

Names combine: ``defocus_blur+gaussian_noise`` is one after the other, ``mix:blur,noise`` one at random for each image. A group,
such as ``noises``, stands for its members in a list and in a mixture. ``cifar-c:DIR`` and ``imagenet-c:DIR`` stand for the
published corruptions in DIR, ``cifar-c:DIR/fog`` for one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.plugins import load_file
from deepcorrect.base.words import argument
from deepcorrect.distortions.base import DEFAULT, Distortion, Ladder, Random, as_levels
from deepcorrect.distortions.cifar_c import CifarC
from deepcorrect.distortions.combined import Composition, Mixture
from deepcorrect.distortions.groups import GROUPS as GROUPS
from deepcorrect.distortions.imagenet_c import ImageNetC
from deepcorrect.distortions.published import Published

_ALIASES = {"jpeg": "jpeg_compression", "elastic": "elastic_transform"}
_MIX = "mix:"
_LAYOUTS: dict[str, type[CifarC] | type[ImageNetC]] = {"cifar-c": CifarC, "imagenet-c": ImageNetC}
"""How published corruptions are read, by what stands before the colon."""

_REGISTRY: dict[str, Distortion] = {}
Function = Callable[..., Tensor]


def register(
    name: str,
    *,
    ladders: Mapping[str, Iterable[float]] | None = None,
    random: Random = False,
    levels: Iterable[float] | None = None,
    graded: bool = False,
) -> Callable[[Function], Function]:
    """Make a function, or an object that can be called, a distortion by name (see the module's example).

    Args:
        name: as on the command line, in place of an earlier distortion of that name.
        ladders, random, levels, graded: as in ``Distortion``.

    Raises:
        DeepcorrectError: ladders or levels that ``Distortion`` refuses.
    """

    def decorate(function: Function) -> Function:
        _REGISTRY[name] = Distortion(name, function, ladders, random, levels=levels, graded=graded)
        return function

    return decorate


def get_distortion(spec: str | Distortion) -> Distortion:
    """A distortion by name.

    Args:
        spec: a registered name (``blur``, ``noise``, ``fog`` ...); a file that registers it, ``file.py:name``; several joined
            by ``+``, one after the other; or ``mix:`` and several separated by commas, one at random for each image.

    Raises:
        DeepcorrectError: nothing of that name is registered, or it stands for several distortions.
    """
    if isinstance(spec, Distortion):
        return spec
    found = get_distortions(spec)
    if len(found) > 1:
        several = ", ".join(distortion.name for distortion in found)
        mixed = "" if any(isinstance(each, Published) for each in found) else f", or {_MIX}{spec}"
        raise DeepcorrectError(f"{argument('distortion', spec)}: that is several ({several}); give one{mixed}")
    return found[0]


def get_distortions(specs: str) -> list[Distortion]:
    """Distortions by names separated by commas, groups among them; what follows ``mix:`` is one mixture.

    Raises:
        DeepcorrectError: as ``get_distortion``, or one is named twice.
    """
    return _named(specs, specs)


def _named(names: str, spec: str) -> list[Distortion]:
    """The distortions of some names of a ``spec``, which messages show."""
    before, mix, mixed = names.partition(_MIX)
    each = [name for name in before.split(",") if name or not mix]
    found = [distortion for name in each for distortion in _published(name) or _of_group(name, spec)]
    if mix:
        found.append(Mixture(_named(mixed, spec), f"{_MIX}{mixed}"))
    named = [distortion.name for distortion in found]
    if repeated := next((name for name in named if named.count(name) > 1), None):
        raise DeepcorrectError(f"{argument('distortion', spec)}: {repeated} is named twice")
    return found


def _of_group(name: str, spec: str) -> list[Distortion]:
    return [_of_name(each, spec) for each in GROUPS.get(name, (name,))]


def _published(name: str) -> list[Published]:
    """The published corruptions that a name with the name of a layout in front stands for; none of any other name."""
    layout, _, place = name.partition(":")
    return _LAYOUTS[layout].found_in(Path(place).expanduser()) if layout in _LAYOUTS and place else []


def _of_name(name: str, spec: str) -> Distortion:
    if published := _published(name):
        return published[0]
    name = _ALIASES.get(name, name)
    if len(steps := _steps(name)) > 1:
        return Composition([_of_name(each, spec) for each in steps])
    path, separator, registered = name.rpartition(":")
    if separator:
        load_file(Path(path))
    if registered not in _REGISTRY:
        raise DeepcorrectError(f"{argument('distortion', spec)}: {_unknown(path, registered)}")
    return _REGISTRY[registered]


def _steps(name: str) -> list[str]:
    """The names that ``+`` joins; a file may have one in its own."""
    pieces, steps = name.split("+"), []
    while pieces:
        joined = ["+".join(pieces[: count + 1]) for count in range(len(pieces))]
        alone = len(joined) - 1 if "/" in pieces[0] else 0
        count = next((count for count, each in enumerate(joined) if each in _REGISTRY or _is_in_file(each)), alone)
        steps.append(joined[count])
        del pieces[: count + 1]
    return steps


def _is_in_file(name: str) -> bool:
    path, separator, _ = name.rpartition(":")
    return bool(separator) and Path(path).is_file()


def _unknown(path: str, name: str) -> str:
    """Why there is no distortion of a name."""
    if path:
        return f"{path} registers no distortion {name!r}"
    if not name:
        return "the name of a distortion is missing"
    if name in GROUPS:
        return f"{name} stands for {', '.join(GROUPS[name])}; name one of them"
    known = sorted({*_REGISTRY, *GROUPS})
    similar = get_close_matches(name, known, 1)
    meant = f"; did you mean {similar[0]}" if similar else ""
    return f"unknown distortion {name!r}{meant}; known: {', '.join(known)}"


def measured_under(name: str) -> list[str]:
    """Names of the distortions under which a correction against one of this name is measured: it, or a mixture's members."""
    distortion = get_distortion(name) if name.startswith(_MIX) else None
    return [member.name for member in distortion.members] if isinstance(distortion, Mixture) else [name]


def ladders_for(ladder: str) -> dict[str, Ladder]:
    """Every registered distortion that has this ladder or a default one, with its severities, by its name."""
    return {
        name: Ladder(distortion, distortion.levels(ladder))
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
        DeepcorrectError: neither numbers above 0, each once, nor a ladder; or severities that the distortion does not have.
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
    levels = as_levels(numbers, said)
    distortion.require_levels(levels)
    return levels


def parse_ladder(distortion: Distortion, levels: str | None, ladder: str) -> Ladder:
    """A distortion as it suits a kind of data, with the severities of ``parse_levels``."""
    fitted = distortion.fitted(ladder)
    return Ladder(fitted, parse_levels(levels, fitted, ladder))
