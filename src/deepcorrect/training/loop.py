"""One training loop: for a baseline, for Finetune-k, for correction units and the ``c`` variants (Equation 5, section 5.1).

What is trained is a module (a network, or the parts that a correction owns); what is run is the network around it. Only the
trained module is put into training mode, so frozen batch normalisations keep their statistics.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepcorrect.base.device import autocast, device_of, laid_out
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import written_aside
from deepcorrect.base.formats import stamped, unstamped
from deepcorrect.base.processes import Processes
from deepcorrect.base.progress import EpochMetrics, Reporter, Silent
from deepcorrect.base.seeding import Use, generator, own_random_state
from deepcorrect.base.words import argument
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.images import Images
from deepcorrect.distortions.base import Distortion
from deepcorrect.evaluation.sweep import evaluate
from deepcorrect.tasks.base import Task
from deepcorrect.tasks.classification import CLASSIFICATION
from deepcorrect.training.batches import TrainingBatch, TrainingBatches
from deepcorrect.training.optimizers import Optimizer
from deepcorrect.training.recipes import Recipe
from deepcorrect.training.teacher import Teacher

MEMBERS_IN_FULL = 4
"""Up to so many members of a mixture are each validated on as many images as a single distortion."""


def train(
    network: nn.Module,
    trained: nn.Module,
    data: Dataset,
    recipe: Recipe,
    *,
    distortion: Distortion | None,
    levels: Sequence[float],
    seed: int = 0,
    device: torch.device | str | None = None,
    first_epoch_rate: float | None = None,
    penalized: Sequence[Tensor] = (),
    teacher: Teacher | None = None,
    checkpoint: Path | None = None,
    processes: Processes | None = None,
    reporter: Reporter | None = None,
    task: Task = CLASSIFICATION,
) -> list[EpochMetrics]:
    """Train in place and leave the weights of the epoch that was best on the validation images.

    Args:
        network: takes images (B, C, H, W) in [0, 1], returns the task's outputs: logits (B, classes) of a classifier, or in
            training mode several outputs of which one is called ``logits`` and trained on.
        trained: the module whose parameters are trained, the network itself or a part of it.
        data: its training images are trained on, its validation images choose the epoch. Training images need labels only if
            the recipe gives the labels' loss a weight (``distill`` below 1). Under a mixture the epoch is chosen by the mean
            over the members, each measured by itself; of more than four, fewer images are used, so that this takes no longer.
        recipe: epochs, rates, batch size, augmentation, precision.
        distortion: what the recipe's share of each batch suffers; None trains on clean images.
        levels: severities above 0 to draw from, and to validate at (with the clean level); none without a distortion.
        seed: of the order of images, augmentation, levels and noise, and of what the network draws by itself.
        device: where the network is; that of its first parameter if it is not given.
        first_epoch_rate: a constant learning rate of the first epoch, as a warm-up; the recipe's own without it.
        penalized: weights under the recipe's l1 penalty.
        teacher: needed by a recipe that distils or matches features.
        checkpoint: file that is written after every epoch and continued from when it is there.
        processes: those that share every batch; the first alone has the checkpoint.
        reporter: told of every batch and epoch.
        task: what outputs and labels mean.

    Returns:
        One record an epoch, those of a checkpoint included.

    Raises:
        DeepcorrectError: the loss is not finite, the network returns no outputs of the task, labels are missing, or the
            checkpoint is unsound.
        ValueError: the recipe distils and there is no teacher.
    """
    if (recipe.distill or recipe.match) and teacher is None:
        raise ValueError("a recipe with distill or match needs a teacher")
    if recipe.distill < 1:
        task.check_labels(data.train.labels)
    task.check_labels(data.validation.labels)
    device, processes, reporter = device_of(network, device), processes or Processes(), reporter or Silent()
    source = TrainingBatches(
        data.train, recipe, distortion=distortion, levels=levels, seed=seed, device=device, processes=processes
    )  # fmt: skip
    optimizer = Optimizer(trained.parameters(), recipe)
    state = _State.restore(checkpoint, trained, optimizer, processes)
    validation = validation_images(data, recipe, distortion, levels, seed)
    reporter.advance(len(state.history) * recipe.images_an_epoch(len(data.train)))
    for epoch in range(len(state.history), recipe.epochs):
        started = time.perf_counter()
        network.eval()
        trained.train()
        losses = torch.zeros((), device=device)
        seen = 0
        stream = generator(seed, Use.NETWORK, epoch, processes.rank).initial_seed()
        with teacher.attending() if teacher else nullcontext(), own_random_state(stream):
            for step, batch in enumerate(source.epoch(epoch)):
                batch = batch._replace(images=laid_out(batch.images, network), clean=laid_out(batch.clean, network))
                position = epoch * source.steps_per_epoch + step
                rate = recipe.rate_at(position, source.steps_per_epoch)
                if epoch == 0 and first_epoch_rate is not None:
                    rate = first_epoch_rate
                with autocast(device, recipe.precision):
                    loss = _loss(task, network, batch, recipe, teacher)
                _require_finite(loss, position, rate)
                if recipe.l1 and penalized:
                    loss = loss + recipe.l1 * torch.stack([weight.abs().sum() for weight in penalized]).sum()
                (loss * batch.share).backward()  # type: ignore[no-untyped-call]
                processes.add_gradients(trained.parameters())
                optimizer.step(rate)
                losses += loss.detach() * len(batch.labels)
                seen += len(batch.labels)
                reporter.advance(len(batch.labels) * processes.count)
        processes.average(trained)
        mean = processes.total(torch.stack([losses, torch.tensor(float(seen), device=device)]))
        seconds = time.perf_counter() - started
        measured = evaluate(
            network, validation, distortion or _IDENTITY, levels if distortion else (),
            classes=len(data.classes), seed=seed, device=device, precision=recipe.precision, processes=processes, task=task,
        )  # fmt: skip
        loss_an_image, images = float(mean[0] / mean[1]), int(mean[1])
        metric = task.metrics[0]
        metrics = EpochMetrics(
            epoch + 1, position + 1, loss_an_image, rate, measured.metrics[metric], images / seconds, seconds,
            "agreement" if "validation" in data.self_labelled else metric,
            {member.distortion: member.metrics[metric] for member in measured.members},
        )  # fmt: skip
        state.add(metrics, trained)
        if checkpoint is not None:
            state.save(checkpoint, trained, optimizer)
        reporter.epochs(state.history)
    trained.load_state_dict(state.best)
    network.eval()
    return state.history


def validation_images(
    data: Dataset, recipe: Recipe, distortion: Distortion | None, levels: Sequence[float], seed: int
) -> Images:
    """Those that an epoch is validated on: as many as the recipe says, drawn by seed evenly over the classes.

    The more members above four a mixture has, the fewer: validation takes at most four times as long as under one distortion.
    """
    count = len(data.validation) if recipe.validate_images is None else min(recipe.validate_images, len(data.validation))
    members = len(distortion.parts(levels)) if distortion is not None else 1
    if members > MEMBERS_IN_FULL:
        count = max(1, -(-count * MEMBERS_IN_FULL // members))
    return data.validation.balanced(count, seed) if count < len(data.validation) else data.validation


_IDENTITY = Distortion("none", lambda images, severity: images, {})


def _loss(task: Task, network: nn.Module, batch: TrainingBatch, recipe: Recipe, teacher: Teacher | None) -> Tensor:
    """The task's loss, mixed with what the teacher says; labels that have no weight are not read."""
    if teacher is None:
        outputs = task.outputs(network(batch.images)).float()
        return task.loss(outputs, batch.labels, label_smoothing=recipe.label_smoothing)
    lesson = teacher.teach(batch.images, batch.clean)
    taught = recipe.distill * lesson.divergence, recipe.match * lesson.features
    if recipe.distill == 1:
        return taught[0] + taught[1]
    labelled = task.loss(lesson.outputs, batch.labels, label_smoothing=recipe.label_smoothing)
    return (1 - recipe.distill) * labelled + taught[0] + taught[1]


def _require_finite(loss: Tensor, step: int, rate: float) -> None:
    if not math.isfinite(loss.item()):
        raise DeepcorrectError(
            f"the loss is {loss.item()} at step {step} with learning rate {rate:.4g}; try a lower {argument('rate')} or "
            f"{argument('precision', 'fp32')}, with another {argument('out')}"
        )


@dataclass
class _State:
    """What a checkpoint holds beside the trained module and the optimizer."""

    history: list[EpochMetrics]
    best: dict[str, Tensor]

    @classmethod
    def restore(cls, path: Path | None, trained: nn.Module, optimizer: Optimizer, processes: Processes) -> _State:
        saved: dict[str, Any] | None = None
        if path is not None and path.exists():
            try:
                saved = torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:
                raise DeepcorrectError(f"{path}: not a sound checkpoint ({error}); delete it to start again") from error
            saved = unstamped(path, saved or {})
        saved = processes.agreed(saved)
        if saved is None:
            return cls([], {})
        trained.load_state_dict(saved["trained"])
        optimizer.load_state_dict(saved["optimizer"])
        return cls([EpochMetrics.from_json(entry) for entry in saved["history"]], saved["best"])

    def add(self, metrics: EpochMetrics, trained: nn.Module) -> None:
        if not self.history or metrics.validation_mean >= max(past.validation_mean for past in self.history):
            self.best = {name: value.detach().clone() for name, value in trained.state_dict().items()}
        self.history.append(metrics)

    def save(self, path: Path, trained: nn.Module, optimizer: Optimizer) -> None:
        state = {
            "trained": trained.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": [metrics.as_json() for metrics in self.history],
            "best": self.best,
        }
        with written_aside(path) as partial, partial.open("wb") as file:  # of a file, torch tells why it cannot be written
            torch.save(stamped(state), file)
