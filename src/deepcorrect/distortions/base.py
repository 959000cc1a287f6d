"""A distortion: what ruins images, with a severity."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.processes import Part
from deepcorrect.base.words import argument
from deepcorrect.datasets.images import Images
from deepcorrect.distortions.streams import Streams

DEFAULT = "default"
LARGEST_KEY = 2**62
Random = bool | Literal["streams"]


class Ladder(NamedTuple):
    """A distortion with the severities to use, above 0."""

    distortion: Distortion
    levels: tuple[float, ...]


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Distortion:
    """A named distortion with its severity levels: ``Distortion("fog", fog, levels=(0.2, 0.4, 0.6))``.

    Two are equal if name, function, levels, ``random`` and ``graded`` are, whatever class made them.

    Attributes:
        name: as on the command line, and as results name it.
        function: ``(images, severity)``, or what ``random`` says. Takes float images (B, C, H, W) in [0, 1] and one severity
            an image, (B,); returns images of the same shape.
        ladders: severities by the kind of data (``cifar``, ``imagenet``, ``digits``); ``default`` serves the rest.
        random: ``True`` where the function takes a third argument of standard normal numbers, shaped like the images;
            ``"streams"`` where it takes ``Streams``, from which it draws whatever it needs of each image.
        graded: whether it has the severities of its ladders alone, and none in between.
    """

    name: str
    function: Callable[..., Tensor]
    ladders: Mapping[str, tuple[float, ...]]
    random: Random = False
    graded: bool = False

    def __init__(
        self,
        name: str,
        function: Callable[..., Tensor],
        ladders: Mapping[str, Iterable[float]] | None = None,
        random: Random = False,
        *,
        levels: Iterable[float] | None = None,
        graded: bool = False,
    ) -> None:
        """Name a function that distorts images.

        Args:
            levels: severities for all data, in place of ``ladders``: finite numbers above 0, in the order in which results
                are to show them (usually from mild to severe). The clean level, 0, is always measured and never among them.

        Raises:
            DeepcorrectError: both ladders and levels, no level, one that is no finite number above 0, or one given twice;
                ``random`` that is something else.
        """
        if ladders is not None and levels is not None:
            raise DeepcorrectError(f"distortion {name}: give levels for all data, or ladders by the kind of data, not both")
        if random not in (True, False, "streams"):
            raise DeepcorrectError(f"distortion {name}: random is True, False or 'streams', not {random!r}")
        given = (ladders or {}) if levels is None else {DEFAULT: levels}
        steps = {ladder: as_levels(values, f"the levels of distortion {name}") for ladder, values in given.items()}
        fields = {"name": name, "function": function, "ladders": steps, "random": random, "graded": graded}
        for attribute, value in fields.items():
            object.__setattr__(self, attribute, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Distortion):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((self.name, self.random))

    def _identity(self) -> tuple[object, ...]:
        return self.name, self.function, dict(self.ladders), self.random, self.graded

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
            said.append(f"random={self.random!r}")
        if plain and self.graded:
            said.append("graded=True")
        return f"{type(self).__name__}({', '.join(said)})"

    @property
    def ours(self) -> bool:
        """Whether it is part of deepcorrect, so that its name says what it does; another's may be any function."""
        return getattr(self.function, "__module__", "").startswith("deepcorrect.")

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

    def require_levels(self, levels: Iterable[float]) -> None:
        """Refuse severities that it does not have.

        Raises:
            DeepcorrectError: it is graded, and one is on none of its ladders.
        """
        known = {level for steps in self.ladders.values() for level in steps}
        if self.graded and (strange := [level for level in levels if level not in known]):
            has = ", ".join(f"{level:g}" for level in sorted(known))
            raise DeepcorrectError(f"{argument('levels', f'{strange[0]:g}')}: {self.name} has the severities {has} alone")

    def fitted(self, ladder: str) -> Distortion:
        """The same for a kind of data, where one is made of others that each have levels for it."""
        return self

    def matched(self, images: Images, levels: Sequence[float], seen: tuple[int, int]) -> Distortion:
        """The same for some test images at some levels, where distorted images are not computed but come from files.

        Args:
            seen: height and width of what the network sees of these images.
        """
        return self

    def require_function(self) -> None:
        """Refuse a distortion whose images come from files: it cannot distort the images of a ranking or a training."""

    @property
    def known_index(self) -> int:
        """The index of an image that it can distort."""
        return 0

    def shares(self, levels: Sequence[float]) -> tuple[float, ...] | None:
        """How often training is to draw each level, in any unit; None where all are equally likely."""
        return None

    def traits(self) -> dict[str, object]:
        """What decides its part in a training beside its name, its levels and what it does to an image, as JSON holds it."""
        return {}

    def parts(self, levels: Sequence[float]) -> list[Ladder]:
        """What is measured and ranked under its own name: itself; of a mixture, each of its members at its own severities."""
        return [Ladder(self, tuple(levels))]

    def __call__(self, images: Tensor, severity: Tensor, *, generator: torch.Generator, part: Part | None = None) -> Tensor:
        """Distort a training batch, or a ``part`` of one; random numbers come from ``generator``, on the images' device.

        Raises:
            DeepcorrectError: a severity that it does not have, or the function fails.
        """
        if self.graded:
            self.require_levels(severity.tolist())
        part = part or Part(0, len(images), len(images))
        if self.random is True:
            shape = (part.whole, *images.shape[1:])
            noise = part.of(torch.randn(shape, generator=generator, device=images.device, dtype=images.dtype))
            return self._run(images, severity, noise)
        if not self.random:
            return self._run(images, severity)
        keys = torch.randint(LARGEST_KEY, (part.whole,), generator=generator, device=images.device)
        return self.drawn(images, severity, Streams.of_step(part.of(keys), images))

    def at(self, images: Tensor, severity: float, indices: Tensor, seed: int) -> Tensor:
        """Distort an evaluation batch, all of it at one severity.

        The result for an image depends on (seed, its index, severity) alone: never on the batch, the order or the device.

        Args:
            images: (B, C, H, W) in [0, 1].
            severity: 0 returns the images themselves.
            indices: (B,), each image's position in its data set.
            seed: of the random numbers.

        Raises:
            DeepcorrectError: a severity that it does not have, or the function fails.
        """
        if severity == 0:
            return images
        self.require_levels((severity,))
        levels = torch.full((len(images),), severity, device=images.device)
        return self.drawn(images, levels, Streams.of_images(seed, indices.tolist(), severity, images))

    def drawn(self, images: Tensor, severity: Tensor, streams: Streams) -> Tensor:
        """Distort images, (B, C, H, W) in [0, 1], each at its severity, (B,), with the random numbers of ``streams``."""
        if self.random is True:
            return self._run(images, severity, streams.normal("", tuple(images.shape[1:])))
        return self._run(images, severity, streams) if self.random else self._run(images, severity)

    def _run(self, images: Tensor, *given: Tensor | Streams) -> Tensor:
        try:
            distorted = self.function(images, *given)
        except DeepcorrectError:
            raise
        except Exception as error:
            raise DeepcorrectError(f"distortion {self.name} failed: {type(error).__name__}: {error}") from error
        if not isinstance(distorted, Tensor) or distorted.shape != images.shape:
            returned = tuple(distorted.shape) if isinstance(distorted, Tensor) else type(distorted).__name__
            raise DeepcorrectError(
                f"distortion {self.name} turned shape {tuple(images.shape)} into {returned}; it must keep the shape"
            )
        return distorted


def parts_of(ladders: Iterable[tuple[Distortion, Sequence[float]]]) -> list[Ladder]:
    """What is measured for several distortions: each once, and each member of a mixture by itself."""
    return list(dict.fromkeys(part for distortion, levels in ladders for part in distortion.parts(levels)))


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
