"""A network with the images, device and seed that it is measured with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from deepcorrect.answers import keep_answers
from deepcorrect.cost import multiply_accumulates
from deepcorrect.datasets.images import Dataset
from deepcorrect.distortions import Distortion
from deepcorrect.errors import DeepcorrectError
from deepcorrect.evaluation import Evaluation, evaluate
from deepcorrect.layers import Layer, find_layers
from deepcorrect.loading import batches
from deepcorrect.names import readable
from deepcorrect.parallel import Processes
from deepcorrect.progress import Reporter, Silent
from deepcorrect.results import Record, Run
from deepcorrect.runtime import Precision
from deepcorrect.stages import Traits, answers_stages


@dataclass
class Job:
    """A network and what it is measured on.

    Attributes:
        model: takes images (B, C, H, W) in [0, 1], returns logits; moved to ``device``.
        data: training, validation and test images.
        device, precision: of evaluation and ranking; a recipe has its own precision.
        seed: of noise, choice of images, initial weights and training.
        run: where stages are saved; nothing is, without it.
        processes: those that share the work.
        classifies: whether its outputs are the data's classes; the features of any network will do for other data.

    Raises:
        DeepcorrectError: the network does not take such images, or has fewer outputs than there are classes to be told apart.
    """

    model: nn.Module
    data: Dataset
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "fp32"
    seed: int = 0
    run: Run | None = None
    reporter: Reporter = field(default_factory=Silent)
    processes: Processes = field(default_factory=Processes)
    classifies: bool = True

    def __post_init__(self) -> None:
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model.eval()
        outputs = count_outputs(self.model, self.data, self.example)
        if self.classifies and outputs < len(self.data.classes):
            raise DeepcorrectError(
                f"{self.data.name} has {len(self.data.classes)} classes, the network only {outputs} outputs: label "
                f"{outputs} ({readable(self.data.classes[outputs])}) lies outside; use data of the network's own classes"
            )

    @property
    def example(self) -> Tensor:
        """Two test images, (2, C, H, W) in [0, 1], on the device."""
        return example_of(self.data).to(self.device)

    @property
    def layers(self) -> list[Layer]:
        """The network's layers in forward order."""
        return find_layers(self.model, self.example)

    def data_fingerprint(self) -> str:
        """That of the data, which is computed once."""
        held, known = getattr(self, "_hashed", (None, ""))
        if held is not self.data:
            known = self.data.fingerprint()
            self._hashed = self.data, known
        return known


def example_of(data: Dataset) -> Tensor:
    """Two test images, (2, C, H, W) in [0, 1]."""
    return next(batches(data.test.take(torch.arange(2)), 2, torch.device("cpu"))).images


def count_outputs(model: nn.Module, data: Dataset, example: Tensor) -> int:
    """How many logits the network gives an image.

    Raises:
        DeepcorrectError: it does not take such images, or returns no logits.
    """
    shape = "x".join(str(size) for size in example.shape[1:])
    try:
        with torch.no_grad():
            logits = model(example)
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DeepcorrectError(
            f"the network does not take the {shape} images of {data.name}: {reason}; "
            "bring a folder's images to its size with --size (and --grey)"
        ) from None
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise DeepcorrectError("the network must return one tensor of logits, (B, classes)")
    return logits.shape[1]


def measure(
    job: Job, name: str, distortion: Distortion, levels: Sequence[float], trainable: int, *, of: Traits | None = None
) -> Record:
    """Evaluate the network as it now stands on the test images (clean and at every level); a run keeps the answers.

    Args:
        of: what decides the answers, for the run; the network's own traits without it.

    Raises:
        DeepcorrectError: the run holds answers of something else under this name.
    """
    if job.run is not None:
        job.run.claim(answers_stages(job, name, [(distortion, levels)], of))
    job.reporter.stage(f"evaluate {name} under {distortion.name}", len(job.data.test) * (len(levels) + 1))

    def tell(level: float, top1: float) -> None:
        if level == 0:
            job.reporter.tell(f"{name}: clean top-1 {top1:.4f}{_suspicion(top1, job.data.test.labels)}")

    found = evaluate(
        job.model, job.data.test, distortion, levels, classes=len(job.data.classes),
        seed=job.seed, device=job.device, precision=job.precision, processes=job.processes,
        progress=job.reporter.advance, tell=tell,
    )  # fmt: skip
    if job.run is not None:
        job.run.write_json("classes.json", {"classes": [readable(name) for name in job.data.classes]})
        keep_answers(job.run.path, readable(distortion.name), readable(name), found.answers, found.levels)
    return _record(job, name, found, trainable)


def _suspicion(top1: float, labels: Tensor) -> str:
    """A warning where the clean accuracy is no better than that of one answer for all images, within three standard errors."""
    chance = float(torch.bincount(labels).max()) / len(labels)
    if top1 > chance + 3 * math.sqrt(chance * (1 - chance) / len(labels)):
        return ""
    return f"; warning: one answer for all gives {chance:.4f}; are preprocessing and classes of the network those of the data?"


def _record(job: Job, name: str, found: Evaluation, trainable: int) -> Record:
    return Record(
        name=readable(name),
        distortion=readable(found.distortion),
        levels=found.levels,
        top1=found.top1,
        top5=found.top5,
        mean_top1=found.mean_top1,
        mean_top5=found.mean_top5,
        per_class=tuple(tuple(None if math.isnan(share) else share for share in level) for level in found.per_class),
        trainable_parameters=trainable,
        multiply_accumulates=multiply_accumulates(job.model, job.example),
        images=found.images,
        seed=job.seed,
        precision=job.precision,
    )
