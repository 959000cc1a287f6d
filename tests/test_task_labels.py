"""Labels are read where a task compares with them, refused where they are missing, and not read where they have no weight."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from deepcorrect.adapters.attach import attach
from deepcorrect.adapters.plan import Plan
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.processes import Processes, T
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.evaluation.sweep import evaluate, observe
from deepcorrect.models.layers import convolutions, find_layers
from deepcorrect.ranking.exact import rank_filters
from deepcorrect.ranking.ideal import evaluate_ideal
from deepcorrect.runs.samples import Samples
from deepcorrect.swapping.swaps import swaps_of
from deepcorrect.tasks.classification import CLASSIFICATION
from deepcorrect.training.loop import train
from deepcorrect.training.recipes import Recipe, get_recipe
from deepcorrect.training.teacher import Teacher
from tests.conftest import labelled_by, make_toy, random_images

NOISE = get_distortion("noise")
FEW = {"epochs": 2, "batch_size": 20, "precision": "fp32", "match": 0.5, "validate_images": 30}


def unlabelled(images: ImageSet, count: int) -> ImageSet:
    return images.labelled(images.labels.index_fill(0, torch.arange(count), -1))


USES: dict[str, Callable[[nn.Module, ImageSet], object]] = {
    "accuracy": lambda model, images: evaluate(model, images, NOISE, (40,), classes=5),
    "ranking": lambda model, images: rank_filters(model, images, NOISE, (40,), layers=find_layers(model, first(images))[:1]),
    "ideal": lambda model, images: evaluate_ideal(model, images, NOISE, (40,), find_layers(model, first(images))[0], [(0,)]),
}


def first(images: ImageSet) -> Tensor:
    return as_float(images.images[:2])


@pytest.mark.parametrize("use", USES)
def test_where_labels_are_compared_with_images_without_one_are_refused(use: str) -> None:
    model = make_toy("plain")
    for count in (1, 20):
        with pytest.raises(DeepcorrectError, match=f"^({count} of 20 images have|the images have) no label.* give pairs"):
            USES[use](model, unlabelled(random_images(20), count))
    USES[use](model, random_images(20))


def test_labels_beyond_the_outputs_are_refused_by_a_ranking() -> None:
    model, images = make_toy("plain"), random_images(20)
    beyond = images.labelled(images.labels.index_fill(0, torch.tensor([3]), 5))
    with pytest.raises(DeepcorrectError, match="labelled 0 to 5, the network has 5 outputs, numbered from 0"):
        USES["ranking"](model, beyond)


def taught(data: Dataset, recipe: Recipe) -> dict[str, Tensor]:
    network = make_toy("batch-norm")
    correction = attach(network, Plan(distortion="noise", filters={"0": (0, 1, 2)}), as_float(data.test.held().images[:2]))
    train(network, correction, data, recipe, distortion=NOISE, levels=(20, 40), teacher=Teacher(network, correction, "11"))
    return correction.state_dict()


def test_training_reads_no_labels_that_have_no_weight(dataset: Dataset) -> None:
    without = replace(dataset, train=unlabelled(dataset.train.held(), 60))
    recipe = get_recipe("fast", "correct", distill=1.0, **FEW)
    labelled, alone = taught(dataset, recipe), taught(without, recipe)
    assert all(torch.equal(value, alone[name]) for name, value in labelled.items())
    mixed = get_recipe("fast", "correct", distill=0.9, **FEW)
    assert any(not torch.equal(value, alone[name]) for name, value in taught(dataset, mixed).items())
    with pytest.raises(DeepcorrectError, match=r"^60 of 60 images have no label"):
        taught(without, mixed)


def test_images_that_choose_the_epoch_need_labels_before_anything_is_trained(dataset: Dataset) -> None:
    without = replace(dataset, validation=unlabelled(dataset.validation.held(), 1))
    network = make_toy("plain")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    recipe = get_recipe("fast", "baseline", epochs=1, batch_size=20, precision="fp32")
    with pytest.raises(DeepcorrectError, match=r"^1 of 30 images have no label"):
        train(network, network, without, recipe, distortion=None, levels=())
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())


def test_of_fewer_than_five_classes_minus_one_stands_for_the_rest() -> None:
    logits = torch.tensor([[0.1, 0.3, 0.2], [2.0, 1.0, 3.0]])
    assert CLASSIFICATION.observe(logits, torch.tensor([0, 1])).tolist() == [[1, 2, 0, -1, -1], [2, 0, 1, -1, -1]]


class Alone(Processes):
    """One of two processes, without the other: its sums are its own share, and it is told what the first has."""

    told: object = None

    def _summed(self, values: Tensor) -> Tensor:
        return values

    def agreed(self, value: T) -> T:
        if self.rank == 0:
            Alone.told = value
        return Alone.told  # type: ignore[return-value]


def test_a_process_without_a_batch_adds_nothing_of_the_same_shape() -> None:
    model, images = make_toy("plain"), random_images(12)
    shares = [observe(model, images, NOISE, (0.0, 40.0), batch_size=12, processes=Alone(rank, 2)) for rank in (0, 1)]
    whole = observe(model, images, NOISE, (0.0, 40.0), batch_size=5)
    assert torch.equal(shares[0], whole)
    assert torch.equal(shares[0] + shares[1], whole)
    assert shares[1].dtype == whole.dtype


def test_no_images_are_nothing_to_measure_on() -> None:
    with pytest.raises(DeepcorrectError, match="no images to measure on"):
        evaluate(make_toy("plain"), random_images(4).take(torch.arange(0)), NOISE, (40,), classes=5)


def test_several_outputs_of_a_classifier_are_ranked_and_measured_by_their_logits() -> None:
    class Several(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = make_toy("plain")

        def forward(self, images: Tensor) -> dict[str, Tensor]:
            logits: Tensor = self.network(images)
            return {"features": images, "logits": logits}

    model, images = Several().eval(), random_images(20)
    layers, bare = (convolutions(find_layers(net, first(images)))[:1] for net in (model, model.network))
    assert swaps_of(model, images, torch.device("cpu")).outputs.shape == (3, 5)
    found, expected = (
        rank_filters(net, images, NOISE, (60,), layers=chosen) for net, chosen in ((model, layers), (model.network, bare))
    )
    assert list(found.scores.values()) == list(expected.scores.values())
    assert list(found.margins.values()) == list(expected.margins.values())
    assert evaluate(model, images, NOISE, (60,), classes=5) == evaluate(model.network, images, NOISE, (60,), classes=5)


def test_pictures_are_captioned_with_the_likeliest_class_and_whether_it_is_right(dataset: Dataset) -> None:
    model = make_toy("plain")
    data = replace(dataset, test=labelled_by(model, dataset.test.held()))
    samples = Samples(data, NOISE, (90,), seed=0, device=torch.device("cpu"))
    samples.ask("it", model)
    shown = samples.as_json()
    assert isinstance(shown["answers"], dict)
    clean, noisy = shown["answers"]["it"]
    assert [caption["right"] for caption in clean] == [True] * len(clean)
    assert [caption["right"] for caption in noisy] != [True] * len(noisy)
    captions = CLASSIFICATION.caption(torch.tensor([[0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0]]), torch.tensor([1, 0]), "abc")
    assert [(caption["label"], caption["right"]) for caption in captions] == [("b", True), ("output 3", False)]
    assert captions[0]["confidence"] == pytest.approx(math.exp(3) / (math.exp(3) + 3), abs=1e-4)
