"""The network as it is: assessed, trained on clean images, given a new head. Each is a stage that a run keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from pydantic import ValidationError
from torch import nn

from deepcorrect.adapters.correction import Correction
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json, round_to_half, write_tensors
from deepcorrect.distortions.base import Distortion
from deepcorrect.evaluation.cost import count_parameters
from deepcorrect.evaluation.features import features
from deepcorrect.models.fingerprint import fingerprint
from deepcorrect.models.head import fit_head, last_dense
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.measure import matched, measure_each
from deepcorrect.pipeline.traits import answers_stages, traits_of
from deepcorrect.runs.results import Record, Records
from deepcorrect.runs.stages import Ladders, Traits
from deepcorrect.training.loop import train
from deepcorrect.training.recipes import Recipe
from deepcorrect.training.teacher import Teacher

BASELINE, TRAINING, TRAINED = "baseline", "training", "trained network"
"""Stages of a run; the first is also what the network as it is is called."""


def assess(job: Job, ladders: Ladders) -> Records:
    """How bad is it: the network as it is, under each distortion."""
    ladders = matched(job, ladders)
    if job.run is not None:
        job.run.claim(answers_stages(job, BASELINE, ladders))
    return assess_as(job, ladders)


def assess_as(job: Job, ladders: Ladders, of: Traits | None = None) -> Records:
    """Assess a network that is known to a run by ``of``, its own traits without it."""
    total = count_parameters(job.model.parameters())
    return measure_each(job, BASELINE, ladders, total, of=of, kind="baseline")


def measure_baseline(job: Job, distortion: Distortion, levels: Sequence[float]) -> list[Record]:
    """The network as it is, from the run folder if it has it: one record, or one for each member of a mixture."""
    saved = job.run.file("baseline.json") if job.run is not None else None
    known = job.processes.agreed(read_json(saved) if saved and saved.exists() else None)
    if known is not None:
        try:
            return Records(map(Record.model_validate, known.get("records", [known])))
        except ValidationError as error:
            raise DeepcorrectError(f"{saved}: not a record ({error.error_count()} fields are wrong); delete it") from None
    records = assess_as(job, [(distortion, levels)])
    if job.run is not None:
        measured = [record.model_dump(mode="json") for record in records]
        job.run.write_json("baseline.json", measured[0] if len(measured) == 1 else {"records": measured})
    return records


def train_baseline(job: Job, recipe: Recipe, ladders: Ladders, *, half: bool = False) -> list[Record]:
    """Train the whole network on clean images, then assess it. If that fails, the network is left as it was."""
    job.require_training()
    of: Traits = {}
    if job.run is not None:
        of = training_traits("train-baseline", traits_of(job) | {"network": _begun_from(job)}, recipe, half, {})
        job.run.claim({TRAINING: of} | answers_stages(job, BASELINE, ladders, of))
    with _restored_on_failure(job.model):
        train_in_job(job, job.model, recipe, None, ())
        if half:
            round_to_half(job.model)
        if job.run is not None:
            job.run.claim({TRAINED: {"network": fingerprint(job.model), "begun": of["network"]}})
            write_tensors(job.run.file("model.safetensors"), job.model.state_dict(), half=half)
        return assess_as(job, ladders, of)


def _begun_from(job: Job) -> object:
    """The network that the run's training begins from; the trained one stands for it, so that a call can be repeated."""
    assert job.run is not None
    found = fingerprint(job.model)
    ended = job.run.claimed(TRAINED)
    return ended["begun"] if ended.get("network") == found else found


@contextmanager
def _restored_on_failure(model: nn.Module) -> Iterator[None]:
    """Give the network its parameters and buffers back if anything is raised."""
    before = [(value, value.detach().clone()) for value in (*model.parameters(), *model.buffers())]
    try:
        yield
    except BaseException:
        with torch.no_grad():
            for value, old in before:
                value.copy_(old)
        model.zero_grad(set_to_none=True)
        model.eval()
        raise


def train_head(job: Job, ladders: Ladders, *, half: bool = False) -> list[Record]:
    """Fit the network's last layer to the training images, all others as they are, then assess it.

    If that fails, the network is left as it was.
    """
    job.require_training()
    name = last_dense(job.layers)
    head = job.model.get_submodule(name)
    assert isinstance(head, nn.Linear)
    with _restored_on_failure(head):
        return _train_head(job, name, head, ladders, half)


def _train_head(job: Job, name: str, head: nn.Linear, ladders: Ladders, half: bool) -> list[Record]:
    of: Traits = {}
    if job.run is not None:
        nn.init.zeros_(head.weight)  # what the head was decides nothing, it is fitted anew
        nn.init.zeros_(head.bias)
        of = {"task": "train-head", **traits_of(job), "head": name, "half": half}
        job.run.claim({TRAINING: of} | answers_stages(job, BASELINE, ladders, of))
    job.reporter.stage("features", len(job.data.train) + len(job.data.validation))
    train_set, validation = (
        features(job.model, name, images, device=job.device, precision=job.precision, progress=job.reporter.advance)
        for images in (job.data.train, job.data.validation)
    )
    accuracy = fit_head(train_set, job.data.train.labels, validation, job.data.validation.labels, head)
    job.reporter.tell(f"head {name}: validation {accuracy:.4f}")
    if half:
        round_to_half(job.model)
    if job.run is not None:
        write_tensors(job.run.file("model.safetensors"), job.model.state_dict(), half=half)
    return assess_as(job, ladders, of)


def training_traits(task: str, measured: Traits, recipe: Recipe, half: bool, plan: Traits) -> Traits:
    """What decides the outcome of a training."""
    return {"task": task, **measured, **plan, "recipe": recipe.model_dump(), "half": half}


def train_in_job(
    job: Job,
    trained: nn.Module,
    recipe: Recipe,
    distortion: Distortion | None,
    levels: Sequence[float],
    teacher: Teacher | None = None,
) -> None:
    """Train a network or its correction, continued from the run folder; the curves of validation are kept there."""
    job.reporter.stage("train", recipe.images_an_epoch(len(job.data.train)) * recipe.epochs)
    correction = trained if isinstance(trained, Correction) else None
    history = train(
        job.model, trained, job.data, recipe, distortion=distortion, levels=levels, seed=job.seed, device=job.device,
        first_epoch_rate=recipe.warm_up(len(correction.corrected_layers)) if correction else None,
        penalized=correction.penalized if correction else (),
        teacher=teacher,
        checkpoint=job.run.file("checkpoint.pt") if job.run else None,
        processes=job.processes,
        reporter=job.reporter,
        task=job.task,
    )  # fmt: skip
    if job.run is not None:
        job.run.write_json("metrics.json", {"epochs": [metrics.as_json() for metrics in history]})
