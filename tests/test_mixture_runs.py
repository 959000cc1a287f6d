"""One network for a mixture: trained on it, validated and measured under each member, kept in a run folder and read back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json
from deepcorrect.base.processes import Processes
from deepcorrect.base.progress import EpochMetrics
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.distortions import registry
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.combined import Mixture
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.evaluation.answers import read_answers
from deepcorrect.evaluation.sweep import evaluate, observe
from deepcorrect.pipeline import measure
from deepcorrect.pipeline.correct import correct, finetune
from deepcorrect.pipeline.job import Job
from deepcorrect.runs.comparison import compare_records
from deepcorrect.runs.results import Record, Run
from deepcorrect.runs.saved import read_sections
from deepcorrect.training.batches import TrainingBatches
from deepcorrect.training.loop import validation_images
from deepcorrect.training.recipes import get_recipe
from tests.command_line import one_line, run
from tests.conftest import make_toy
from tests.stages import BLUR, NOISE, OPTIONS, RECIPE, run_of

MIXTURE = get_distortion("mix:blur,noise").fitted("digits")
LEVELS = (2.0, 5.0)
MEMBERS = [("blur", (0.0, 0.6, 1.2)), ("noise", (0.0, 30.0, 75.0))]


@pytest.fixture
def job(dataset: Dataset, tmp_path: Path) -> Job:
    return Job(make_toy("batch-norm"), dataset, run=Run(tmp_path / "run", "correct", {"distortion": MIXTURE.name}))


def test_records_answers_and_sections_are_those_of_the_members(job: Job) -> None:
    correction, records = correct(job, MIXTURE, LEVELS, OPTIONS, RECIPE)
    assert [(record.name, record.distortion, record.levels) for record in records] == [
        (network, *member) for network in ("baseline", "deepcorr-2") for member in MEMBERS
    ]
    for distortion, record in zip((BLUR, NOISE), records[2:], strict=True):
        alone = evaluate(job.model, job.data.test, distortion, record.levels[1:], classes=5)
        assert record.top1 == alone.top1
        answers = read_answers(run_of(job), distortion.name, "deepcorr-2", record.levels)
        assert answers is not None
        assert answers.right.double().mean(1).tolist() == pytest.approx(record.top1)
    assert correction.plan.distortion == "mix:blur,noise"
    assert job.run is not None
    job.run.finish(records, job.device)
    _, sections = read_sections([run_of(job)])
    assert [section.distortion for section in sections] == ["blur", "noise"]
    (trained,) = sections[0].trained
    assert sections[0].increasing_in(trained) == "mix:blur,noise of increasing severity"
    assert sections[1].trained == [], "samples, ranking and training are shown once"
    assert [comparison.distortion for comparison in compare_records([run_of(job)])] == ["blur", "noise"]


def test_an_interrupted_run_continues_and_measures_what_is_missing(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[tuple[str, str]] = []
    one = measure.measure

    def noted(job: Job, name: str, distortion: Distortion, *args: Any, **options: Any) -> Record:
        if (name, distortion.name) == ("deepcorr-2", "noise") and len(measured) == 3:
            raise KeyboardInterrupt
        measured.append((name, distortion.name))
        return one(job, name, distortion, *args, **options)

    monkeypatch.setattr(measure, "measure", noted)
    with pytest.raises(KeyboardInterrupt):
        correct(job, MIXTURE, LEVELS, OPTIONS, RECIPE)
    assert len(read_json(run_of(job) / "baseline.json")["records"]) == 2
    measured.append(("", ""))
    _, records = correct(job, MIXTURE, LEVELS, OPTIONS, RECIPE)
    assert measured[4:] == [("deepcorr-2", "noise")]
    assert len(records) == 4


def test_another_member_of_the_same_name_is_another_stage(job: Job) -> None:
    """The first image may get the other member, so each is looked at by itself."""
    mine = [Distortion(name, lambda images, severity: images / 2, levels=(1,)) for name in ("one", "two")]
    finetune(job, Mixture(mine), (1,), ["0"], RECIPE)[0].detach()
    mine[1] = Distortion("two", lambda images, severity: images / 3, levels=(1,))
    with pytest.raises(DeepcorrectError, match="another distortion of the same name"):
        finetune(job, Mixture(mine), (1,), ["0"], RECIPE)


def test_every_process_trains_on_its_part_of_the_batches_of_one(dataset: Dataset) -> None:
    recipe = get_recipe("fast", "correct", batch_size=30)
    mixture = get_distortion("mix:blur,noise,fog+gaussian_noise").fitted("digits")

    def batches(processes: Processes) -> list[Any]:
        source = TrainingBatches(
            dataset.train, recipe, distortion=mixture, levels=(1, 2, 3), seed=3, device=torch.device("cpu"), processes=processes
        )
        return list(source.epoch(0))

    whole = batches(Processes())
    assert any(not torch.equal(batch.images, batch.clean) for batch in whole)
    for count in (2, 3):
        parts = [batches(Processes(rank, count)) for rank in range(count)]
        for batch, *shared in zip(whole, *parts, strict=True):
            together = torch.cat([part.images for part in shared])
            torch.testing.assert_close(together, batch.images, atol=1e-6, rtol=0)


def test_each_image_of_a_batch_suffers_one_member_at_one_step(dataset: Dataset) -> None:
    halved = Distortion("halved", lambda images, severity: images * severity.view(-1, 1, 1, 1), levels=(0.5, 0.25))
    raised = Distortion("raised", lambda images, severity: images + severity.view(-1, 1, 1, 1), levels=(1, 2))
    recipe = get_recipe("fast", "correct", batch_size=100, distorted=1.0)
    source = TrainingBatches(
        dataset.train, recipe, distortion=Mixture([halved, raised]), levels=(1, 2), seed=0, device=torch.device("cpu")
    )

    def close(one: Tensor, other: Tensor) -> bool:
        return torch.allclose(one, other, atol=1e-5)

    seen = []
    for batch in source.epoch(0):
        for image, clean in zip(batch.images, batch.clean, strict=True):
            outcomes = {"half": clean * 0.5, "quarter": clean * 0.25, "one": clean + 1, "two": clean + 2}
            seen.append(next(name for name, outcome in outcomes.items() if close(image, outcome)))
    assert all(0.15 < seen.count(name) / len(seen) < 0.35 for name in ("half", "quarter", "one", "two"))


def test_an_evaluation_under_a_mixture_is_the_mean_over_its_members(job: Job) -> None:
    measured = evaluate(job.model, job.data.test, MIXTURE, LEVELS, classes=5)
    blurred = evaluate(job.model, job.data.test, BLUR, MEMBERS[0][1][1:], classes=5)
    noisy = evaluate(job.model, job.data.test, NOISE, MEMBERS[1][1][1:], classes=5)
    assert list(measured.members) == [blurred, noisy]
    assert list(measured.levels) == [0, 2, 5]
    assert measured.top1 == pytest.approx([sum(pair) / 2 for pair in zip(blurred.top1, noisy.top1, strict=True)])
    assert "blur" in str(measured.views()[0].table.title)
    clean = observe(job.model, job.data.test, BLUR, (0.0,))[0]
    assert evaluate(job.model, job.data.test, MIXTURE, LEVELS, classes=5, clean=1 - clean).top1[0] != measured.top1[0]


def test_the_epoch_is_validated_under_each_member(job: Job) -> None:
    correct(job, MIXTURE, LEVELS, OPTIONS, RECIPE)
    (epoch,) = read_json(run_of(job) / "metrics.json")["epochs"]
    metrics = EpochMetrics.from_json(epoch)
    assert json.loads(json.dumps(metrics.as_json())) == epoch
    assert list(metrics.members) == ["blur", "noise"]
    pairs = zip(*metrics.members.values(), strict=True)
    assert metrics.validation == pytest.approx([sum(pair) / 2 for pair in pairs])
    older = {name: value for name, value in epoch.items() if name != "members"}
    assert EpochMetrics.from_json(older) == replace(metrics, members={})
    assert "members" not in EpochMetrics.from_json(older).as_json()


@pytest.mark.parametrize(("members", "images"), [(2, 40), (4, 40), (5, 32), (15, 11)])
def test_many_members_are_validated_on_fewer_images(dataset: Dataset, members: int, images: int) -> None:
    """Four times as many passes as for one distortion, at most: 40 images in all of these parts."""
    recipe = get_recipe("fast", "correct")
    mixture = Mixture([Distortion(f"part {number}", lambda images, severity: images, levels=(1,)) for number in range(members)])
    data = replace(dataset, validation=dataset.train.take(torch.arange(40)))
    assert len(validation_images(data, recipe, mixture, (1,), 0)) == images


def test_evaluate_reads_the_mixture_from_the_file(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fix, images = tmp_path / "fix", ("--data", "digits", "--limit", 10, "--json")
    training = ("--layers", 1, "--method", "attribution", "--images", 20, "--levels", "2,5", "--out", fix)
    code, out, error = run(capsys, "correct", "smallcnn", "--distortion", "mix:blur,noise", *training, *images)
    assert code == 0, error
    trained = json.loads(out)["records"]
    code, out, error = run(capsys, "evaluate", "smallcnn", "--correction", fix, "--levels", "2,5", *images)
    assert code == 0, error
    assert [record["top1"] for record in json.loads(out)["records"]] == [record["top1"] for record in trained[2:]]
    code, out, error = run(capsys, "evaluate", "smallcnn", "--correction", fix, "--distortion", "noise", *images)
    assert json.loads(out)["levels"] == [0, 15, 30, 45, 60, 75, 90], error
    monkeypatch.setattr(registry, "_REGISTRY", {"noise": NOISE})
    code, _, error = run(capsys, "evaluate", "smallcnn", "--correction", fix, *images)
    assert code == 2
    assert "trained against 'mix:blur,noise', which is not registered here; give --distortion" in one_line(error)


def test_a_composition_is_ranked_and_corrected_as_one_distortion(job: Job) -> None:
    composition = get_distortion("blur+noise").fitted("digits")
    _, records = correct(job, composition, LEVELS, OPTIONS, RECIPE)
    assert [(record.distortion, record.levels) for record in records] == [("blur+noise", (0, 2, 5))] * 2
    assert read_json(run_of(job) / "ranking.json")["distortion"] == "blur+noise"
    images = job.data.test
    step = composition.at(images.held().images / 255, 2.0, images.indices, 7)
    blurred = BLUR.at(images.held().images / 255, 0.6, images.indices, 7)
    assert not torch.equal(step, blurred)
