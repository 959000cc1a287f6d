"""Distortions made of others: one after the other, or one at random an image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Self

import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.distortions.base import DEFAULT, Distortion, Ladder
from deepcorrect.distortions.streams import Streams


class Combined(Distortion, ABC):
    """Several distortions, whose common levels are steps of their ladders: 1, 2, ... up to the shortest ladder's length.

    At step k each member has the severity of its own k-th level. A longer ladder is stepped through evenly, from its first
    level to its last.

    Attributes:
        members: those it is made of, each name once.
        ladder: the kind of data that the members' levels are for.
    """

    members: tuple[Distortion, ...]
    ladder: str

    def __init__(self, members: Iterable[Distortion], name: str, ladder: str = DEFAULT) -> None:
        members = tuple(members)
        names = [member.name for member in members]
        if len(set(names)) < 2 or len(set(names)) < len(names):
            said = ", ".join(names) or "none"
            raise DeepcorrectError(f"distortion {name}: made of two or more distortions, each once, not of {said}")
        for member in members:
            member.require_function(f"distortion {name}")
        object.__setattr__(self, "members", tuple(member.fitted(ladder) for member in members))
        object.__setattr__(self, "ladder", ladder)
        known = all({ladder, DEFAULT} & member.ladders.keys() for member in self.members)
        ladders = {DEFAULT: self.levels(ladder)} if known else None
        super().__init__(name, self._combine, ladders, random="streams", graded=True)

    def _identity(self) -> tuple[object, ...]:
        return type(self), self.name, self.members, self.ladder

    def __repr__(self) -> str:
        return f"{type(self).__name__}([{', '.join(map(repr, self.members))}])"

    @property
    def ours(self) -> bool:
        """Whether all members are part of deepcorrect."""
        return all(member.ours for member in self.members)

    def fitted(self, ladder: str) -> Self:
        """The same with the members' levels for a kind of data."""
        return type(self)(self.members, self.name, ladder)

    def levels(self, ladder: str = DEFAULT) -> tuple[float, ...]:
        """The steps that all members have for a kind of data."""
        kind = self.ladder if ladder == DEFAULT else ladder
        return tuple(float(step + 1) for step in range(min(len(member.levels(kind)) for member in self.members)))

    def require_levels(self, levels: Iterable[float]) -> None:
        """Refuse what is no step.

        Raises:
            DeepcorrectError: a number that is none of ``levels()``, or a member has no levels for this kind of data.
        """
        self.levels()
        super().require_levels(levels)

    def severities(self, member: Distortion) -> tuple[float, ...]:
        """A member's severity at each step."""
        steps, known = len(self.levels()), member.levels(self.ladder)
        return tuple(known[round(step * (len(known) - 1) / max(1, steps - 1))] for step in range(steps))

    def _severity(self, member: Distortion, step: Tensor) -> Tensor:
        return torch.tensor(self.severities(member), device=step.device)[step.long() - 1]

    @abstractmethod
    def _combine(self, images: Tensor, step: Tensor, streams: Streams) -> Tensor: ...


class Composition(Combined):
    """One distortion after the other: ``Composition([get_distortion("defocus_blur"), GaussianNoise()])``.

    Args:
        members: in the order in which they ruin an image; two or more, each once.
        name: in results; the members' names joined by ``+`` without it.
        ladder: the kind of data that the members' levels are for.
    """

    def __init__(self, members: Iterable[Distortion], name: str | None = None, ladder: str = DEFAULT) -> None:
        members = tuple(members)
        super().__init__(members, name or "+".join(member.name for member in members), ladder)

    def _combine(self, images: Tensor, step: Tensor, streams: Streams) -> Tensor:
        for member in self.members:
            images = member.drawn(images, self._severity(member, step), streams.within(member.name))
        return images


class Mixture(Combined):
    """One distortion, chosen at random for each image: ``Mixture([GaussianBlur(), GaussianNoise()])``.

    A network is measured and ranked under each member by itself, and trained on the mixture.

    Args:
        members: two or more, each once; all are equally likely.
        name: in results; ``mix:`` and the members' names without it.
        ladder: the kind of data that the members' levels are for.
    """

    def __init__(self, members: Iterable[Distortion], name: str | None = None, ladder: str = DEFAULT) -> None:
        members = tuple(members)
        super().__init__(members, name or f"mix:{','.join(member.name for member in members)}", ladder)

    def parts(self, levels: Sequence[float]) -> list[Ladder]:
        """Each member, at its severities of these steps."""
        self.require_levels(levels)
        return [
            Ladder(member, tuple(dict.fromkeys(self.severities(member)[int(step) - 1] for step in levels)))
            for member in self.members
        ]

    def _combine(self, images: Tensor, step: Tensor, streams: Streams) -> Tensor:
        chosen = streams.integers("member", 0, len(self.members))
        mixed = images.clone()
        for number, member in enumerate(self.members):
            rows = (chosen == number).nonzero()[:, 0]
            if len(rows):
                own = streams.take(rows, images[rows]).within(member.name)
                mixed[rows] = member.drawn(images[rows], self._severity(member, step[rows]), own)
        return mixed
