"""Classification: one label an image, a class's number; the network answers with logits, (B, classes)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.tasks.base import Measured, Task, dtype_name

LIKELIEST = 5
"""How many classes are kept of each image, for top-5 accuracy."""


class Classification(Task):
    """Cross entropy, Kullback-Leibler divergence; top-1 and top-5 accuracy."""

    name = "classification"
    metrics = ("top1", "top5")
    scores = ("top1", "probability", "margin")
    not_differentiable = ("top1",)
    tie_breaker = "margin"

    def outputs(self, answer: object) -> Tensor:
        """The logits (B, classes): the answer itself, or what is called ``logits`` in it."""
        logits = logits_of(answer)
        if logits.ndim != 2:
            raise DeepcorrectError(
                f"the network returns a {tuple(logits.shape)} tensor; deepcorrect needs logits, (B, classes)"
            )
        return logits

    def admit(self, answer: object, images: int) -> Tensor:
        """The logits of a network that returns them alone."""
        if not isinstance(answer, Tensor):
            raise DeepcorrectError(
                f"the network answers with {_described(answer)}, not with one tensor of logits, (B, classes); wrap it in a "
                "module whose forward returns the logits alone"
            )
        if answer.ndim != 2 or len(answer) != images or not answer.is_floating_point():
            raise DeepcorrectError(
                f"the network answers {images} images with a {tuple(answer.shape)} tensor of {dtype_name(answer)}; "
                "deepcorrect needs floating-point logits, (B, classes)"
            )
        return answer

    def classes_told_apart(self, outputs: Tensor) -> int:
        """As many as there are logits."""
        return outputs.shape[1]

    def check_labels(self, labels: Tensor, outputs: Tensor | None = None) -> None:
        """Labels (N,) int64 number classes from 0 on."""
        if not len(labels):
            return
        least, most = (int(label) for label in labels.aminmax())
        if least < 0:
            raise DeepcorrectError(
                f"{int((labels < 0).sum())} of {len(labels)} images have no label, which accuracy, ranking and training by "
                "labels need: give pairs of an image and its class number"
            )
        if outputs is not None and most >= outputs.shape[1]:
            raise DeepcorrectError(
                f"images are labelled {least} to {most}, the network has {outputs.shape[1]} outputs, numbered from 0; "
                "rank on images of the network's own classes"
            )

    def loss(self, outputs: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Cross entropy, nats an image."""
        return F.cross_entropy(outputs, labels, label_smoothing=label_smoothing)

    def divergence(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Kullback-Leibler divergence of the class probabilities from the wanted ones, nats an image."""
        return F.kl_div(outputs.log_softmax(1), wanted.log_softmax(1), log_target=True, reduction="batchmean")

    def score(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Whether the true class has the largest logit (0 or 1), its probability (0 to 1), and its margin: its logit less the
        largest other one."""
        own = outputs.gather(1, labels[:, None])[:, 0]
        others = outputs.scatter(1, labels[:, None], -torch.inf).amax(1)
        probability = (own - outputs.logsumexp(1)).exp()
        return torch.stack([(outputs.argmax(1) == labels).float(), probability, own - others])

    def observe(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The five most likely classes, (B, 5) int64, most likely first; where there are fewer, -1 stands for the rest."""
        top = outputs.topk(min(LIKELIEST, outputs.shape[1]), dim=1).indices
        return F.pad(top, (0, LIKELIEST - top.shape[1]), value=-1)

    def measure(self, observed: Tensor, labels: Tensor, classes: int) -> Measured:
        """The share of images whose true class is the most likely, and is among the five most likely; the former by class."""
        hits = observed == labels[:, None]
        counts = torch.bincount(labels, minlength=classes)
        right = torch.bincount(labels[hits[:, 0]], minlength=classes)
        metrics = {"top1": hits[:, 0].double().mean().item(), "top5": hits.any(1).double().mean().item()}
        return Measured(metrics, tuple((right.double() / counts).tolist()))

    def answers(self, observed: Tensor) -> Tensor:
        """The most likely class of every image, (N,)."""
        return observed[:, 0]

    def caption(self, outputs: Tensor, labels: Tensor, classes: Sequence[str]) -> list[dict[str, object]]:
        """The most likely class by name, whether it is right, and its probability."""
        confidence, top = outputs.softmax(1).max(1)
        return [
            {
                "label": classes[index] if index < len(classes) else f"output {index}",
                "right": index == label,
                "confidence": round(probability, 4),
            }
            for index, probability, label in zip(top.tolist(), confidence.tolist(), labels.tolist(), strict=True)
        ]

    def label_texts(self, labels: Tensor, classes: Sequence[str]) -> list[str]:
        """The names of the true classes."""
        return [classes[label] for label in labels.tolist()]

    def remark(self, value: float, labels: Tensor) -> str:
        """Top-1, with a warning where it is no better than one answer for all images, within three standard errors."""
        chance = float(torch.bincount(labels).max()) / len(labels)
        said = f"top-1 {value:.4f}"
        if chance == 1 or value > chance + 3 * math.sqrt(chance * (1 - chance) / len(labels)):
            return said
        question = "are preprocessing and classes of the network those of the data?"
        return f"{said}; warning: one answer for all gives {chance:.4f}; {question}"

    def traits(self) -> dict[str, str | None]:
        """No name: results that were stored before there were tasks are of classification."""
        return {"network task": None}


CLASSIFICATION = Classification()


def logits_of(answer: object) -> Tensor:
    """The logits in what a network answers: a tensor, or the ``logits`` of several outputs.

    Raises:
        DeepcorrectError: there are none of that name.
    """
    logits = answer.get("logits") if isinstance(answer, Mapping) else getattr(answer, "logits", answer)
    if not isinstance(logits, Tensor):
        raise DeepcorrectError(
            f"the network answers with {_described(answer)}, of which none is called logits; wrap it in a module whose forward "
            "returns the logits alone"
        )
    return logits


def _described(answer: object) -> str:
    kind = type(answer).__name__
    names = [str(name) for name in answer] if isinstance(answer, Mapping) else getattr(answer, "_fields", ())
    if names:
        return f"{kind} ({', '.join(names)})"
    return f"{kind} of {len(answer)}" if isinstance(answer, tuple | list) else kind
