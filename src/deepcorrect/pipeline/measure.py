"""A job's network measured on the test images, under one distortion or several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json
from deepcorrect.base.names import readable
from deepcorrect.distortions.base import Distortion, Ladder, parts_of
from deepcorrect.evaluation.answers import keep_answers
from deepcorrect.evaluation.cost import multiply_accumulates
from deepcorrect.evaluation.sweep import Evaluation, evaluate, observe
from deepcorrect.models.preprocessing import seen_size
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.traits import answers_stages
from deepcorrect.runs.kinds import Kind, kind_of_name
from deepcorrect.runs.results import RECORDS, Record, Records, Run
from deepcorrect.runs.stages import Ladders, Traits


def matched(job: Job, ladders: Ladders) -> list[Ladder]:
    """Distortions ready for the job's test images: those whose images come from files are compared with them.

    Raises:
        DeepcorrectError: files that are missing or unsound, or were made of other images.
    """
    _, height, width = job.data.image_shape
    seen = seen_size(job.model, (height, width))
    return [Ladder(distortion.matched(job.data.test, levels, seen), tuple(levels)) for distortion, levels in ladders]


def measure(
    job: Job,
    name: str,
    distortion: Distortion,
    levels: Sequence[float],
    trainable: int,
    *,
    of: Traits | None = None,
    kind: Kind | None = None,
    random: bool = False,
    clean: Tensor | None = None,
) -> Record:
    """Evaluate the network as it now stands on the test images (clean and at every level); a run keeps the answers.

    Args:
        of: what decides the answers, for the run; the network's own traits without it.
        kind, random: of the record; without a kind, the name tells.
        clean: what was observed of the clean images, where that is known (see ``evaluate``).

    Raises:
        DeepcorrectError: the run holds answers of something else under this name, or records have no place for the task's
            metrics.
    """
    fields = {f"{mean}{metric}" for metric in job.task.metrics for mean in ("", "mean_")}
    if not fields <= Record.model_fields.keys():
        raise DeepcorrectError(
            f"records of a run have no fields for {', '.join(job.task.metrics)} of {job.task.name}; use evaluate and train "
            "with this task instead"
        )
    if job.run is not None:
        job.run.claim(answers_stages(job, name, [(distortion, levels)], of))
    job.reporter.stage(f"evaluate {name} under {distortion.name}", len(job.data.test) * (len(levels) + (clean is None)))

    def tell(level: float, headline: float) -> None:
        if level == 0 and clean is None:
            _tell_clean(job, name, headline)

    evaluation = evaluate(
        job.model, job.data.test, distortion, levels, classes=len(job.data.classes),
        seed=job.seed, device=job.device, precision=job.precision, processes=job.processes,
        progress=job.reporter.advance, tell=tell, task=job.task, clean=clean,
    )  # fmt: skip
    if job.run is not None:
        job.run.write_json("classes.json", {"classes": [readable(name) for name in job.data.classes]})
        if evaluation.answers is not None:
            keep_answers(job.run.path, readable(distortion.name), readable(name), evaluation.answers, evaluation.levels)
    return _record(job, name, evaluation, trainable, kind, random)


def measure_each(
    job: Job,
    name: str,
    ladders: Ladders,
    trainable: int,
    *,
    of: Traits | None = None,
    kind: Kind | None = None,
    random: bool = False,
) -> Records:
    """As ``measure``, under several distortions one after the other, but with one pass over the clean images.

    Under a mixture it is each of its members. A run keeps every record as soon as it is measured; the same call measures only
    what is missing.
    """
    ladders = parts_of(ladders)
    kept = job.processes.agreed(_kept_records(job.run) if job.run is not None else {})
    if job.run is not None:
        job.run.claim(answers_stages(job, name, ladders, of))
    keys = [(readable(name), readable(distortion.name), (0.0, *map(float, levels))) for distortion, levels in ladders]
    clean = _observe_clean(job, name, ladders[0][0]) if sum(key not in kept for key in keys) > 1 else None
    for key, (distortion, levels) in zip(keys, ladders, strict=True):
        if key not in kept:
            kept[key] = measure(job, name, distortion, levels, trainable, of=of, kind=kind, random=random, clean=clean)
            if job.run is not None:
                job.run.write_json(RECORDS, {"records": [record.model_dump(mode="json") for record in kept.values()]})
    return Records(kept[key] for key in keys)


_Key = tuple[str, str, tuple[float, ...]]


def _kept_records(run: Run) -> dict[_Key, Record]:
    """Those of a run that is not finished, by network, distortion and levels."""
    path = run.file(RECORDS)
    try:
        records = map(Record.model_validate, read_json(path).get("records", ()) if path.exists() else ())
        return {(record.name, record.distortion, record.levels): record for record in records}
    except (ValidationError, TypeError):
        raise DeepcorrectError(f"{path}: not the records of a run; delete it to have them measured again") from None


def _observe_clean(job: Job, name: str, distortion: Distortion) -> Tensor:
    """What the task observes of every clean test image, (N, K)."""
    job.reporter.stage(f"evaluate {name} on clean images", len(job.data.test))
    job.task.check_labels(job.data.test.labels)
    observed: Tensor = observe(
        job.model.eval(), job.data.test, distortion, (0.0,), seed=job.seed, device=job.device, precision=job.precision,
        processes=job.processes, progress=job.reporter.advance, task=job.task,
    )[0]  # fmt: skip
    measured = job.task.measure(observed, job.data.test.labels.cpu(), len(job.data.classes))
    _tell_clean(job, name, measured.metrics[job.task.metrics[0]])
    return observed


def _tell_clean(job: Job, name: str, headline: float) -> None:
    agreement = "test" in job.data.self_labelled
    remark = f"agreement {headline:.4f}" if agreement else job.task.remark(headline, job.data.test.labels)
    job.reporter.tell(f"{name}: clean {remark}")


def _record(job: Job, name: str, evaluation: Evaluation, trainable: int, kind: Kind | None, random: bool) -> Record:
    """Each metric is a field of the record, and so is its mean over the levels."""
    metrics: dict[str, Any] = dict(evaluation.metrics)
    shown = readable(name)
    return Record(
        name=shown,
        kind=kind or kind_of_name(shown),
        random=random,
        agreement="test" in job.data.self_labelled,
        distortion=readable(evaluation.distortion),
        levels=evaluation.levels,
        **metrics,
        **{f"mean_{metric}": evaluation.mean(metric) for metric in metrics},
        per_class=tuple(tuple(None if math.isnan(share) else share for share in level) for level in evaluation.per_class),
        trainable_parameters=trainable,
        multiply_accumulates=multiply_accumulates(job.model, job.example),
        images=evaluation.images,
        seed=job.seed,
        precision=job.precision,
    )
