"""The front door: a network of one's own and images in any form, measured and ranked where they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, overload

import torch
from torch import nn

from deepcorrect.base.device import Precision
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.processes import Processes
from deepcorrect.datasets.door import given_as
from deepcorrect.distortions.base import Distortion, parts_of
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.evaluation import sweep
from deepcorrect.evaluation.sweep import Evaluation
from deepcorrect.models.layers import convolutions
from deepcorrect.models.normalized_input import normalization_of
from deepcorrect.models.preprocessing import seen_size
from deepcorrect.pipeline import baselines
from deepcorrect.pipeline import rank as ranking_of_job
from deepcorrect.pipeline.entrance import (
    Levels,
    dataset_of,
    distortion_of,
    distortions_of,
    layers_of,
    left_as_found,
    levels_of,
    named_or_made,
    open_run,
    or_for_a_job,
    reporting,
    require_sound,
)
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.measure import matched
from deepcorrect.pipeline.rank import RankingOptions
from deepcorrect.pipeline.unlabelled import clean_answers, label_by_answers
from deepcorrect.ranking.result import Method, Ranking, Score
from deepcorrect.runs.results import Records
from deepcorrect.runs.stages import Ladders
from deepcorrect.tasks.base import Task
from deepcorrect.tasks.classification import CLASSIFICATION


def evaluate(
    model: nn.Module,
    data: Any,
    distortion: Distortion | str,
    levels: Levels = None,
    *,
    classes: int | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
    precision: Precision = "fp32",
    batch_size: int | None = None,
    processes: Processes | None = None,
    progress: bool | Callable[[int], None] | None = None,
    tell: Callable[[float, float], None] = lambda level, headline: None,
    task: Task = CLASSIFICATION,
    unlabelled: bool = False,
) -> Evaluation:
    """Measure a network, with its correction if it has one, on clean images and at each level (Tables 3 and 4).

    Args:
        model: takes images (B, C, H, W) in [0, 1] (see ``NormalizedInput``), in whatever precision it computes in, and returns
            the task's outputs, logits (B, outputs). It is run in eval mode, where it is, and left as it was.
        data: labelled images in any of the forms of ``as_images``; of a data set with parts, the test images.
        distortion: what ruins them: an object, a name ("blur", "noise"), or ``"file.py:name"``.
        levels: severities above 0, to which the clean level is added in front; without them those that suit the images' size.
        classes: how many classes the labels may name; without it, the network's outputs.
        seed: of noise.
        device: where the network is; found out if it is not given.
        precision: "bf16" runs the network in autocast.
        batch_size: images a pass, which changes nothing but the memory that it takes.
        processes: those that share the images; each returns the whole.
        progress: whether a bar is shown, by default in a terminal or a notebook; or a function that is called with the number
            of images done since its last call.
        tell: called with each level and the task's first metric, top-1 accuracy.
        task: what outputs and labels mean. Another than classification needs ``classes``.
        unlabelled: measure without labels: not accuracy, but agreement with what the network, without its correction, answers
            to the clean images.

    Raises:
        DeepcorrectError: images that cannot be understood, are not labelled or are not taken by the network, or answers of NaN.
    """
    require_sound(seed, precision)
    given = given_as(data, "test", normalization=normalization_of(model))
    if not unlabelled:
        given.images.require_labels("measuring accuracy")
    distortion = get_distortion(named_or_made(distortion)).fitted(given.ladder)
    only_clean = isinstance(levels, Sequence) and not levels
    steps = () if only_clean else levels_of(distortion, levels, given.ladder)
    with left_as_found(model) as network, reporting(False if callable(progress) else progress) as reporter:
        if classes is None:
            classes = len(dataset_of(network, test=given).classes)
        height, width = given.images.shape[-2:]
        distortion = distortion.matched(given.images, steps, seen_size(network, (height, width)))
        reporter.stage(f"evaluate under {distortion.name}", len(given.images) * (1 + len(steps)))
        images = given.images
        if unlabelled:
            own = clean_answers(network, images, seed=seed, device=device, precision=precision, processes=processes, task=task)
            images = images.labelled(own)
        evaluation = sweep.evaluate(
            network, images, distortion, steps,
            classes=classes, seed=seed, device=device, precision=precision, batch_size=batch_size, processes=processes,
            progress=progress if callable(progress) else reporter.advance, tell=tell, task=task,
        )  # fmt: skip
        return evaluation.as_agreement() if unlabelled else evaluation


@overload
def assess(
    model: nn.Module,
    data: Any,
    distortions: Sequence[Distortion | str] | Distortion | str = ...,
    *,
    levels: Levels = ...,
    unlabelled: bool = ...,
    seed: int = ...,
    precision: Precision = ...,
    out: Path | str | None = ...,
    progress: bool | None = ...,
) -> Records: ...
@overload
def assess(job: Job, ladders: Ladders) -> Records: ...
@or_for_a_job(baselines.assess)
def assess(
    model: nn.Module,
    data: Any,
    distortions: Sequence[Distortion | str] | Distortion | str = ("blur", "noise"),
    *,
    levels: Levels = None,
    unlabelled: bool = False,
    seed: int = 0,
    precision: Precision = "fp32",
    out: Path | str | None = None,
    progress: bool | None = None,
) -> Records:
    """How bad is it: the network as it is, under each distortion.

    ``assess(job, ladders)`` does the same for a ``Job``, under pairs of a distortion and its levels.

    Args:
        model: takes images (B, C, H, W) in [0, 1] (see ``NormalizedInput``), returns logits. It is run in eval mode, where it
            is, and left as it was.
        data: labelled images in any of the forms of ``as_images``; of a data set with parts, the test images.
        distortions: one or several, as objects or as names: ``"blur"``, ``"file.py:name"``, a group such as ``"imagenet-c"``,
            or several separated by commas.
        levels: severities of each, above 0; without them those that suit the images' size.
        unlabelled: measure without labels: not accuracy, but agreement with the network's answers to the clean images.
        seed: of noise.
        precision: "bf16" runs the network in autocast.
        out: a run folder for the records, which the same call continues if it was interrupted.
        progress: whether bars are shown; by default in a terminal or a notebook.

    Returns:
        One record a distortion: accuracies by level, the clean one first. The list prints as a table, under several common
        corruptions as one of corruptions by severity; its ``robustness()`` has their means.

    Raises:
        DeepcorrectError: images that cannot be understood, are not labelled or are not taken by the network.
    """
    require_sound(seed, precision)
    given = given_as(data, "test", normalization=normalization_of(model))
    if not unlabelled:
        given.images.require_labels("measuring accuracy")
    several = [each for one in _listed(distortions) for each in distortions_of(one)]
    if not several:
        raise DeepcorrectError("no distortion to assess under: give one at least")
    with left_as_found(model) as network, reporting(progress) as reporter:
        job = Job(network, dataset_of(network, test=given), precision=precision, seed=seed, reporter=reporter)
        if unlabelled:
            label_by_answers(job)
        fitted = [each.fitted(job.data.ladder) for each in several]
        ladders = matched(job, parts_of((each, levels_of(each, levels, job.data.ladder)) for each in fitted))
        settings = {"ladders": [[distortion.name, *steps] for distortion, steps in ladders]}
        open_run(job, out, "assess", settings, ladders)
        finished = job.run.finished() if job.run is not None else None
        if finished is not None:
            return Records(finished.records)
        records = baselines.assess(job, ladders)
        if job.run is not None:
            job.run.finish(records, job.device)
        return records


def _listed(distortions: Sequence[Distortion | str] | Distortion | str) -> Sequence[Distortion | str]:
    return [distortions] if isinstance(distortions, Distortion | str) else distortions


def rank(
    model: nn.Module,
    data: Any,
    distortion: Distortion | str,
    *,
    levels: Levels = None,
    layers: int | str | Sequence[str] | None = None,
    images: int = 1000,
    unlabelled: bool = False,
    method: Method = "exact",
    score: Score | None = None,
    share: float = 0.5,
    steps: int = 1,
    verify: int = 0,
    block: int = 8,
    memory: int | None = None,
    seed: int = 0,
    precision: Precision = "fp32",
    out: Path | str | None = None,
    progress: bool | None = None,
) -> Ranking:
    """Which filters does a distortion ruin: the correction priority of every filter (section 4.1, Algorithm 1).

    Args:
        model: takes images (B, C, H, W) in [0, 1] (see ``NormalizedInput``), returns logits. It is run in eval mode, where it
            is, and left as it was.
        data: labelled images in any of the forms of ``as_images``; of a data set with parts, the validation images.
        distortion: an object, a name ("blur", "noise"), or ``"file.py:name"``.
        levels: severities above 0; without them those that suit the images' size.
        layers: how many of the first convolutions, or their names; all without it.
        images: how many images, drawn by seed evenly over the classes.
        unlabelled: rank without labels, by how many of the network's answers to the clean images a swap brings back.
        method: every swap run ("exact"), estimated from gradients ("attribution"), or chosen together ("joint").
        score: what is to be gained: "top1" (of exact rankings, by default), "probability" or "margin" of the true class.
        share: of each layer's filters, those to be corrected, in (0, 1]: where a joint choice ends, and what is verified.
        steps: gradients along the way of an estimate.
        verify: how many filters around the cut of an estimate are measured.
        block: how many filters a joint choice takes at once.
        memory: bytes that a pass may take (2_000_000_000 are 2 GB); without it near what caches hold, or half of what is free
            on a GPU.
        seed: of the choice of images and of noise.
        precision: "bf16" runs the network in autocast.
        out: a run folder, in which the same call continues if it was interrupted.
        progress: whether bars are shown; by default in a terminal or a notebook.

    Raises:
        DeepcorrectError: images that cannot be understood, are not labelled or are not taken by the network; a network whose
            answer to an image depends on others; options that do not go together.
    """
    require_sound(seed, precision)
    options = RankingOptions(images, method, score, steps, verify, block, memory)
    given = given_as(data, "validation", normalization=normalization_of(model), hold=False)
    if not unlabelled:
        given.images.require_labels("ranking")
    distortion = distortion_of(distortion)
    with left_as_found(model) as network, reporting(progress) as reporter:
        job = Job(network, dataset_of(network, test=given), precision=precision, seed=seed, reporter=reporter)
        if unlabelled:
            label_by_answers(job)
        severities = levels_of(distortion, levels, job.data.ladder)
        chosen = layers_of(convolutions(job.layers), layers)
        shares = {layer.name: share for layer in chosen}
        settings = {"distortion": distortion.name, "levels": severities, "shares": shares, **asdict(options)}
        del settings["memory"]  # decides no result
        open_run(job, out, "rank", settings, [(distortion, severities)])
        ranking = ranking_of_job.rank(job, distortion, severities, chosen, options, shares)
        if job.run is not None and job.run.finished() is None:
            job.run.finish([], job.device)
        return ranking
