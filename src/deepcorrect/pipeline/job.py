"""A network with the images, device and seed that it is measured with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepcorrect.base.device import Precision, device_of, laid_out
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.processes import Processes
from deepcorrect.base.progress import Reporter, Silent
from deepcorrect.base.seeding import own_random_state
from deepcorrect.datasets.batches import batches
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.images import Images
from deepcorrect.models.admission import ask, plain, require_single_precision, try_channels_last
from deepcorrect.models.layers import Layer, find_layers
from deepcorrect.runs.results import Run
from deepcorrect.tasks.base import Task
from deepcorrect.tasks.classification import CLASSIFICATION


@dataclass(init=False, eq=False, repr=False)
class Job:
    """A network and what it is measured on.

    Attributes:
        model: takes images (B, C, H, W) in [0, 1], in whatever precision it computes in, returns the task's outputs (logits).
            It is moved to ``device``, put into eval mode, and laid out channels last in memory where it then answers as before;
            of a compiled network, the one inside is taken.
        data: training, validation and test images.
        device: of evaluation, ranking and training; where the network is, if it is not given.
        precision: of evaluation and ranking; a recipe has its own precision.
        seed: of noise, choice of images, initial weights and training.
        run: where stages are saved; nothing is, without it.
        processes: those that share the work.
        classifies: whether its outputs are the data's classes; the features of any network will do for other data.
        task: what the network is for; what its outputs and the labels mean.

    Raises:
        DeepcorrectError: the network does not take such images or does not answer them with the task's outputs, its layers
            cannot be reached, or its outputs cannot be the data's classes (see ``Dataset.require_outputs``). It is then left as
            it was.
    """

    model: nn.Module
    data: Dataset
    device: torch.device
    precision: Precision
    seed: int
    run: Run | None
    reporter: Reporter
    processes: Processes
    classifies: bool
    task: Task

    def __init__(
        self,
        model: nn.Module,
        data: Dataset,
        device: torch.device | str | None = None,
        precision: Precision = "fp32",
        seed: int = 0,
        run: Run | None = None,
        reporter: Reporter | None = None,
        processes: Processes | None = None,
        classifies: bool = True,
        task: Task = CLASSIFICATION,
    ) -> None:
        self.model = plain(model)
        self.data = data
        self.device = device_of(self.model, device)
        self.precision = precision
        self.seed = seed
        self.run = run
        self.reporter = reporter or Silent()
        self.processes = processes or Processes()
        self.classifies = classifies
        self.task = task
        self._hashed: tuple[Dataset, str] | None = None
        modes = {module: module.training for module in self.model.modules()}
        before = device_of(self.model)
        try:
            self._prepare()
        except BaseException:
            self.model.to(before)
            for module, training in modes.items():
                module.training = training
            raise

    def __repr__(self) -> str:
        options = f"device={str(self.device)!r}, precision={self.precision!r}, seed={self.seed}"
        kept = f", run={str(self.run.path)!r}" if self.run is not None else ""
        return f"Job({type(self.model).__name__}, {self.data!r}, {options}{kept})"

    def _prepare(self) -> None:
        """Move the network and see what it answers; no random number that it draws is missing to others."""
        try:
            self.model.to(self.device).eval()
        except NotImplementedError as error:  # of what torch.export gives as a module
            raise DeepcorrectError(
                f"the network cannot be put into eval mode ({error}); save an exported program by torch.export.save and load "
                "that file as a network"
            ) from None
        example = self.example
        with own_random_state(self.seed):
            outputs = ask(self.model, example, self.data.name, self.task)
            classes = self.task.classes_told_apart(outputs) if self.classifies else None
            if classes is not None:
                self.data.require_outputs(classes)
            try_channels_last(self.model, example, outputs, self.task)

    def require_training(self) -> None:
        """Refuse to train a correction without labelled images, or on a network in another precision than float32.

        Raises:
            DeepcorrectError: what is missing, or how to convert the network.
        """
        self.data.require_training()
        require_single_precision(self.model)

    @property
    def example(self) -> Tensor:
        """Two test images, (2, C, H, W) in [0, 1], as the network takes them: its device, precision and memory layout."""
        return laid_out(example_of(self.data).to(self.device), self.model)

    @property
    def layers(self) -> list[Layer]:
        """The network's layers in forward order."""
        return find_layers(self.model, self.example)

    def data_fingerprint(self) -> str:
        """That of the data, which is computed once."""
        if self._hashed is None or self._hashed[0] is not self.data:
            self._hashed = self.data, self.data.fingerprint()
        return self._hashed[1]


def example_of(data: Dataset) -> Tensor:
    """Two test images, (2, C, H, W) in [0, 1]; of a single one, it twice."""
    return first_images(data.test)


def first_images(images: Images) -> Tensor:
    """The first two, (2, C, H, W) in [0, 1]; of a single one, it twice."""
    return next(batches(images.take(torch.arange(2) % len(images)), 2, torch.device("cpu"))).images


def count_outputs(model: nn.Module, data: Dataset, example: Tensor) -> int:
    """How many logits the network, in eval mode, gives an image.

    Raises:
        DeepcorrectError: it does not take such images, or returns no logits.
    """
    return ask(model, example, data.name).shape[1]
