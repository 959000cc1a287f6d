"""Images without labels: the network's own answers to the clean images stand in for them.

A correction is to bring back what the network says to the clean image, and that is known without any label. Filters are ranked
by how many answers their swap brings back, training has the network's clean answers and features as its whole loss
(``Recipe.without_labels``), and the best epoch is the one whose answers agree with the clean ones most often. A share of equal
answers is called *agreement*: an image on which the network is wrong counts as well if it is wrong in the same way.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.images import UNLABELLED, Images
from deepcorrect.distortions.base import Distortion
from deepcorrect.evaluation.sweep import observe
from deepcorrect.pipeline.job import Job

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
    validation = data.validation.labelled(clean_answers(job, data.validation))
    test, parts = data.test, ["validation"]
    if data.test is data.validation:
        test = validation
        parts.append("test")
    elif not (data.test.labels != UNLABELLED).any():
        test = data.test.labelled(clean_answers(job, data.test))
        parts.append("test")
    job.data = replace(data, train=data.train.unlabelled(), validation=validation, test=test, self_labelled=tuple(parts))


def clean_answers(job: Job, images: Images) -> Tensor:
    """What the network answers to each image as it is, (N,) int64: of a classifier the most likely class.

    Raises:
        DeepcorrectError: the job's task has no answers that labels could be, or the network answers with NaN.
    """
    job.reporter.stage("the network's answers to clean images", len(images))
    observed = observe(
        job.model, images, _NONE, (0.0,),
        seed=job.seed, device=job.device, precision=job.precision, processes=job.processes,
        progress=job.reporter.advance, task=job.task,
    )  # fmt: skip
    answers = job.task.answers(observed[0])
    if answers is None:
        raise DeepcorrectError(f"{job.task.name}: images without labels are of use to classifiers alone; give labelled ones")
    return answers.long()
