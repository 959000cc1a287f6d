"""The whole job: train a baseline, assess it, rank its filters, correct or fine-tune it, measure what came of it.

Given a job with a run folder, each finished stage is saved there and a stage that is saved already is skipped, so that the same
call continues an interrupted run. What a stage is of is compared before any work is done (see ``deepcorrect.runs.stages``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from deepcorrect.adapters.attach import attach, require_bare
from deepcorrect.adapters.correction import Correction
from deepcorrect.adapters.file import TrainedOn
from deepcorrect.adapters.plan import Plan
from deepcorrect.adapters.units import unit_shape
from deepcorrect.base.device import lay_out, layout_of
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import round_to_half
from deepcorrect.base.words import argument
from deepcorrect.distortions.base import Distortion
from deepcorrect.evaluation.cost import count_parameters
from deepcorrect.models.fingerprint import fingerprint
from deepcorrect.models.layers import convolutions, named
from deepcorrect.pipeline.baselines import (
    BASELINE,
    TRAINING,
    measure_baseline,
    train_in_job,
    training_traits,
)
from deepcorrect.pipeline.given_ranking import check_ranking
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.measure import measure_each
from deepcorrect.pipeline.penultimate import keep_penultimate
from deepcorrect.pipeline.rank import RankingOptions, rank, ranking_traits
from deepcorrect.pipeline.traits import answers_stages, traits_of
from deepcorrect.ranking.result import Ranking, choose_globally, choose_locally, choose_randomly, count_of_share
from deepcorrect.runs import architecture
from deepcorrect.runs.kinds import kind_of_plan
from deepcorrect.runs.results import Record, Records
from deepcorrect.runs.samples import Samples
from deepcorrect.runs.stages import Traits, digest
from deepcorrect.training.recipes import Recipe
from deepcorrect.training.teacher import Teacher


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
            filter, a layer both corrected and retrained, or one that cannot be corrected.
    """
    require_bare(job.model)
    options.ranked.score_of(job.task)
    if len(options.layers) != len(options.shares):
        raise DeepcorrectError(f"{len(options.shares)} shares for {len(options.layers)} layers")
    layers = convolutions(job.layers)
    counts = {
        layer: count_of_share(share, named(layers, layer).filters, layer)
        for layer, share in zip(options.layers, options.shares, strict=True)
    }
    unit_shape(options.unit, 1, 1)
    both = set(options.layers) & set(options.retrained)
    if both:
        raise DeepcorrectError(
            f"layer {min(both)} cannot be corrected and retrained at once; leave it out of {argument('layers')} or of "
            f"{argument('retrained', option='retrain-last')}"
        )
    _try_on(job, _plan(options, "none", {layer: tuple(range(count)) for layer, count in counts.items()}))


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
        The correction, left attached, and the records without and with it; of a mixture, under each member.
    """
    job.require_training()
    distortion.require_function()
    check_options(job, options)
    ranked = [layer for layer in convolutions(job.layers) if layer.name in options.layers]
    shares = dict(zip(options.layers, options.shares, strict=True))
    if options.ranking == "random":
        ranking = None
    elif ranking is not None:
        check_ranking(ranking, distortion, ranked, levels=levels, network=fingerprint(job.model), tell=job.reporter.tell)
    of: Traits = {}
    if job.run is not None:
        measured = traits_of(job, distortion, levels)
        stages: dict[str, Traits] = {BASELINE: measured}
        if ranking is not None:
            stages["ranking"] = {"given ranking": digest(ranking.as_json())}
        elif options.ranking != "random":
            stages["ranking"] = measured | ranking_traits(ranked, options.ranked, shares)
        chosen = {"layers": options.layers, "shares": options.shares, "choice": options.ranking}
        built = {"unit": options.unit, "batch_norm": options.batch_norm, "retrained": options.retrained, **distortion.traits()}
        of = training_traits("correct", measured, recipe, half, {**chosen, "ranking": stages.get("ranking"), **built})
        job.run.claim(stages | _trained_stages(job, options.name, distortion, levels, measured, of))
    baseline = measure_baseline(job, distortion, levels)
    if options.ranking == "random":
        filters = choose_randomly({layer.name: layer.filters for layer in ranked}, shares, job.seed)
    else:
        if ranking is None:
            ranking = rank(job, distortion, levels, ranked, options.ranked, shares)
        elif job.run is not None:
            ranking.save(job.run.file("ranking.json"))
        filters = (choose_locally if options.ranking == "local" else choose_globally)(ranking, shares)
    plan = _plan(options, distortion.name, filters)
    correction, records = _train_and_measure(
        job, options.name, distortion, levels, plan, recipe, half, of, random=options.ranking == "random"
    )
    return correction, Records([*baseline, *records])


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
    job.require_training()
    distortion.require_function()
    require_bare(job.model)
    plan = Plan(distortion=distortion.name, retrained=tuple(layers))
    name = f"finetune-{len(layers)}"
    _try_on(job, plan)
    of: Traits = {}
    if job.run is not None:
        measured = traits_of(job, distortion, levels)
        of = training_traits("finetune", measured, recipe, half, plan.model_dump() | distortion.traits())
        job.run.claim({BASELINE: measured} | _trained_stages(job, name, distortion, levels, measured, of))
    baseline = measure_baseline(job, distortion, levels)
    correction, records = _train_and_measure(job, name, distortion, levels, plan, recipe, half, of)
    return correction, Records([*baseline, *records])


def train_and_measure(
    job: Job,
    name: str,
    distortion: Distortion,
    levels: Sequence[float],
    plan: Plan,
    recipe: Recipe,
    *,
    half: bool,
    random: bool = False,
) -> tuple[Correction, list[Record]]:
    """Attach what a plan says, train it, measure it on the test images, and leave it attached.

    One record is returned, or of a mixture one for each member.

    Args:
        name: of the network in the records.
        half: round the trained weights to half precision, measure and save them so.
        random: whether the plan's filters were drawn at random; noted in the records.

    Raises:
        DeepcorrectError: the plan does not fit the network, or the job's run holds another training. Whatever is raised, the
            network is left as it was.
    """
    require_bare(job.model)
    of: Traits = {}
    if job.run is not None:
        measured = traits_of(job, distortion, levels)
        of = training_traits(name, measured, recipe, half, plan.model_dump() | distortion.traits())
        job.run.claim({TRAINING: of} | answers_stages(job, name, [(distortion, levels)], of))
    return _train_and_measure(job, name, distortion, levels, plan, recipe, half, of, random=random)


def train_plan(
    job: Job, distortion: Distortion, levels: Sequence[float], plan: Plan, recipe: Recipe, *, half: bool = False
) -> Correction:
    """Attach what a plan says and train it; a run keeps it.

    Args:
        half: round the trained weights to half precision, and save them so.

    Returns:
        The correction, left attached. Whatever is raised, the network is left as it was.
    """
    last = job.layers[-1].name
    correction = attach(job.model, plan, job.example, seed=job.seed, identity=recipe.identity)
    try:
        lay_out(correction.to(job.device), layout_of(job.model))
        teacher = Teacher(job.model, correction, last, task=job.task) if recipe.distill or recipe.match else None
        train_in_job(job, correction, recipe, distortion, levels, teacher)
        correction.trained_on = TrainedOn(job.data.name, job.data_fingerprint())
        if half:
            round_to_half(correction)
        if job.run is not None:
            correction.save(job.run.file("correction.safetensors"), half=half)
    except BaseException:
        correction.detach()
        raise
    return correction


def _train_and_measure(
    job: Job,
    name: str,
    distortion: Distortion,
    levels: Sequence[float],
    plan: Plan,
    recipe: Recipe,
    half: bool,
    of: Traits,
    *,
    random: bool = False,
) -> tuple[Correction, list[Record]]:
    samples = Samples(job.data, distortion, levels, seed=job.seed, device=job.device, task=job.task)
    samples.ask("baseline", job.model)
    keep_penultimate(job, distortion, levels, "baseline")
    if job.run is not None:
        job.run.write_json(architecture.FILE, architecture.describe(job.layers, plan).model_dump(mode="json"))
    correction = train_plan(job, distortion, levels, plan, recipe, half=half)
    try:
        samples.ask(name, job.model)
        keep_penultimate(job, distortion, levels, name)
        records = measure_each(
            job, name, [(distortion, levels)], count_parameters(correction.parameters()),
            of=of, kind=kind_of_plan(plan), random=random,
        )  # fmt: skip
        if job.run is not None:
            job.run.write_json("samples.json", samples.as_json())
    except BaseException:
        correction.detach()
        raise
    return correction, records


def _plan(options: CorrectionOptions, distortion: str, filters: dict[str, tuple[int, ...]]) -> Plan:
    return Plan(
        distortion=distortion, filters=filters,
        unit=options.unit, batch_norm=options.batch_norm, retrained=options.retrained,
    )  # fmt: skip


def _try_on(job: Job, plan: Plan) -> None:
    """Attach a plan and take it off again: what cannot be corrected is refused before hours of ranking."""
    attach(job.model, plan, job.example, seed=job.seed).detach()


def _trained_stages(
    job: Job, name: str, distortion: Distortion, levels: Sequence[float], measured: Traits, of: Traits
) -> dict[str, Traits]:
    """The stages of a training, and of the answers before and after it."""
    ladders = [(distortion, levels)]
    return {TRAINING: of} | answers_stages(job, BASELINE, ladders, measured) | answers_stages(job, name, ladders, of)
