"""The whole job: train a baseline, assess it, rank its filters, correct or fine-tune it, measure what came of it.

Given a job with a run folder, each finished stage is saved there and a stage that is saved already is skipped, so that the same
call continues an interrupted run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

import torch
from torch import nn

from deepcorrect import architecture, penultimate
from deepcorrect.correction import Correction, Plan, attach, require_bare
from deepcorrect.cost import count_parameters
from deepcorrect.distillation import Teacher
from deepcorrect.distortions import Distortion
from deepcorrect.errors import DeepcorrectError
from deepcorrect.files import read_json, round_to_half, write_tensors
from deepcorrect.heads import features, fit_head, last_dense
from deepcorrect.job import Job, measure
from deepcorrect.layers import Layer, convolutions, named
from deepcorrect.rank import RankingOptions, rank
from deepcorrect.ranking import Ranking, choose_globally, choose_locally, choose_randomly, count_of_share
from deepcorrect.recipes import Recipe
from deepcorrect.results import Record
from deepcorrect.samples import Samples
from deepcorrect.training import train
from deepcorrect.units import unit_shape


def assess(job: Job, ladders: Sequence[tuple[Distortion, Sequence[float]]]) -> list[Record]:
    """How bad is it: the network as it is, under each distortion."""
    total = count_parameters(job.model.parameters())
    return [measure(job, "baseline", distortion, levels, total) for distortion, levels in ladders]


@dataclass(frozen=True)
class CorrectionOptions:
    """What ``correct`` builds.

    Attributes:
        layers: names of the corrected layers.
        shares: share of the filters of each, in (0, 1].
        ranking: the most susceptible of each layer by itself, as many of all layers together, or random ones of each layer.
        ranked: how the filters are ranked.
        unit, batch_norm: shape of the correction units.
        retrained: layers that are also trained on (the last three in the paper's ``c`` variants).
    """

    layers: tuple[str, ...]
    shares: tuple[float, ...]
    ranking: Literal["local", "global", "random"] = "local"
    ranked: RankingOptions = field(default_factory=RankingOptions)
    unit: str = "cifar"
    batch_norm: bool = True
    retrained: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As in the paper's tables: ``deepcorr-3``, with a c where layers are trained on; random choices are called so."""
        return f"deepcorr-{len(self.layers)}{'c' if self.retrained else ''}{'-random' if self.ranking == 'random' else ''}"


def check_options(job: Job, options: CorrectionOptions) -> None:
    """Refuse options that the network cannot fulfil, before any work is done.

    Raises:
        DeepcorrectError: a correction that is there already, an unknown layer or unit, a share outside (0, 1] or of no
            filter, a layer both corrected and retrained.
    """
    require_bare(job.model)
    if len(options.layers) != len(options.shares):
        raise DeepcorrectError(f"{len(options.shares)} shares for {len(options.layers)} layers")
    layers = convolutions(job.layers)
    for layer, share in zip(options.layers, options.shares, strict=True):
        count_of_share(share, named(layers, layer).filters, layer)
    unit_shape(options.unit, 1, 1)
    both = set(options.layers) & set(options.retrained)
    if both:
        raise DeepcorrectError(f"layer {min(both)} cannot be corrected and retrained at once; lower --layers or --retrain-last")


def correct(
    job: Job,
    distortion: Distortion,
    levels: Sequence[float],
    options: CorrectionOptions,
    recipe: Recipe,
    *,
    ranking: Ranking | None = None,
    half: bool = False,
) -> tuple[Correction, list[Record]]:
    """Rank (unless a ``ranking`` is given, or none is needed), choose, attach, train and measure.

    Returns:
        The correction, left attached, and the records without and with it.
    """
    job.data.require_training()
    check_options(job, options)
    ranked = [layer for layer in convolutions(job.layers) if layer.name in options.layers]
    shares = dict(zip(options.layers, options.shares, strict=True))
    baseline = _measure_baseline(job, distortion, levels)
    if options.ranking == "random":
        filters = choose_randomly({layer.name: layer.filters for layer in ranked}, shares, job.seed)
    else:
        if ranking is None:
            ranking = rank(job, distortion, levels, ranked, options.ranked, shares)
        else:
            check_ranking(ranking, distortion, ranked)
            if job.run is not None:
                ranking.save(job.run.file("ranking.json"))
        filters = (choose_locally if options.ranking == "local" else choose_globally)(ranking, shares)
    plan = Plan(
        distortion=distortion.name, filters=filters,
        unit=options.unit, batch_norm=options.batch_norm, retrained=options.retrained,
    )  # fmt: skip
    correction, record = train_and_measure(job, options.name, distortion, levels, plan, recipe, half=half)
    return correction, [baseline, record]


def finetune(
    job: Job,
    distortion: Distortion,
    levels: Sequence[float],
    layers: Sequence[str],
    recipe: Recipe,
    *,
    half: bool = False,
) -> tuple[Correction, list[Record]]:
    """Finetune-k, the alternative: train copies of whole layers by the same loop (section 5.1.1)."""
    job.data.require_training()
    require_bare(job.model)
    baseline = _measure_baseline(job, distortion, levels)
    plan = Plan(distortion=distortion.name, retrained=tuple(layers))
    name = f"finetune-{len(layers)}"
    correction, record = train_and_measure(job, name, distortion, levels, plan, recipe, half=half)
    return correction, [baseline, record]


def train_and_measure(
    job: Job, name: str, distortion: Distortion, levels: Sequence[float], plan: Plan, recipe: Recipe, *, half: bool
) -> tuple[Correction, Record]:
    """Attach what a plan says, train it, measure it on the test images, and leave it attached.

    Args:
        name: of the record.
        half: round the trained weights to half precision, measure and save them so.
    """
    samples = Samples(job.data, distortion, levels, seed=job.seed, device=job.device)
    samples.ask("baseline", job.model)
    penultimate.keep_penultimate(job, distortion, levels, "baseline")
    layers = job.layers
    last = layers[-1].name
    if job.run is not None:
        job.run.write_json(architecture.FILE, architecture.describe(layers, plan).model_dump(mode="json"))
    correction = attach(job.model, plan, job.example, seed=job.seed, identity=recipe.identity)
    correction.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    teacher = Teacher(job.model, correction, last) if recipe.distill or recipe.match else None
    _train(job, correction, recipe, distortion, levels, teacher)
    if half:
        round_to_half(correction)
    if job.run is not None:
        correction.save(job.run.file("correction.safetensors"), half=half)
    samples.ask(name, job.model)
    penultimate.keep_penultimate(job, distortion, levels, name)
    record = measure(job, name, distortion, levels, count_parameters(correction.parameters()))
    if job.run is not None:
        job.run.write_json("samples.json", samples.as_json())
    return correction, record


def train_baseline(
    job: Job, recipe: Recipe, ladders: Sequence[tuple[Distortion, Sequence[float]]], *, half: bool = False
) -> list[Record]:
    """Train the whole network on clean images, then assess it."""
    job.data.require_training()
    _train(job, job.model, recipe, None, ())
    if half:
        round_to_half(job.model)
    if job.run is not None:
        write_tensors(job.run.file("model.safetensors"), job.model.state_dict(), half=half)
    return assess(job, ladders)


def train_head(job: Job, ladders: Sequence[tuple[Distortion, Sequence[float]]], *, half: bool = False) -> list[Record]:
    """Fit the network's last layer to the training images, all others as they are, then assess it."""
    job.data.require_training()
    name = last_dense(job.layers)
    job.reporter.stage("features", len(job.data.train) + len(job.data.validation))
    train_set, validation = (
        features(job.model, name, images, device=job.device, precision=job.precision, progress=job.reporter.advance)
        for images in (job.data.train, job.data.validation)
    )
    head = job.model.get_submodule(name)
    assert isinstance(head, nn.Linear)
    accuracy = fit_head(train_set, job.data.train.labels, validation, job.data.validation.labels, head)
    job.reporter.tell(f"head {name}: validation {accuracy:.4f}")
    if half:
        round_to_half(job.model)
    if job.run is not None:
        write_tensors(job.run.file("model.safetensors"), job.model.state_dict(), half=half)
    return assess(job, ladders)


def check_ranking(ranking: Ranking, distortion: Distortion, layers: Sequence[Layer]) -> None:
    """Refuse a ranking that was not made for this distortion and these layers.

    Raises:
        DeepcorrectError: the message says what differs.
    """
    if ranking.distortion != distortion.name:
        raise DeepcorrectError(f"--ranked-by: ranked under {ranking.distortion}, not {distortion.name}")
    for layer in layers:
        ranked = len(ranking.scores.get(layer.name, ()))
        if ranked != layer.filters:
            raise DeepcorrectError(f"--ranked-by: it ranks {ranked} filters of layer {layer.name}, which has {layer.filters}")


def _measure_baseline(job: Job, distortion: Distortion, levels: Sequence[float]) -> Record:
    """The network as it is, from the run folder if it has it."""
    saved = job.run.file("baseline.json") if job.run is not None else None
    known = job.processes.agreed(read_json(saved) if saved and saved.exists() else None)
    if known is not None:
        return Record.model_validate(known)
    (record,) = assess(job, [(distortion, levels)])
    if job.run is not None:
        job.run.write_json("baseline.json", record.model_dump(mode="json"))
    return record


def _train(
    job: Job,
    trained: nn.Module,
    recipe: Recipe,
    distortion: Distortion | None,
    levels: Sequence[float],
    teacher: Teacher | None = None,
) -> None:
    job.reporter.stage("train", recipe.images_an_epoch(len(job.data.train)) * recipe.epochs)
    correction = trained if isinstance(trained, Correction) else None
    history = train(
        job.model, trained, job.data, recipe, distortion=distortion, levels=levels, seed=job.seed, device=job.device,
        corrected_layers=len(correction.corrected_layers) if correction else 0,
        penalized=correction.penalized if correction else (),
        teacher=teacher,
        checkpoint=job.run.file("checkpoint.pt") if job.run else None,
        processes=job.processes,
        reporter=job.reporter,
    )  # fmt: skip
    if job.run is not None:
        job.run.write_json("metrics.json", {"epochs": [asdict(metrics) for metrics in history]})
