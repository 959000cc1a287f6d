"""Images without labels: the network's own answers to the clean images stand in for them.

A correction is to bring back what the network says to the clean image, and that is known without any label. Filters are ranked
by how many answers their swap brings back, training has the network's clean answers and features as its whole loss
(``Recipe.without_labels``), and the best epoch is the one whose answers agree with the clean ones most often. A share of equal
answers is called *agreement*: an image on which the network is wrong counts as well if it is wrong in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from deepcorrect.base.device import Precision
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.processes import Processes
from deepcorrect.datasets.images import UNLABELLED, Images
from deepcorrect.distortions.base import Distortion
from deepcorrect.evaluation.sweep import observe
from deepcorrect.models.stand_in import switched_off
from deepcorrect.pipeline.job import Job, count_outputs
from deepcorrect.tasks.base import Task
from deepcorrect.tasks.classification import CLASSIFICATION

_NONE = Distortion("none", lambda images, severity: images)


def label_by_answers(job: Job) -> None:
    """Let the answers of a job's network to clean images stand for labels.

    Training images lose theirs, which nothing reads (train by ``Recipe.without_labels``). Validation images get the network's
    answers, whatever labels they had. So do test images if all of them are without a label, or are the validation images;
    ``job.data.self_labelled`` says which parts did. Test images with labels keep them.

    Raises:
        DeepcorrectError: the answers of the job's task are no labels, or the network answers with NaN.
    """
    data = job.data
    answered = {"validation": _answered(job, "validation", data.validation)}
    if data.test is data.validation:
        answered["test"] = answered["validation"]
    elif not (data.test.labels != UNLABELLED).any():
        answered["test"] = _answered(job, "test", data.test)
    classes = data.classes or tuple(map(str, range(count_outputs(job.model, data, job.example))))
    job.data = replace(
        data, classes=classes, train=data.train.unlabelled(), validation=answered["validation"],
        test=answered.get("test", data.test), self_labelled=tuple(answered),
    )  # fmt: skip
    said = "agreement with them" if "test" in answered else "accuracy by the labels of the test images"
    job.reporter.tell(f"without labels: the network's answers to clean images stand for them; measured is {said}")


def _answered(job: Job, part: str, images: Images) -> Images:
    """The same images with the job's network's answers as labels."""
    job.reporter.stage(f"answers to clean {part} images", len(images))
    answers = clean_answers(
        job.model, images,
        seed=job.seed, device=job.device, precision=job.precision, processes=job.processes,
        progress=job.reporter.advance, task=job.task,
    )  # fmt: skip
    return images.labelled(answers)


def clean_answers(
    model: nn.Module,
    images: Images,
    *,
    seed: int = 0,
    device: torch.device | str | None = None,
    precision: Precision = "fp32",
    processes: Processes | None = None,
    progress: Callable[[int], None] | None = None,
    task: Task = CLASSIFICATION,
) -> Tensor:
    """What a network, without its correction if it has one, answers to each image as it is, (N,) int64.

    Of a classifier that is the most likely class. The arguments are those of ``deepcorrect.evaluation.sweep.observe``.

    Raises:
        DeepcorrectError: the task has no answers that could be labels, or the network answers with NaN.
    """
    with switched_off(model.modules()):
        observed = observe(
            model, images, _NONE, (0.0,),
            seed=seed, device=device, precision=precision, processes=processes, progress=progress, task=task,
        )  # fmt: skip
    answers = task.answers(observed[0])
    if answers is None:
        raise DeepcorrectError(f"{task.name}: images without labels are of use to classifiers alone; give labelled ones")
    return answers.long()
