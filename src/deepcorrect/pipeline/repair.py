"""The front door to corrections: trained for a network of one's own on images in any form, attached, and loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload

from torch import Tensor, nn

from deepcorrect.adapters import attach as adapters
from deepcorrect.adapters.correction import Correction
from deepcorrect.adapters.plan import Plan, check_plan
from deepcorrect.base.device import Precision, device_of, dtype_of
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.door import example_images
from deepcorrect.distortions.base import Distortion
from deepcorrect.models.normalized_input import normalization_of
from deepcorrect.pipeline import correct as correcting
from deepcorrect.pipeline.baselines import BASELINE, measure_baseline
from deepcorrect.pipeline.correct import CorrectionOptions, train_and_measure, train_plan
from deepcorrect.pipeline.entrance import (
    Levels,
    distortion_of,
    filters_of,
    layers_of,
    levels_of,
    open_run,
    or_for_a_job,
    reporting,
    restored_on_failure,
)
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.training_job import training_job
from deepcorrect.pipeline.traits import traits_of
from deepcorrect.ranking.result import Ranking
from deepcorrect.runs.results import Record
from deepcorrect.training.recipes import Recipe, get_recipe


@overload
def correct(
    model: nn.Module,
    train: Any,
    validation: Any,
    distortion: Distortion | str,
    *,
    filters: Mapping[str, Sequence[int]],
    levels: Levels = ...,
    recipe: str | Recipe = ...,
    unit: str = ...,
    batch_norm: bool = ...,
    retrained: Sequence[str] = ...,
    test: Any = ...,
    unlabelled: bool = ...,
    seed: int = ...,
    precision: Precision = ...,
    half: bool = ...,
    out: Path | str | None = ...,
    progress: bool | None = ...,
) -> Correction: ...
@overload
def correct(
    job: Job,
    distortion: Distortion,
    levels: Sequence[float],
    options: CorrectionOptions,
    recipe: Recipe,
    *,
    ranking: Ranking | None = ...,
    half: bool = ...,
) -> tuple[Correction, list[Record]]: ...
@or_for_a_job(correcting.correct)
def correct(
    model: nn.Module,
    train: Any,
    validation: Any,
    distortion: Distortion | str,
    *,
    filters: Mapping[str, Sequence[int]],
    levels: Levels = None,
    recipe: str | Recipe = "fast",
    unit: str = "cifar",
    batch_norm: bool = True,
    retrained: Sequence[str] = (),
    test: Any = None,
    unlabelled: bool = False,
    seed: int = 0,
    precision: Precision = "fp32",
    half: bool = False,
    out: Path | str | None = None,
    progress: bool | None = None,
) -> Correction:
    """Train correction units behind some filters of a network (section 4.2, Equation 5), and leave them attached to it.

    ``correct(job, distortion, levels, options, recipe, ranking=None, half=False)`` does the whole job for a ``Job``: it ranks,
    chooses, trains and measures, and returns the correction and the records without and with it.

    Args:
        model: takes images (B, C, H, W) in [0, 1] (see ``NormalizedInput``), returns logits. Its own weights and buffers stay
            as they are; afterwards it is in eval mode, with its parameters frozen until ``correction.detach()``.
        train: images in any of the forms of ``as_images``, with random transforms or without. A recipe flips and shifts them.
        validation: labelled images, by which the best epoch is chosen.
        distortion: an object, a name ("blur", "noise"), or ``"file.py:name"``.
        filters: the corrected filters of each layer, by its name, as ``Ranking.top`` chooses them.
        levels: severities above 0; without them those that suit the images' size.
        recipe: "fast", "long", "paper", "imagenet", a TOML file, or a ``Recipe``.
        unit: shape of the correction units: "cifar", "wide", "lite" or "bottleneck".
        batch_norm: whether they have batch normalisation.
        retrained: names of layers of which the correction trains a copy.
        test: labelled images on which a run folder's records are measured; those of validation without it.
        unlabelled: train without labels: the network's own answers to the clean images stand for those of ``train`` and
            ``validation``, and are all that the recipe's loss is made of. Test images may then be without labels too; what is
            measured on those is agreement with the clean answers.
        seed: of initial weights, order, augmentation and noise.
        precision: of evaluation; a recipe has its own.
        half: round the trained weights to half precision.
        out: a run folder for the correction, its checkpoints, and the accuracies without and with it. The same call continues
            it if it was interrupted, and loads the correction if it is finished.
        progress: whether bars are shown; by default in a terminal or a notebook.

    Returns:
        The correction. Whatever is raised, the network is left as it was.

    Raises:
        DeepcorrectError: images that cannot be understood or are not labelled, filters or layers that the network does not
            have, a network in another precision than float32, or a run folder of other work.
    """
    plan = {"unit": unit, "batch_norm": batch_norm, "retrained": tuple(retrained)}
    chosen = filters_of(filters)
    if not chosen:
        raise DeepcorrectError("no filters to correct: give some of one layer at least, or use finetune")
    name = f"deepcorr-{len(chosen)}{'c' if retrained else ''}"
    with restored_on_failure(model) as network, reporting(progress) as reporter:
        distortion = distortion_of(distortion)
        job = training_job(
            model, network, train, validation, test, unlabelled, seed=seed, precision=precision, reporter=reporter
        )  # fmt: skip
        wanted = Plan(distortion=distortion.name, filters=chosen, **plan)
        return _trained(job, "correct", name, distortion, levels, wanted, recipe, half, out)


@overload
def finetune(
    model: nn.Module,
    train: Any,
    validation: Any,
    distortion: Distortion | str,
    *,
    layers: int | str | Sequence[str],
    levels: Levels = ...,
    recipe: str | Recipe = ...,
    test: Any = ...,
    unlabelled: bool = ...,
    seed: int = ...,
    precision: Precision = ...,
    half: bool = ...,
    out: Path | str | None = ...,
    progress: bool | None = ...,
) -> Correction: ...
@overload
def finetune(
    job: Job,
    distortion: Distortion,
    levels: Sequence[float],
    layers: Sequence[str],
    recipe: Recipe,
    *,
    half: bool = ...,
) -> tuple[Correction, list[Record]]: ...
@or_for_a_job(correcting.finetune)
def finetune(
    model: nn.Module,
    train: Any,
    validation: Any,
    distortion: Distortion | str,
    *,
    layers: int | str | Sequence[str],
    levels: Levels = None,
    recipe: str | Recipe = "fast",
    test: Any = None,
    unlabelled: bool = False,
    seed: int = 0,
    precision: Precision = "fp32",
    half: bool = False,
    out: Path | str | None = None,
    progress: bool | None = None,
) -> Correction:
    """Finetune-k, the alternative: train copies of whole layers, and leave them attached in place of the network's own.

    ``finetune(job, distortion, levels, layers, recipe, half=False)`` does so for a ``Job``, and returns the records too.

    Args:
        layers: how many of the first layers, or their names.
        model, train, validation, distortion, levels, recipe, test, unlabelled, seed, precision, half, out, progress: as of
            ``correct``.

    Returns:
        The correction, whose parameters are the trained copies. Whatever is raised, the network is left as it was.

    Raises:
        DeepcorrectError: as ``correct`` does.
    """
    with restored_on_failure(model) as network, reporting(progress) as reporter:
        distortion = distortion_of(distortion)
        job = training_job(
            model, network, train, validation, test, unlabelled, seed=seed, precision=precision, reporter=reporter
        )  # fmt: skip
        names = tuple(layer.name for layer in layers_of(job.layers, layers))
        plan = Plan(distortion=distortion.name, retrained=names)
        name = f"finetune-{len(names)}"
        return _trained(job, "finetune", name, distortion, levels, plan, recipe, half, out)


def _trained(
    job: Job, command: Literal["correct", "finetune"], name: str, distortion: Distortion, levels: Levels, plan: Plan,
    recipe: str | Recipe, half: bool, out: Path | str | None,
) -> Correction:  # fmt: skip
    """Train what a plan says; a run folder also gets the accuracies without and with it."""
    recipe = recipe if isinstance(recipe, Recipe) else get_recipe(recipe, command)
    if job.data.self_labelled:
        recipe = recipe.without_labels()
    if recipe.distill < 1:
        job.data.train.require_labels("training")
    severities = levels_of(distortion, levels, job.data.ladder)
    check_plan(plan, job.model, job.layers)
    settings = {"distortion": distortion.name, "levels": severities, "half": half}
    settings |= {"plan": plan.model_dump(mode="json"), "recipe": recipe.model_dump()}
    open_run(job, out, command, settings, [(distortion, severities)])
    if job.run is None:
        return train_plan(job, distortion, severities, plan, recipe, half=half)
    if job.run.finished() is not None:
        return adapters.load_correction(job.run.file("correction.safetensors"), job.model, job.example)
    job.run.claim({BASELINE: traits_of(job, distortion, severities)})
    before = measure_baseline(job, distortion, severities)
    correction, after = train_and_measure(job, name, distortion, severities, plan, recipe, half=half)
    job.run.finish([*before, *after], job.device)
    return correction


def attach(model: nn.Module, plan: Plan, example: Any, *, seed: int = 0, identity: bool = False) -> Correction:
    """Put a new, untrained correction on a network.

    Args:
        example: images (B, C, H, W) in [0, 1], or data in any of the forms of ``as_images``; labels are not needed.
        model, plan, seed, identity: as of ``deepcorrect.adapters.attach.attach``.

    Returns:
        The correction, in eval mode, as is the network.

    Raises:
        DeepcorrectError: the plan does not fit the network, the network already has a correction, or it does not answer the
            same with the correction switched off. The network is left as it was.
    """
    return adapters.attach(model, plan, _example(model, example), seed=seed, identity=identity)


def load_correction(path: Path | str, model: nn.Module, example: Any = None) -> Correction:
    """Attach a saved correction to the network that it was trained for.

    Args:
        path: a file of ``Correction.save``.
        model: in whatever precision it computes in.
        example: images (B, C, H, W) in [0, 1], or data in any of the forms of ``as_images``; labels are not needed. Only files
            of older versions, which do not say the images' shape, need any.

    Returns:
        The correction, whose plan has the names that the layers have in ``model``.

    Raises:
        DeepcorrectError: the file is missing or unsound, or belongs to another network; the message says in what they differ.
            The network is left as it was.
    """
    return adapters.load_correction(path, model, None if example is None else _example(model, example))


def _example(model: nn.Module, data: Any) -> Tensor:
    """Two or more images, as the network takes them."""
    if isinstance(data, Tensor) and data.ndim == 4 and data.is_floating_point():
        images = data
    else:
        images = example_images(data, normalization_of(model))
    return images.to(device_of(model), dtype_of(model))
