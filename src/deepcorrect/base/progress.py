"""How long work tells its caller where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, Self

_VALIDATION = "validation_"


@dataclass(frozen=True)
class EpochMetrics:
    """What one epoch came to.

    Attributes:
        epoch: its number, from 1.
        steps: batches by its end, of all epochs together.
        loss: mean over its training images.
        rate: learning rate of its last step.
        validation: the task's first metric on the validation images, the clean level first; of a mixture, at each step the
            mean over its members.
        images_per_second, seconds: of training alone.
        metric: which metric that is.
        members: of a mixture, ``validation`` under each member.
    """

    epoch: int
    steps: int
    loss: float
    rate: float
    validation: tuple[float, ...]
    images_per_second: float
    seconds: float
    metric: str = "top1"
    members: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def validation_mean(self) -> float:
        """Mean over the levels; the epoch where it is highest gives the final weights."""
        return sum(self.validation) / len(self.validation)

    def as_json(self) -> dict[str, Any]:
        """The fields; the metric is part of a name, as in ``validation_top1``."""
        left_out = {"metric"} if self.members else {"metric", "members"}
        values = {name: getattr(self, name) for name in (each.name for each in fields(self)) if name not in left_out}
        return {f"{_VALIDATION}{self.metric}" if name == "validation" else name: value for name, value in values.items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """What ``as_json`` gave.

        Raises:
            TypeError, ValueError: it is something else.
        """
        values = dict(content)
        (key,) = [name for name in values if name.startswith(_VALIDATION)]
        members = {name: tuple(accuracies) for name, accuracies in values.pop("members", {}).items()}
        return cls(validation=tuple(values.pop(key)), metric=key.removeprefix(_VALIDATION), members=members, **values)


class Reporter(Protocol):
    """Told how far a job is."""

    def stage(self, name: str, total: int) -> None:
        """A stage of ``total`` steps begins."""

    def advance(self, steps: int) -> None:
        """So many more steps of it are done."""

    def epochs(self, history: Sequence[EpochMetrics]) -> None:
        """A training epoch is over: the last of ``history``."""

    def tell(self, message: str) -> None:
        """Something that the user should know by now."""


class Silent:
    """Reports nothing."""

    def stage(self, name: str, total: int) -> None:
        """Nothing."""

    def advance(self, steps: int) -> None:
        """Nothing."""

    def epochs(self, history: Sequence[EpochMetrics]) -> None:
        """Nothing."""

    def tell(self, message: str) -> None:
        """Nothing."""
