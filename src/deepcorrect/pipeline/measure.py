"""A job's network measured on the test images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.names import readable
from deepcorrect.distortions.base import Distortion
from deepcorrect.evaluation.answers import keep_answers
from deepcorrect.evaluation.cost import multiply_accumulates
from deepcorrect.evaluation.sweep import Evaluation, evaluate
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.traits import answers_stages
from deepcorrect.runs.kinds import Kind, kind_of_name
from deepcorrect.runs.results import Record
from deepcorrect.runs.stages import Traits


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
) -> Record:
    """Evaluate the network as it now stands on the test images (clean and at every level); a run keeps the answers.

    Args:
        of: what decides the answers, for the run; the network's own traits without it.
        kind, random: of the record; without a kind, the name tells.

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
    job.reporter.stage(f"evaluate {name} under {distortion.name}", len(job.data.test) * (len(levels) + 1))

    def tell(level: float, headline: float) -> None:
        if level == 0:
            job.reporter.tell(f"{name}: clean {job.task.remark(headline, job.data.test.labels)}")

    evaluation = evaluate(
        job.model, job.data.test, distortion, levels, classes=len(job.data.classes),
        seed=job.seed, device=job.device, precision=job.precision, processes=job.processes,
        progress=job.reporter.advance, tell=tell, task=job.task,
    )  # fmt: skip
    if job.run is not None:
        job.run.write_json("classes.json", {"classes": [readable(name) for name in job.data.classes]})
        if evaluation.answers is not None:
            keep_answers(job.run.path, readable(distortion.name), readable(name), evaluation.answers, evaluation.levels)
    return _record(job, name, evaluation, trainable, kind, random)


def _record(job: Job, name: str, evaluation: Evaluation, trainable: int, kind: Kind | None, random: bool) -> Record:
    """Each metric is a field of the record, and so is its mean over the levels."""
    metrics: dict[str, Any] = dict(evaluation.metrics)
    shown = readable(name)
    return Record(
        name=shown,
        kind=kind or kind_of_name(shown),
        random=random,
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
