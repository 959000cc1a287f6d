"""A task: the one type that knows what a network's outputs and the images' labels mean.

Training, evaluation, ranking and swapping ask the task and know nothing of classes themselves. Another task is a subclass of
``Task`` in a module beside this one; ``Job``, ``evaluate``, ``train``, ``rank_filters`` and ``evaluate_ideal`` take it as their
argument ``task``.

In this package B is the number of images of a batch, N that of a set. Outputs are (B, ...) floating point, one row an image;
labels are (B, ...), one row an image, with whatever the task compares.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument


class Measured(NamedTuple):
    """A network measured on a set of images.

    Attributes:
        metrics: a number for each of ``Task.metrics``.
        per_class: the first metric for each class, NaN for a class without images; empty where there are no classes.
    """

    metrics: Mapping[str, float]
    per_class: tuple[float, ...] = ()


class Task(ABC):
    """What a network is for. All scores and metrics are better the larger they are.

    Attributes:
        name: as stored results say it; those of classification, which are older than tasks, do not.
        metrics: what ``measure`` gives, by name. The first is the headline: by its mean over all levels training chooses its
            epoch.
        scores: what ``score`` gives of each image, by name. The mean of the first is p of Equation 1: a filter's priority is
            what its swap adds to it. Ideal correction reports it too.
        not_differentiable: those scores that gradients cannot estimate.
        tie_breaker: the score that orders filters of the same priority; None leaves them in the layer's order.
    """

    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    scores: ClassVar[tuple[str, ...]]
    not_differentiable: ClassVar[tuple[str, ...]] = ()
    tie_breaker: ClassVar[str | None] = None

    @abstractmethod
    def outputs(self, answer: object) -> Tensor:
        """The outputs (B, ...) in whatever a network returns, in eval mode or in training mode.

        Raises:
            DeepcorrectError: there are none.
        """

    def admit(self, answer: object, images: int) -> Tensor:
        """The outputs of a network that is met for the first time, in eval mode.

        Args:
            images: how many it was given.

        Raises:
            DeepcorrectError: there are none, they are no floating-point numbers, or have not one row an image.
        """
        outputs = self.outputs(answer)
        if not outputs.ndim or len(outputs) != images or not outputs.is_floating_point():
            raise DeepcorrectError(
                f"the network answers {images} images with a {tuple(outputs.shape)} tensor of {dtype_name(outputs)}; "
                "deepcorrect needs floating-point outputs, one row an image"
            )
        return outputs

    def classes_told_apart(self, outputs: Tensor) -> int | None:
        """How many classes the outputs tell apart, to be compared with the data's; None where they are of no classes."""
        return None

    @abstractmethod
    def check_labels(self, labels: Tensor, outputs: Tensor | None = None) -> None:
        """Refuse labels (N, ...) that outputs cannot be compared with.

        Args:
            outputs: some of the network's, (B, ...), where it has been asked already.

        Raises:
            DeepcorrectError: images without a label, or labels that do not go with such outputs.
        """

    @abstractmethod
    def loss(self, outputs: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """What training minimises, a mean over the images, () with a gradient.

        Args:
            label_smoothing: of the recipe, in [0, 1); a task that has no use for it refuses all but 0.
        """

    @abstractmethod
    def divergence(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """How far outputs are from those of a teacher, a mean over the images, 0 where they are equal; without labels."""

    @abstractmethod
    def score(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Each of ``scores`` for each image, (scores, B) float32, with a gradient but for those ``not_differentiable``."""

    @abstractmethod
    def observe(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """All that the metrics need of each image, (B, K): small, since it is kept of a whole set at every level.

        K does not depend on the batch. What several processes observed is joined by adding zeros.
        """

    @abstractmethod
    def measure(self, observed: Tensor, labels: Tensor, classes: int) -> Measured:
        """The metrics of a set of images.

        Args:
            observed: (N, K), by ``observe``, on the CPU.
            labels: (N, ...), on the CPU.
            classes: how many classes the labels may name.
        """

    def answers(self, observed: Tensor) -> Tensor | None:
        """What is kept so that networks can be compared image by image, (N,) small integers that are right where they equal the
        labels; None where no such comparison makes sense."""
        return None

    @abstractmethod
    def caption(self, outputs: Tensor, labels: Tensor, classes: Sequence[str]) -> list[dict[str, object]]:
        """What is said beside each of some pictures: ``label`` (text), ``right`` (bool) and ``confidence`` (in [0, 1])."""

    def label_texts(self, labels: Tensor, classes: Sequence[str]) -> list[str]:
        """The labels of some pictures in words; nothing where a word does not say them."""
        return [""] * len(labels)

    def remark(self, value: float, labels: Tensor) -> str:
        """The headline metric on clean images in words, and a warning if it suggests that something is wrong.

        Args:
            labels: those it was measured with, (N, ...).
        """
        return f"{self.metrics[0]} {value:.4f}"

    def traits(self) -> dict[str, str | None]:
        """What tells stored results of this task from those of others."""
        return {"network task": self.name}

    def index_of(self, score: str, *, gradient: bool = False) -> int:
        """Where a score is among ``scores``.

        Args:
            gradient: whether it is to be estimated from gradients.

        Raises:
            DeepcorrectError: it is unknown, or has no gradient and needs one.
        """
        if score not in self.scores:
            raise DeepcorrectError(f"{argument('score', score)}: unknown; use {_either(self.scores)}")
        if gradient and score in self.not_differentiable:
            smooth = [name for name in self.scores if name not in self.not_differentiable]
            raise DeepcorrectError(f"{argument('score', score)}: has no gradient to estimate it by; use {_either(smooth)}")
        return self.scores.index(score)

    def default_score(self, *, gradient: bool) -> str:
        """The first score, or the first that has a gradient."""
        return next(name for name in self.scores if not (gradient and name in self.not_differentiable))


def dtype_name(tensor: Tensor) -> str:
    """As ``float32``."""
    return str(tensor.dtype).removeprefix("torch.")


def _either(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
