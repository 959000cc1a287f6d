"""From a user's network and images to the job of training a correction."""

from __future__ import annotations

from typing import Any

from torch import nn

from deepcorrect.adapters.attach import require_bare
from deepcorrect.base.device import Precision
from deepcorrect.base.progress import Reporter
from deepcorrect.datasets.door import given_as
from deepcorrect.models.admission import require_single_precision
from deepcorrect.models.normalized_input import normalization_of
from deepcorrect.pipeline.entrance import dataset_of, left_as_found, require_sound
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.unlabelled import label_by_answers


def training_job(
    model: nn.Module, network: nn.Module, train: Any, validation: Any, test: Any, unlabelled: bool, *,
    seed: int, precision: Precision, reporter: Reporter,
) -> Job:  # fmt: skip
    """The job of training for a network that has no correction yet.

    Args:
        model: as it was given.
        network: the same without ``torch.compile`` around it.
        train, validation, test, unlabelled, seed, precision: as of ``deepcorrect.pipeline.repair.correct``.

    Raises:
        DeepcorrectError: images that cannot be understood, or have no labels and are not said to be ``unlabelled``; a network
            with a correction, or in another precision than float32.
    """
    require_sound(seed, precision)
    require_bare(network)
    require_single_precision(network)
    normalization = normalization_of(network)
    learned = given_as(train, "train", normalization=normalization)
    validated = given_as(validation, "validation", normalization=normalization)
    tested = validated if test is None else given_as(test, "test", normalization=normalization)
    with left_as_found(network):
        data = dataset_of(network, train=learned, validation=validated, test=tested)
    if not unlabelled:
        data.require_training()
        tested.images.require_labels("measuring accuracy")
    job = Job(network, data, precision=precision, seed=seed, reporter=reporter)
    if unlabelled:
        label_by_answers(job)
        job.require_training()
    return job
