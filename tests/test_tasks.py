"""A task of the user's goes through training, evaluation, ranking and ideal correction; what classification refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deepcorrect.adapters.attach import attach
from deepcorrect.adapters.plan import Plan
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import speaking_of_options
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.evaluation.sweep import evaluate
from deepcorrect.models.layers import Layer, find_layers
from deepcorrect.pipeline.baselines import assess
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.rank import RankingOptions, rank
from deepcorrect.ranking.attribution import attribute_filters
from deepcorrect.ranking.exact import rank_filters
from deepcorrect.ranking.gain_files import GainFiles
from deepcorrect.ranking.gains import GainMeter
from deepcorrect.ranking.ideal import evaluate_ideal
from deepcorrect.ranking.joint import rank_jointly
from deepcorrect.runs.results import Run
from deepcorrect.runs.samples import Samples
from deepcorrect.swapping.graph_swap import GraphSwap
from deepcorrect.swapping.patching import capture, patched
from deepcorrect.tasks.base import Task
from deepcorrect.tasks.classification import Classification
from deepcorrect.training.loop import train
from deepcorrect.training.recipes import get_recipe
from deepcorrect.training.teacher import Teacher
from tests.toy_tasks import Regression, Segmentation, Toy, make

NOISE = get_distortion("noise")
LEVELS = (40.0, 90.0)
STILL = {"flip": False, "shift": 0.0, "precision": "fp32", "optimizer": "sgd", "distill": 0.0, "match": 0.0}


@pytest.fixture(params=[Regression(), Segmentation()], ids=["regression", "segmentation"])
def toy(request: pytest.FixtureRequest) -> Toy:
    return make(request.param)


def layers_of(toy: Toy) -> list[Layer]:
    return [layer for layer in find_layers(toy.network, as_float(toy.images.images[:2])) if layer.name in ("first", "second")]


def distorted(toy: Toy, level: float) -> Tensor:
    return NOISE.at(as_float(toy.images.images), level, toy.images.indices, 0)


@torch.no_grad()
def swapped(toy: Toy, layer: str, filters: list[int], level: float) -> Tensor:
    """The mean of the first score with some filters swapped by a hook."""
    with capture(toy.network, [layer]) as clean:
        toy.network(as_float(toy.images.images))
    with patched(toy.network, layer, filters, clean[layer][:, filters]):
        outputs = toy.task.outputs(toy.network(distorted(toy, level)))
    return toy.task.score(outputs, toy.images.labels)[0].double().mean()


def test_metrics_are_those_of_all_images_at_once_for_any_batch_size(toy: Toy) -> None:
    found = evaluate(toy.network, toy.images, NOISE, LEVELS, classes=2, task=toy.task, batch_size=7)
    assert tuple(found.metrics) == toy.task.metrics
    for row, level in enumerate((0.0, *LEVELS)):
        with torch.no_grad():
            outputs = toy.task.outputs(toy.network(distorted(toy, level)))
        if isinstance(toy.task, Segmentation):
            predicted, labels = outputs.argmax(1), toy.images.labels
            of_class = [
                ((predicted == one) & (labels == one)).sum().item() / ((predicted == one) | (labels == one)).sum().item()
                for one in (0, 1)
            ]
            expected = sum(of_class) / 2
            assert found.per_class[row] == pytest.approx(of_class)
        else:
            expected = -(outputs - toy.images.labels).abs().mean().item()
        assert found.metrics[toy.task.metrics[0]][row] == pytest.approx(expected, rel=1e-5)
    assert found.answers is None
    assert len(set(found.metrics[toy.task.metrics[0]])) == 3


def test_a_swap_gains_what_a_hook_says_it_does(toy: Toy) -> None:
    layers = layers_of(toy)
    meter = GainMeter(toy.network, toy.images, NOISE, task=toy.task)
    assert all(isinstance(meter.swap(layer), GraphSwap) for layer in layers)
    ranking = rank_filters(toy.network, toy.images, NOISE, LEVELS, layers=layers, task=toy.task)
    assert ranking.score == toy.task.scores[0]
    bare = [float(swapped(toy, "first", [], level)) for level in LEVELS]
    assert ranking.baseline == pytest.approx(bare, rel=1e-5)
    for layer in layers:
        for filter_ in range(layer.filters):
            after = [float(swapped(toy, layer.name, [filter_], level)) for level in LEVELS]
            gain = sum(after) / 2 - sum(bare) / 2
            assert ranking.scores[layer.name][filter_] == pytest.approx(gain, abs=1e-6)
        assert len({round(score, 6) for score in ranking.scores[layer.name]}) > 1


def test_ideal_correction_is_swapping_by_hand(toy: Toy) -> None:
    for layer in layers_of(toy):
        choices = [[], [0, 2], list(range(layer.filters))]
        found = evaluate_ideal(toy.network, toy.images, NOISE, LEVELS, layer, choices, task=toy.task, batch_size=7)
        assert found == evaluate_ideal(toy.network, toy.images, NOISE, LEVELS, layer, choices, task=toy.task)
        for choice, scores in zip(choices, found, strict=True):
            assert scores == pytest.approx([float(swapped(toy, layer.name, choice, level)) for level in LEVELS], rel=1e-5)


def test_an_estimate_of_a_linear_score_is_exact() -> None:
    toy = make(Regression())
    layer = layers_of(toy)[1]  # all that follows it is linear, and so is the score
    meter = GainMeter(toy.network, toy.images, NOISE, task=toy.task)
    estimated = attribute_filters(meter, LEVELS, layers=[layer], score="difference")
    exact = rank_filters(toy.network, toy.images, NOISE, LEVELS, layers=[layer], score="difference", task=toy.task)
    assert estimated.scores["second"] == pytest.approx(exact.scores["second"], rel=1e-3, abs=1e-6)
    assert estimated.baseline == pytest.approx(exact.baseline)
    assert estimated.reliability["second"].keys() == {"difference"}


def test_a_method_that_needs_gradients_ranks_by_the_first_score_that_has_one(toy: Toy) -> None:
    meter = GainMeter(toy.network, toy.images, NOISE, task=toy.task)
    chosen = rank_jointly(meter, LEVELS, layers=layers_of(toy)[:1], counts={"first": 2}, block=1)
    expected = "log_likelihood" if isinstance(toy.task, Segmentation) else "negative_error"
    assert chosen.score == expected == attribute_filters(meter, LEVELS, layers=layers_of(toy)).score


def test_training_begins_with_the_tasks_loss_and_keeps_the_epoch_of_its_metric(toy: Toy) -> None:
    start = toy.data.train.held()
    with torch.no_grad():
        loss = toy.task.loss(toy.task.outputs(toy.network(as_float(start.images))), start.labels).item()
    recipe = get_recipe("paper", "baseline", epochs=1, batch_size=10, rate=1e-9, **STILL)
    (first,) = train(toy.network, toy.network, toy.data, recipe, distortion=None, levels=(), task=toy.task)
    assert first.loss == pytest.approx(loss, rel=1e-4)
    assert f"validation_{toy.task.metrics[0]}" in first.as_json()
    recipe = get_recipe("paper", "baseline", epochs=12, batch_size=10, rate=0.1, milestones=(9,), **STILL)
    history = train(toy.network, toy.network, toy.data, recipe, distortion=NOISE, levels=(20,), task=toy.task)
    assert history[-1].loss < first.loss / 1.5
    measured = evaluate(toy.network, toy.data.validation, NOISE, (20,), classes=2, task=toy.task)
    assert measured.mean(toy.task.metrics[0]) == max(epoch.validation_mean for epoch in history)


def test_a_teacher_compares_by_the_tasks_divergence() -> None:
    toy = make(Regression())
    clean = as_float(toy.images.images[:6])
    correction = attach(toy.network, Plan(distortion="noise", retrained=("second",)), clean)
    teacher = Teacher(toy.network, correction, "head", task=toy.task)
    with teacher.attending():
        lesson = teacher.teach(distorted(toy, 90.0)[:6], clean)
    with torch.no_grad():
        values = [toy.network(images)["values"] for images in (distorted(toy, 90.0)[:6], clean)]
    assert torch.equal(lesson.outputs, values[0])
    assert lesson.divergence.item() == pytest.approx(((values[0] - values[1]) ** 2).mean().item())


def test_a_job_of_another_task_ranks_shows_samples_and_keeps_its_results_to_itself(toy: Toy, tmp_path: Path) -> None:
    def job(task: Regression | None = None) -> Job:
        run = Run(tmp_path / "run", "rank", {})
        return Job(toy.network, toy.data, run=run, task=task or toy.task)

    layers = layers_of(toy)
    ranking = rank(job(), NOISE, LEVELS, layers, RankingOptions(), {"first": 0.5, "second": 0.5})
    assert rank(job(), NOISE, LEVELS, layers, RankingOptions(), {"first": 0.5, "second": 0.5}) == ranking
    renamed = type("Renamed", (type(toy.task),), {"name": "another"})
    with pytest.raises(DeepcorrectError, match=r"holds the ranking of a network for another task"):
        rank(job(renamed()), NOISE, LEVELS, layers, RankingOptions(), {"first": 0.5, "second": 0.5})
    if isinstance(toy.task, Segmentation):
        return  # a picture of segments has no words
    samples = Samples(toy.data, NOISE, LEVELS, seed=0, device=torch.device("cpu"), task=toy.task)
    samples.ask("baseline", toy.network)
    (shown,) = samples.as_json()["answers"].values()  # type: ignore[attr-defined]
    assert len(shown) == 3


def test_kept_gains_of_another_task_are_not_taken_for_ones_own(tmp_path: Path) -> None:
    toy = make(Regression())
    of_classes = ImageSet.whole(toy.images.images, torch.arange(30) % 2)
    other = type("Other", (Classification,), {"name": "other", "traits": Task.traits})()
    for task, refused in ((Classification(), other), (other, Classification())):
        model = nn.Sequential(toy.network.first, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()  # type: ignore[arg-type]
        (layer,) = find_layers(model, as_float(toy.images.images[:2]))
        folder = tmp_path / str(task.traits()["network task"])
        kept = GainFiles(GainMeter(model, of_classes, NOISE, task=task), folder).measure(layer, 40.0)
        again = GainFiles(GainMeter(model, of_classes, NOISE, task=task), folder).measure(layer, 40.0)
        assert torch.equal(again.each, kept.each)
        with pytest.raises(DeepcorrectError, match="holds work of a network for another task; choose"):
            GainFiles(GainMeter(model, of_classes, NOISE, task=refused), folder)


@pytest.mark.parametrize(("method", "score"), [("exact", "top-1"), ("attribution", "difference "), ("joint", "")])
def test_an_unknown_score_is_named_with_those_there_are(method: str, score: str) -> None:
    toy = make(Regression())
    options = RankingOptions(method=method, score=score or "pixel_accuracy")  # type: ignore[arg-type]
    with pytest.raises(DeepcorrectError, match=r"^score='.*': unknown; use negative_error or difference$"):
        rank(Job(toy.network, toy.data, task=toy.task), NOISE, LEVELS, layers_of(toy), options, {"first": 0.5, "second": 0.5})
    with (
        speaking_of_options(),
        pytest.raises(DeepcorrectError, match=r"^--score pixel_accuracy: has no gradient .* use log_likelihood$"),
    ):
        Segmentation().index_of("pixel_accuracy", gradient=True)


def test_a_run_has_no_place_for_other_metrics_and_says_so_before_anything_is_measured() -> None:
    toy = make(Regression())
    with pytest.raises(DeepcorrectError, match="no fields for negative_error of regression; use evaluate and train"):
        assess(Job(toy.network, toy.data, task=toy.task), [(NOISE, LEVELS)])


class Merged(Regression):
    """Has one row for all images."""

    def outputs(self, answer: object) -> Tensor:
        return super().outputs(answer).sum(0, keepdim=True)


def test_outputs_that_are_not_one_row_an_image_are_refused() -> None:
    toy = make(Regression())
    with pytest.raises(DeepcorrectError, match=r"answers 2 images with a \(1, 2\) tensor of float32; .* one row an image"):
        Job(toy.network, toy.data, task=Merged())
