"""A run folder used again: the same work is continued, any other is refused before anything is done, read or written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from deepcorrect.adapters.attach import attach
from deepcorrect.adapters.plan import Plan
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions.base import Distortion
from deepcorrect.models.fingerprint import fingerprint
from deepcorrect.models.layers import convolutions
from deepcorrect.pipeline.baselines import assess, train_baseline, train_head
from deepcorrect.pipeline.correct import correct, finetune, train_and_measure
from deepcorrect.pipeline.ideal import measure_ideal
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.measure import measure
from deepcorrect.pipeline.rank import RankingOptions, rank
from deepcorrect.pipeline.transfer import Protocol, transfer
from deepcorrect.ranking.result import Ranking
from deepcorrect.runs.results import Run, read_results
from tests.conftest import make_toy, random_images
from tests.stages import BLUR, LEVELS, NOISE, OPTIONS, RECIPE, content, equal, other, run_of, state_of


@pytest.fixture
def job(dataset: Dataset, tmp_path: Path) -> Job:
    return Job(make_toy("batch-norm"), dataset, run=Run(tmp_path / "run", "mine", {"of": "mine"}))


def test_the_same_job_twice_gives_what_is_stored(job: Job) -> None:
    first, records = correct(job, BLUR, LEVELS, OPTIONS, RECIPE)
    weights = state_of(first)
    first.detach()
    before = content(run_of(job))
    again, repeated = correct(job, BLUR, LEVELS, OPTIONS, RECIPE)
    assert repeated == records
    assert equal(weights, state_of(again))
    assert {name: before[name] for name in before if name != "checkpoint.pt"} == {
        name: kept for name, kept in content(run_of(job)).items() if name != "checkpoint.pt"
    }


@pytest.fixture(scope="module")
def corrected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a correction against blur."""
    parts = [random_images(count, seed=count) for count in (60, 30, 30)]
    folder = tmp_path_factory.mktemp("stages") / "run"
    job = Job(
        make_toy("batch-norm"), Dataset("random", tuple("abcde"), "cifar", *parts), run=Run(folder, "mine", {"of": "mine"})
    )
    correct(job, BLUR, LEVELS, OPTIONS, RECIPE)
    return folder


class Stranger(nn.Sequential):
    """The layers of another network, its weights as well, but another activation."""

    def __init__(self, network: nn.Sequential) -> None:
        super().__init__(*(nn.GELU() if isinstance(module, nn.ReLU) else module for module in network))


def other_pixel(data: Dataset) -> Dataset:
    assert isinstance(data.validation, ImageSet)
    images = data.validation.images.clone()
    images[0, 0, 0, 0] ^= 1
    return replace(data, validation=replace(data.validation, images=images))


OTHERS: dict[str, tuple[Callable[[Job], object], str]] = {
    "distortion": (
        lambda job: correct(job, NOISE, LEVELS, OPTIONS, RECIPE),
        'holds the baseline with distortion = "blur", not "noise"',
    ),
    "levels": (lambda job: correct(job, BLUR, (2.0, 1.0), OPTIONS, RECIPE), "with levels = [1.0, 2.0], not [2.0, 1.0]"),
    "function": (
        lambda job: correct(job, replace(BLUR, function=lambda images, severity: images.flip(3)), LEVELS, OPTIONS, RECIPE),
        "under another distortion of the same name",
    ),
    "seed": (lambda job: correct(other(job, seed=1), BLUR, LEVELS, OPTIONS, RECIPE), "with seed = 0, not 1"),
    "precision": (lambda job: correct(other(job, precision="bf16"), BLUR, LEVELS, OPTIONS, RECIPE), "with precision"),
    "data": (lambda job: correct(other(job, data=other_pixel(job.data)), BLUR, LEVELS, OPTIONS, RECIPE), "on other data"),
    "network": (
        lambda job: correct(other(job, model=make_toy("batch-norm", seed=1)), BLUR, LEVELS, OPTIONS, RECIPE),
        "holds the baseline of another network",
    ),
    "architecture": (
        lambda job: correct(other(job, model=Stranger(job.model)), BLUR, LEVELS, OPTIONS, RECIPE),  # type: ignore[arg-type]
        "of a network of another architecture",
    ),
    "layers": (
        lambda job: correct(job, BLUR, LEVELS, replace(OPTIONS, layers=("0", "6")), RECIPE),
        "holds the ranking with layers",
    ),
    "ranking options": (
        lambda job: correct(job, BLUR, LEVELS, replace(OPTIONS, ranked=RankingOptions(images=20)), RECIPE),
        "holds the ranking with images = 10, not 20",
    ),
    "shares": (
        lambda job: correct(job, BLUR, LEVELS, replace(OPTIONS, shares=(0.25, 0.5)), RECIPE),
        "holds the training with shares = [0.5, 0.5], not [0.25, 0.5]",
    ),
    "choice": (
        lambda job: correct(job, BLUR, LEVELS, replace(OPTIONS, ranking="random"), RECIPE),
        'choice = "local", not "random"',
    ),
    "unit": (lambda job: correct(job, BLUR, LEVELS, replace(OPTIONS, unit="cifar"), RECIPE), 'unit = "wide", not "cifar"'),
    "recipe": (
        lambda job: correct(job, BLUR, LEVELS, OPTIONS, RECIPE.model_copy(update={"epochs": 2})),
        "with recipe.epochs = 1, not 2",
    ),
    "half": (lambda job: correct(job, BLUR, LEVELS, OPTIONS, RECIPE, half=True), "half = false, not true"),
    "finetune": (lambda job: finetune(job, BLUR, LEVELS, ["0"], RECIPE), 'task = "correct", not "finetune"'),
    "a plan": (
        lambda job: train_and_measure(
            job, "mine", BLUR, LEVELS, Plan(distortion="blur", filters={"0": (1,)}), RECIPE, half=False
        ),
        'task = "correct", not "mine"',
    ),
    "train_baseline": (lambda job: train_baseline(job, RECIPE, [(BLUR, LEVELS)]), 'task = "correct", not "train-baseline"'),
    "train_head": (lambda job: train_head(job, [(NOISE, LEVELS)]), 'task = "correct", not "train-head"'),
    "rank": (
        lambda job: rank(job, BLUR, LEVELS, convolutions(job.layers)[:1], OPTIONS.ranked, {"0": 0.5}),
        'with layers = ["0", "3"], not ["0"]',
    ),
    "assess on other data": (lambda job: assess(other(job, data=other_pixel(job.data)), [(NOISE, LEVELS)]), "on other data"),
    "assess another network": (
        lambda job: assess(other(job, model=make_toy("batch-norm", seed=1)), [(NOISE, (5.0,)), (BLUR, LEVELS)]),
        "holds the answers of baseline under blur at 1, 2 of another network",
    ),
}


@pytest.mark.parametrize("what", OTHERS)
def test_other_work_is_refused_and_leaves_no_trace(corrected: Path, dataset: Dataset, what: str) -> None:
    work, message = OTHERS[what]
    job = Job(make_toy("batch-norm"), dataset, run=Run(corrected, "mine", {"of": "mine"}))
    before, weights = content(corrected), state_of(job.model)
    with pytest.raises(DeepcorrectError) as told:
        work(job)
    assert message in str(told.value)
    assert str(told.value).startswith(f"{corrected}: holds the ")
    assert content(corrected) == before
    assert equal(weights, state_of(job.model))
    assert all(parameter.requires_grad for parameter in job.model.parameters())


def test_one_folder_takes_several_distortions_and_levels_of_one_network(job: Job) -> None:
    first = assess(job, [(BLUR, LEVELS)])
    second = assess(job, [(NOISE, LEVELS), (BLUR, (3.0,))])
    assert assess(job, [(BLUR, LEVELS)]) == first
    assert job.run is not None
    job.run.finish(first, job.device)
    with pytest.raises(
        DeepcorrectError, match=r"results.json holds the accuracies of baseline under blur, which would be lost"
    ):
        job.run.finish(second, job.device)
    job.run.finish([*first, *second], job.device)
    assert read_results(run_of(job)).records == [*first, *second]
    correct(job, BLUR, LEVELS, OPTIONS, RECIPE)


def test_answers_at_other_levels_are_kept_beside_each_other(job: Job) -> None:
    from deepcorrect.evaluation.answers import read_answers

    records = [measure(job, "net", NOISE, levels, 0) for levels in ((60.0,), (60.0, 90.0))]
    for record in records:
        found = read_answers(run_of(job), "noise", "net", record.levels)
        assert found is not None
        assert found.right.double().mean(1).tolist() == pytest.approx(record.top1)


def test_two_networks_of_one_name_do_not_replace_each_others_answers(job: Job) -> None:
    measure(job, "net", NOISE, LEVELS, 0)
    attach(job.model, Plan(distortion="noise", retrained=("0",)), job.example)
    with pytest.raises(DeepcorrectError, match="holds the answers of net under noise at 1, 2 of another network"):
        measure(job, "net", NOISE, LEVELS, 0)
    measure(job, "corrected", NOISE, LEVELS, 0)


def test_rankings_differ_by_method_and_shares_only_where_these_decide(job: Job) -> None:
    layers = convolutions(job.layers)[:1]
    exact = rank(job, BLUR, LEVELS, layers, RankingOptions(images=10), {"0": 0.5})
    assert exact.network == fingerprint(job.model)
    assert rank(job, BLUR, LEVELS, layers, RankingOptions(images=10, memory=10**6), {"0": 0.25}) == exact
    with pytest.raises(DeepcorrectError, match='method = "exact", not "joint"'):
        rank(job, BLUR, LEVELS, layers, RankingOptions(images=10, method="joint"), {"0": 0.5})
    with pytest.raises(DeepcorrectError, match='score = null, not "margin"'):
        rank(job, BLUR, LEVELS, layers, RankingOptions(images=10, score="margin"), {"0": 0.5})
    assert Ranking.load(run_of(job) / "ranking.json") == exact


def test_ideal_corrections_of_other_shares_or_another_ranking_are_refused(job: Job) -> None:
    layers = convolutions(job.layers)[:1]
    ranking = rank(job, BLUR, LEVELS, layers, RankingOptions(images=10), {"0": 0.5})
    found = measure_ideal(job, BLUR, LEVELS, ranking, layers, (0.5,), 20)
    assert measure_ideal(job, BLUR, LEVELS, ranking, layers, (0.5,), 20) == found
    with pytest.raises(DeepcorrectError, match=r"holds the ideal corrections with shares = \[0.5\], not \[1.0\]"):
        measure_ideal(job, BLUR, LEVELS, ranking, layers, (1.0,), 20)
    with pytest.raises(DeepcorrectError, match="images = 20, not 30"):
        measure_ideal(job, BLUR, LEVELS, ranking, layers, (0.5,), 30)
    turned = replace(ranking, order={"0": tuple(reversed(ranking.local("0")))})
    with pytest.raises(DeepcorrectError, match="holds the ideal corrections by another ranking"):
        measure_ideal(job, BLUR, LEVELS, turned, layers, (0.5,), 20)


def test_transfer_takes_more_distortions_but_no_other_protocol(job: Job) -> None:
    from deepcorrect.datasets.division import Counts, divide

    whole = random_images(60)
    data = Dataset("one", tuple("abcde"), "cifar", *divide({"all": whole}, Counts(4, 2)))
    job = other(job, data=data)
    protocol = Protocol("11", Counts(4, 2), splits=1)
    first = transfer(job, [(BLUR, (1.0,))], {}, protocol)
    assert transfer(job, [(BLUR, (1.0,)), (NOISE, (5.0,))], {}, protocol)[:2] == first
    with pytest.raises(DeepcorrectError, match="holds the transfer with splits = 1, not 2"):
        transfer(job, [(BLUR, (1.0,))], {}, replace(protocol, splits=2))
    changed = replace(BLUR, function=lambda images, severity: 1 - images)
    with pytest.raises(DeepcorrectError, match="holds the features under blur at 1 under another distortion of the same name"):
        transfer(job, [(changed, (1.0,))], {}, protocol)


def test_what_an_older_version_began_is_not_continued_but_read(corrected: Path, dataset: Dataset, tmp_path: Path) -> None:
    import shutil

    old = tmp_path / "old"
    shutil.copytree(corrected, old)
    (old / "stages.json").unlink()
    job = Job(make_toy("batch-norm"), dataset, run=Run(old, "mine", {"of": "mine"}))
    with pytest.raises(
        DeepcorrectError, match=r"baseline.json is there, but stages.json does not say of what; an older version"
    ):
        correct(job, BLUR, LEVELS, OPTIONS, RECIPE)
    assert not (old / "stages.json").exists()
    assert Ranking.load(old / "ranking.json").levels == LEVELS
    assert job.run is not None
    assert job.run.finished() is None


def test_a_distortion_that_draws_numbers_of_its_own_can_be_continued(job: Job) -> None:
    wild = Distortion("wild", lambda images, severity: images + torch.rand_like(images), {})
    state = torch.get_rng_state()
    assess(job, [(wild, LEVELS)])
    torch.set_rng_state(state)
    assess(job, [(wild, LEVELS)])
    assess(job, [(wild, LEVELS)])
