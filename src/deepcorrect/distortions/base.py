"""A distortion: what ruins images, with a severity."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.processes import Part
from deepcorrect.base.seeding import normal_field
from deepcorrect.base.words import argument

DEFAULT = "default"


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Distortion:
    """A named distortion with its severity levels: ``Distortion("fog", fog, levels=(0.2, 0.4, 0.6))``.

    Two are equal if name, function, levels and ``random`` are, whatever class made them.

    Attributes:
        name: as on the command line, and as results name it.
        function: ``(images, severity)``, or ``(images, severity, noise)`` where ``random``. Takes float images (B, C, H, W) in
            [0, 1] and one severity an image, (B,); returns images of the same shape.
        ladders: severities by the kind of data (``cifar``, ``imagenet``, ``digits``); ``default`` serves the rest.
        random: whether the function needs standard normal numbers, shaped like the images.
    """

    name: str
    function: Callable[..., Tensor]
    ladders: Mapping[str, tuple[float, ...]]
    random: bool = False

    def __init__(
        self,
        name: str,
        function: Callable[..., Tensor],
        ladders: Mapping[str, Iterable[float]] | None = None,
        random: bool = False,
        *,
        levels: Iterable[float] | None = None,
    ) -> None:
        """Name a function that distorts images.

        Args:
            levels: severities for all data, in place of ``ladders``: finite numbers above 0, in the order in which results
                are to show them (usually from mild to severe). The clean level, 0, is always measured and never among them.

        Raises:
            DeepcorrectError: both ladders and levels, no level, one that is no finite number above 0, or one given twice.
        """
        if ladders is not None and levels is not None:
            raise DeepcorrectError(f"distortion {name}: give levels for all data, or ladders by the kind of data, not both")
        given = (ladders or {}) if levels is None else {DEFAULT: levels}
        steps = {ladder: as_levels(values, f"the levels of distortion {name}") for ladder, values in given.items()}
        for attribute, value in (("name", name), ("function", function), ("ladders", steps), ("random", random)):
            object.__setattr__(self, attribute, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Distortion):
            return NotImplemented
        mine, others = ((each.name, each.function, dict(each.ladders), each.random) for each in (self, other))
        return mine == others

    def __hash__(self) -> int:
        return hash((self.name, self.random))

    def __repr__(self) -> str:
        """As it was made: a subclass knows its own name, function and ladders."""
        plain = type(self) is Distortion
        said = [repr(self.name), getattr(self.function, "__name__", type(self.function).__name__)] if plain else []
        shown = {
            ladder: f"({', '.join(f'{level:g}' for level in steps)}{',' * (len(steps) == 1)})"
            for ladder, steps in self.ladders.items()
        }
        if shown.keys() == {DEFAULT}:
            said.append(f"levels={shown[DEFAULT]}")
        elif plain and shown:
            said.append(f"ladders={{{', '.join(f'{ladder!r}: {levels}' for ladder, levels in shown.items())}}}")
        if plain and self.random:
            said.append("random=True")
        return f"{type(self).__name__}({', '.join(said)})"

    def levels(self, ladder: str = DEFAULT) -> tuple[float, ...]:
        """The severities for a kind of data, in the distortion's own unit; the clean level (0) is not among them.

        Args:
            ladder: the kind of data, ``Dataset.ladder``; one that the distortion does not know gets its default levels.

        Raises:
            DeepcorrectError: it has neither such a ladder nor default levels.
        """
        known = self.ladders.get(ladder) or self.ladders.get(DEFAULT)
        if known is None:
            has = f"levels only for {', '.join(self.ladders)}" if self.ladders else "no levels of its own"
            raise DeepcorrectError(f"distortion {self.name} has {has}, not for {ladder!r} data; give {argument('levels')}")
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
            returned = tuple(distorted.shape) if isinstance(distorted, Tensor) else type(distorted).__name__
            raise DeepcorrectError(
                f"distortion {self.name} turned shape {tuple(images.shape)} into {returned}; it must keep the shape"
            )
        return distorted


def as_levels(values: Iterable[float], said: str) -> tuple[float, ...]:
    """Severities as floats, in the order given.

    Args:
        values: finite numbers above 0, each once.
        said: what a message calls them.

    Raises:
        DeepcorrectError: they are something else, or none.
    """
    try:
        levels = () if isinstance(values, str | bytes) else tuple(float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        levels = ()
    if not levels or not all(0 < level < math.inf for level in levels):
        raise DeepcorrectError(f"{said}: give one or more finite numbers above 0; clean images, level 0, are always measured")
    if repeated := next((level for level in levels if levels.count(level) > 1), None):
        raise DeepcorrectError(f"{said}: {repeated:g} is given twice; give each level once")
    return levels
