"""A correction trained for a user's own network on data of their own: as a job trains it, continued, saved and loaded."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import deepcorrect as dc
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.pipeline.correct import train_and_measure
from deepcorrect.runs.results import read_results
from deepcorrect.training import loop
from tests.conftest import labelled_by, make_toy, random_images

BLUR = dc.GaussianBlur(levels=(0.8, 1.6))
RECIPE = dc.get_recipe("fast", "correct", epochs=3, batch_size=32, precision="fp32")
FILTERS = {"0": (5, 1), "3": (2,)}
PLAN = dc.Plan(distortion="blur", filters={"0": (1, 5), "3": (2,)})


def part(seed: int, count: int) -> TensorDataset:
    images = labelled_by(make_toy("batch-norm"), random_images(count, seed=seed))
    return TensorDataset(as_float(images.images), images.labels)


TRAIN, VALIDATION = part(1, 100), part(2, 50)


@pytest.fixture
def network() -> nn.Module:
    return make_toy("batch-norm")


def weights(correction: dc.Correction) -> dict[str, list[float]]:
    return {name: value.tolist() for name, value in correction.state_dict().items()}


def test_a_correction_is_trained_as_a_job_trains_it(network: nn.Module) -> None:
    before = copy.deepcopy(network.state_dict())
    correction = dc.correct(
        network, DataLoader(TRAIN, 8, shuffle=True), VALIDATION, BLUR, filters=FILTERS, recipe=RECIPE, seed=4
    )
    parts = [dc.as_images(data) for data in (TRAIN, VALIDATION, VALIDATION)]
    job = dc.Job(make_toy("batch-norm"), Dataset("own", tuple("01234"), "cifar", *parts), seed=4)
    wanted, _ = train_and_measure(job, "own", BLUR, (0.8, 1.6), PLAN, RECIPE, half=False)
    assert correction.plan == PLAN
    assert weights(correction) == weights(wanted)
    assert [value.stride() for value in network.parameters()] == [value.stride() for value in job.model.parameters()]
    corrected = network(VALIDATION.tensors[0])
    correction.detach()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not torch.equal(network(VALIDATION.tensors[0]), corrected)


def test_finetuning_trains_copies_of_layers(network: nn.Module) -> None:
    correction = dc.finetune(network, TRAIN, VALIDATION, "blur", layers=2, levels=(0.8,), recipe=RECIPE)
    assert correction.plan == dc.Plan(distortion="blur", retrained=("0", "3"))
    assert set(correction.copies) == {"0", "1", "3", "4"}


def test_a_run_folder_holds_the_correction_and_what_it_is_worth(network: nn.Module, tmp_path: Path) -> None:
    test = part(3, 40)
    options: dict[str, Any] = {"filters": FILTERS, "recipe": RECIPE, "test": test, "out": tmp_path}
    correction = dc.correct(network, TRAIN, VALIDATION, BLUR, **options)
    before, after = read_results(tmp_path).records
    assert (before.name, after.name) == ("baseline", "deepcorr-2")
    assert after.top1 == dc.evaluate(network, test, BLUR).top1
    assert before.top1 == dc.evaluate(make_toy("batch-norm"), test, BLUR).top1
    again = make_toy("batch-norm")
    trained = weights(dc.correct(again, TRAIN, VALIDATION, BLUR, **options))
    assert trained == weights(correction)
    with pytest.raises(dc.DeepcorrectError, match="holds a run with plan"):
        dc.correct(make_toy("batch-norm"), TRAIN, VALIDATION, BLUR, **options | {"filters": {"0": (1,)}})


def test_an_interrupted_training_is_continued_to_the_same_weights(network: nn.Module, tmp_path: Path) -> None:
    whole = dc.correct(network, TRAIN, VALIDATION, BLUR, filters=FILTERS, recipe=RECIPE)
    other = make_toy("batch-norm").train()
    save, saved = loop._State.save, []

    def interrupted(state: Any, path: Path, *rest: Any) -> None:
        save(state, path, *rest)
        saved.append(path)
        if len(saved) == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._State, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            dc.correct(other, TRAIN, VALIDATION, BLUR, filters=FILTERS, recipe=RECIPE, out=tmp_path)
        assert all(module.training for module in other.modules())
        continued = dc.correct(other, TRAIN, VALIDATION, BLUR, filters=FILTERS, recipe=RECIPE, out=tmp_path)
    assert len(saved) == 3
    assert weights(continued) == weights(whole)


class Mirrored:
    """The training images, mirrored at random."""

    def __len__(self) -> int:
        return len(TRAIN)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, label = TRAIN[index]
        return image.flip(2) if torch.rand(()) < 0.5 else image, label


def test_random_transforms_are_trained_on_alike_by_any_number_of_workers() -> None:
    trained = []
    for workers in (0, 2):
        loader: DataLoader[Any] = DataLoader(Mirrored(), num_workers=workers)  # type: ignore[arg-type]
        correction = dc.correct(make_toy("batch-norm"), loader, VALIDATION, BLUR, filters=FILTERS, recipe=RECIPE)
        trained.append(weights(correction))
    assert trained[0] == trained[1]
    plain = dc.correct(make_toy("batch-norm"), TRAIN, VALIDATION, BLUR, filters=FILTERS, recipe=RECIPE)
    assert trained[0] != weights(plain)


def test_a_saved_correction_is_loaded_with_whatever_shows_the_images(network: nn.Module, tmp_path: Path) -> None:
    correction = dc.correct(network, TRAIN, VALIDATION, BLUR, filters=FILTERS, recipe=RECIPE)
    correction.save(tmp_path / "blur.safetensors")
    images = VALIDATION.tensors[0]
    for example in (images, (images * 255).byte(), VALIDATION, DataLoader(VALIDATION), images.numpy(), DataLoader(Mirrored())):  # type: ignore[arg-type]
        other = make_toy("batch-norm")
        dc.load_correction(tmp_path / "blur.safetensors", other, example)
        torch.testing.assert_close(other(images), network(images), atol=1e-6, rtol=1e-5)
        fresh = dc.attach(make_toy("batch-norm"), PLAN, example, seed=1)
        assert weights(fresh) == weights(dc.attach(make_toy("batch-norm"), PLAN, images, seed=1))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"train": TRAIN.tensors[0]}, "the images have no labels, which training needs"),
        ({"validation": VALIDATION.tensors[0]}, "the images have no labels, which the choice of the best epoch needs"),
        ({"test": VALIDATION.tensors[0]}, "the images have no labels, which measuring accuracy needs"),
        ({"validation": DataLoader(Mirrored())}, "Mirrored: its images differ each time they are read"),  # type: ignore[arg-type]
        ({"train": (TRAIN.tensors[0][..., :6], TRAIN.tensors[1])}, "the training images are 3x8x6, the others 3x8x8"),
        ({"filters": {"0": (99,)}}, "layer 0 has 8 filters, numbered from 0; the plan asks for 1 of them up to 99"),
        ({"filters": {"stem": (1,)}}, "unknown layer 'stem'"),
        ({"filters": {}}, "no filters to correct: give some of one layer at least, or use finetune"),
        ({"filters": {"0": "12"}}, "filters of type dict: give the numbers of the filters by layer"),
        ({"filters": [1, 2]}, r"filters of type list: .* as ranking\.top\(0\.5\) does"),
        ({"unit": "huge"}, "huge"),
        ({"seed": 1.5}, "seed=1.5: give an integer"),
        ({"retrained": ("0",)}, "layer 0 cannot be corrected and retrained at once"),
        ({"recipe": "quick"}, "'quick' is unknown; use paper"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_the_network_left_as_it_was(
    change: dict[str, Any], reason: str, network: nn.Module
) -> None:
    network.train()
    strides = [weight.stride() for weight in network.parameters()]
    options: dict[str, Any] = {"train": TRAIN, "validation": VALIDATION, "filters": FILTERS, "recipe": RECIPE} | change
    with pytest.raises(dc.DeepcorrectError, match=reason):
        dc.correct(network, distortion=BLUR, **options)
    assert all(module.training for module in network.modules())
    assert all(weight.requires_grad for weight in network.parameters())
    assert [weight.stride() for weight in network.parameters()] == strides
    assert {type(module) for module in network} == {type(module) for module in make_toy("batch-norm")}  # type: ignore[attr-defined]


def test_a_second_correction_is_refused_before_anything_is_read(network: nn.Module) -> None:
    dc.attach(network, PLAN, TRAIN)
    with pytest.raises(dc.DeepcorrectError, match="already has a correction"):
        dc.correct(network, None, None, BLUR, filters=FILTERS)


def test_unlabelled_training_images_serve_a_recipe_that_only_distils(network: nn.Module) -> None:
    recipe = RECIPE.model_copy(update={"distill": 1.0})
    without = dc.correct(network, TRAIN.tensors[0], VALIDATION, BLUR, filters=FILTERS, recipe=recipe)
    labelled = dc.correct(make_toy("batch-norm"), TRAIN, VALIDATION, BLUR, filters=FILTERS, recipe=recipe)
    assert weights(without) == weights(labelled)


def test_a_ranking_chooses_what_is_corrected(network: nn.Module) -> None:
    ranking = dc.rank(network, DataLoader(VALIDATION), BLUR, images=30)
    correction = dc.correct(
        network, DataLoader(TRAIN), DataLoader(VALIDATION), BLUR, filters=ranking.top(0.5, layers=2), recipe=RECIPE
    )  # fmt: skip
    first, second = list(ranking.scores)[:2]
    assert correction.plan.filters == {
        layer: tuple(sorted(ranking.local(layer)[:count])) for layer, count in ((first, 4), (second, 6))
    }


def test_the_old_forms_still_work(network: nn.Module) -> None:
    parts = [dc.as_images(data) for data in (TRAIN, VALIDATION, VALIDATION)]
    job = dc.Job(network, Dataset("own", tuple("01234"), "cifar", *parts))
    options = dc.CorrectionOptions(layers=("0",), shares=(0.5,), ranked=dc.RankingOptions(images=20))
    recipe = RECIPE.model_copy(update={"epochs": 1})
    correction, records = dc.correct(job, BLUR, (0.8,), options, recipe)
    correction.detach()
    assert [record.name for record in records] == ["baseline", "deepcorr-1"]
    copies, records = dc.finetune(job=job, distortion=BLUR, levels=(0.8,), layers=["0"], recipe=recipe)
    copies.detach()
    assert [record.name for record in records] == ["baseline", "finetune-1"]
