"""Without labels, what the network answers to clean images is what a label would be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import deepcorrect as dc
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.images import UNLABELLED, ImageSet
from deepcorrect.pipeline.correct import CorrectionOptions, correct, finetune
from deepcorrect.pipeline.rank import RankingOptions
from deepcorrect.pipeline.unlabelled import label_by_answers
from deepcorrect.runs.results import Record, Run
from tests.conftest import labelled_by, make_toy, random_images
from tests.toy_tasks import Segmentation, make

BLUR, LEVELS = dc.GaussianBlur(levels=(0.8, 1.6)), (0.8, 1.6)
RECIPE = dc.get_recipe("fast", "correct", epochs=2, batch_size=32, precision="fp32").without_labels()
OPTIONS = CorrectionOptions(("0", "3"), (0.5, 0.25), ranked=RankingOptions(images=30))


def job_of(labels: Tensor | int | None = None, test: ImageSet | None = None, run: Run | None = None) -> dc.Job:
    """A job whose network classifies every clean image correctly; its training and validation labels may be replaced."""
    network = make_toy("batch-norm")
    everything = labelled_by(network, random_images(150))
    train, validation, own = (everything.take(part) for part in torch.arange(150).tensor_split((80, 120)))
    if labels is not None:
        train, validation = (part.labelled(torch.as_tensor(labels).expand(len(part))) for part in (train, validation))
    return dc.Job(network, Dataset("own", tuple("01234"), "cifar", train, validation, test or own), seed=3, run=run)


def answers(job: dc.Job, images: ImageSet) -> Tensor:
    with torch.no_grad():
        logits: Tensor = job.model(as_float(images.images))
        return logits.argmax(1)


def worked(job: dc.Job) -> tuple[dict[str, tuple[int, ...]], dict[str, list[float]], list[Record]]:
    correction, records = correct(job, BLUR, LEVELS, OPTIONS, RECIPE)
    return dict(correction.plan.filters), {name: value.tolist() for name, value in correction.state_dict().items()}, records


def test_the_correction_is_that_of_labels_where_the_network_is_always_right() -> None:
    """Ranking, training, choice of the epoch and test accuracies, bit for bit; whatever labels the images had."""
    wanted = worked(job_of())
    for labels in (UNLABELLED, 4):
        job = job_of(labels)
        label_by_answers(job)
        assert job.data.self_labelled == ("validation",)
        assert bool((job.data.train.labels == UNLABELLED).all())
        assert worked(job) == wanted


def test_answers_are_those_of_the_clean_images_and_nothing_is_left_changed() -> None:
    job = job_of(UNLABELLED)
    before, state = torch.get_rng_state(), {name: value.clone() for name, value in job.model.state_dict().items()}
    validation = job.data.validation.held()
    label_by_answers(job)
    assert torch.equal(job.data.validation.labels, answers(job, validation))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, state[name]) for name, value in job.model.state_dict().items())


def test_test_images_without_labels_are_measured_by_agreement_and_said_so() -> None:
    """A network that is often wrong, on images whose labels nobody knows: 1 on clean images, and no accuracy anywhere."""
    unknown = random_images(30, seed=9).unlabelled()
    job = job_of(UNLABELLED, unknown)
    label_by_answers(job)
    (record,) = dc.assess(job, [(BLUR, LEVELS)])
    assert job.data.self_labelled == ("validation", "test")
    clean = answers(job, unknown)
    blurred = [job.model(BLUR.at(as_float(unknown.images), level, unknown.indices, 3)).argmax(1) for level in LEVELS]
    assert record.agreement
    assert record.top1 == pytest.approx((1.0, *(float((each == clean).float().mean()) for each in blurred)))
    assert "accuracy" not in f"{record!r}{record}".lower()
    assert "Agreement with the clean answers under blur" in str(record)


def test_test_images_with_labels_keep_them() -> None:
    wrong = random_images(30, seed=9)
    job = job_of(UNLABELLED, wrong)
    label_by_answers(job)
    (record,) = dc.assess(job, [(BLUR, LEVELS)])
    assert not record.agreement
    assert record.top1[0] == pytest.approx(float((answers(job, wrong) == wrong.labels).float().mean()))


def test_validation_images_that_are_tested_on_count_as_unlabelled() -> None:
    job = job_of()
    job.data = replace(job.data, test=job.data.validation)
    label_by_answers(job)
    assert job.data.test is job.data.validation
    assert job.data.self_labelled == ("validation", "test")


def test_a_run_folder_tells_training_with_labels_from_training_without(tmp_path: Path) -> None:
    job = job_of(run=Run(tmp_path / "fix", "correct", {}))
    finetune(job, BLUR, LEVELS, ["0"], RECIPE)
    same = job_of(run=Run(tmp_path / "fix", "correct", {}))
    label_by_answers(same)
    same.data = replace(same.data, train=job.data.train)  # so that the labels are the same ones, and only their origin differs
    with pytest.raises(dc.DeepcorrectError, match="labelled by the network's answers"):
        finetune(same, BLUR, LEVELS, ["0"], RECIPE)


def test_a_recipe_that_reads_labels_is_refused_before_training() -> None:
    job = job_of(UNLABELLED)
    label_by_answers(job)
    with pytest.raises(dc.DeepcorrectError, match="80 of 80 images have no label"):
        finetune(job, BLUR, LEVELS, ["0"], dc.get_recipe("fast", "finetune"))


def test_every_recipe_becomes_one_of_the_teacher_alone() -> None:
    for name in ("fast", "long", "paper", "imagenet"):
        recipe = dc.get_recipe(name, "correct")
        assert recipe.without_labels().distill == 1
        assert recipe.without_labels().model_dump(exclude={"distill"}) == recipe.model_dump(exclude={"distill"})


def test_a_task_whose_answers_are_no_labels_is_refused() -> None:
    toy = make(Segmentation())
    job = dc.Job(toy.network, toy.data, task=toy.task)
    with pytest.raises(dc.DeepcorrectError, match="images without labels"):
        label_by_answers(job)
