"""Distortions made of others: one after the other, or one at random an image."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Self

import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument
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
            member.require_function()
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
        members: two or more, each once.
        name: in results; ``mix:`` and the members' names without it.
        ladder: the kind of data that the members' levels are for.
        weights: how often training draws each member at each step, (members, steps), 0 or more, in any unit; all are equally
            likely without them.

    Raises:
        DeepcorrectError: one member alone, or weights that are not as many, negative, or all 0.
    """

    weights: tuple[tuple[float, ...], ...] | None

    def __init__(
        self,
        members: Iterable[Distortion],
        name: str | None = None,
        ladder: str = DEFAULT,
        weights: Sequence[Sequence[float]] | None = None,
    ) -> None:
        members = tuple(members)
        super().__init__(members, name or f"mix:{','.join(member.name for member in members)}", ladder)
        given = None if weights is None else tuple(tuple(map(float, row)) for row in weights)
        if given is not None:
            self._require_weights(given)
        object.__setattr__(self, "weights", given)

    def _require_weights(self, weights: tuple[tuple[float, ...], ...]) -> None:
        values = [weight for row in weights for weight in row]
        steps = len(self.levels())
        if [len(row) for row in weights] != [steps] * len(self.members):
            raise DeepcorrectError(f"{argument('weights')}: give {len(self.members)} rows of {steps}, for members and steps")
        if not all(0 <= weight < math.inf for weight in values) or not sum(values):
            raise DeepcorrectError(f"{argument('weights')}: give finite numbers of 0 or more, one of them above 0")

    def _identity(self) -> tuple[object, ...]:
        return (*super()._identity(), self.weights)

    def fitted(self, ladder: str) -> Mixture:
        """The same with the members' levels for a kind of data."""
        return Mixture(self.members, self.name, ladder, self.weights)

    def weighted(self, weights: Sequence[Sequence[float]]) -> Mixture:
        """The same, of which training draws each member at each step as often as its weight says."""
        return Mixture(self.members, self.name, self.ladder, weights)

    def shares(self, levels: Sequence[float]) -> tuple[float, ...] | None:
        """The weight of each step, that of all members together; None without weights.

        Raises:
            DeepcorrectError: all of these steps have the weight 0.
        """
        if self.weights is None:
            return None
        shares = tuple(sum(row[int(step) - 1] for row in self.weights) for step in levels)
        if not sum(shares):
            raise DeepcorrectError(f"distortion {self.name}: its weights are 0 at all of these levels; give others")
        return shares

    def traits(self) -> dict[str, object]:
        """Its weights, if it has any."""
        return {} if self.weights is None else {"weights": self.weights}

    def parts(self, levels: Sequence[float]) -> list[Ladder]:
        """Each member, at its severities of these steps."""
        self.require_levels(levels)
        return [
            Ladder(member, tuple(dict.fromkeys(self.severities(member)[int(step) - 1] for step in levels)))
            for member in self.members
        ]

    def _combine(self, images: Tensor, step: Tensor, streams: Streams) -> Tensor:
        chosen = self._choose(step, streams)
        mixed = images.clone()
        for number, member in enumerate(self.members):
            rows = (chosen == number).nonzero()[:, 0]
            if len(rows):
                own = streams.take(rows, images[rows]).within(member.name)
                mixed[rows] = member.drawn(images[rows], self._severity(member, step[rows]), own)
        return mixed

    def _choose(self, step: Tensor, streams: Streams) -> Tensor:
        """The number of each image's member, (B,): by the weights that its step has, equally likely if they are all 0."""
        if self.weights is None:
            return streams.integers("member", 0, len(self.members))
        weights = torch.tensor(self.weights, dtype=torch.float64)
        weights = torch.where(weights.sum(0) > 0, weights, 1.0)
        below = (weights / weights.sum(0)).cumsum(0)[:-1].T.to(step.device)
        drawn = streams.uniform("member").to(torch.float64)
        return (drawn[:, None] >= below[step.long() - 1]).sum(1)
