from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deepcorrect.adapters.attach import attach
from deepcorrect.adapters.correction import Correction
from deepcorrect.adapters.plan import Plan
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.processes import Processes
from deepcorrect.base.progress import EpochMetrics, Reporter, Silent
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.training.augmentation import augment
from deepcorrect.training.batches import TrainingBatch, TrainingBatches
from deepcorrect.training.loop import train
from deepcorrect.training.recipes import Recipe, get_recipe
from deepcorrect.training.teacher import Teacher
from tests.conftest import make_toy

NOISE = get_distortion("noise")
RECIPE = get_recipe("paper", "correct", epochs=4, passes=1, batch_size=20, milestones=(), rotation=0.0, first_epoch_rate=None)
TAUGHT = RECIPE.model_copy(update={"optimizer": "muon", "rate": 0.05, "distill": 0.9, "match": 2.0})


class Interrupt(Silent):
    """Stops the training after some epochs, as Ctrl-C would."""

    def __init__(self, after: int) -> None:
        self._after = after

    def epochs(self, history: object) -> None:
        assert isinstance(history, list)
        if len(history) == self._after:
            raise KeyboardInterrupt


def corrected(data: Dataset) -> tuple[nn.Module, Correction]:
    network = make_toy("batch-norm")
    plan = Plan(distortion="noise", filters={"0": (0, 1, 2), "3": (1, 4)})
    return network, attach(network, plan, as_float(data.test.held().images[:2]), seed=3)


@pytest.mark.parametrize("recipe", [RECIPE, TAUGHT], ids=["sgd", "muon, taught"])
def test_an_interrupted_training_ends_with_the_weights_of_an_uninterrupted_one(
    recipe: Recipe, dataset: Dataset, tmp_path: Path
) -> None:
    def run(checkpoint: Path | None = None, reporter: Reporter | None = None) -> tuple[nn.Module, list[EpochMetrics]]:
        network, correction = corrected(dataset)
        teacher = Teacher(network, correction, "11") if recipe.distill else None
        history = train(
            network, correction, dataset, recipe, distortion=NOISE, levels=(20, 40), seed=3,
            teacher=teacher, checkpoint=checkpoint, reporter=reporter,
        )  # fmt: skip
        return correction, history

    whole, history = run()
    file = tmp_path / "checkpoint.pt"
    for stop in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            run(file, Interrupt(stop))
    part, resumed = run(file)
    assert all(torch.equal(whole.state_dict()[name], value) for name, value in part.state_dict().items())
    assert [epoch.loss for epoch in resumed] == [epoch.loss for epoch in history]
    assert not list(tmp_path.glob("*.partial"))


def test_a_recipe_that_distils_needs_a_teacher(dataset: Dataset) -> None:
    network, part = corrected(dataset)
    with pytest.raises(ValueError, match="teacher"):
        train(network, part, dataset, TAUGHT, distortion=NOISE, levels=(20, 40))


def test_another_seed_gives_other_weights(dataset: Dataset) -> None:
    ends = []
    for seed in (3, 4):
        network, part = corrected(dataset)
        train(network, part, dataset, RECIPE, distortion=NOISE, levels=(20, 40), seed=seed)
        ends.append(torch.cat([value.flatten() for value in part.parameters()]))
    assert not torch.allclose(ends[0], ends[1])


def test_the_best_epoch_on_validation_images_is_kept(dataset: Dataset) -> None:
    network, part = corrected(dataset)
    history = train(network, part, dataset, RECIPE, distortion=NOISE, levels=(20, 40), seed=3)
    from deepcorrect.evaluation.sweep import evaluate

    found = evaluate(network, dataset.validation, NOISE, (20, 40), classes=5, seed=3)
    assert found.mean_top1 == max(epoch.validation_mean for epoch in history)


def test_training_learns_what_it_is_shown(digits: Dataset, small: nn.Module) -> None:
    recipe = get_recipe("fast", "baseline", epochs=8, batch_size=64, precision="fp32")
    history = train(small, small, digits, recipe, distortion=None, levels=())
    assert history[-1].validation[0] > 0.85
    assert history[-1].loss < history[0].loss


def test_a_loss_that_is_not_finite_stops_the_run(dataset: Dataset) -> None:
    network, part = corrected(dataset)
    broken = RECIPE.model_copy(update={"rate": 1e30})
    with pytest.raises(
        DeepcorrectError, match=r"the loss is (nan|inf) at step \d+ with learning rate .*; try a lower rate or precision='fp32'"
    ):
        train(network, part, dataset, broken, distortion=NOISE, levels=(20,))


def test_a_broken_checkpoint_is_named(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    network, part = corrected(dataset)
    with pytest.raises(DeepcorrectError, match=r"checkpoint.pt: not a sound checkpoint"):
        train(network, part, dataset, RECIPE, distortion=NOISE, levels=(20,), checkpoint=tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_a_share_of_each_batch_is_distorted_at_levels_drawn_uniformly(share: float, dataset: Dataset) -> None:
    mark = Distortion("mark", lambda images, severity: images * 0 - severity.view(-1, 1, 1, 1), {})
    recipe = get_recipe("paper", "correct", passes=1, batch_size=20, shift=0.0, rotation=0.0, flip=False, distorted=share)
    batches = TrainingBatches(dataset.train, recipe, distortion=mark, levels=(1, 2, 3), seed=0, device=torch.device("cpu"))
    seen: list[float] = []
    for epoch in range(40):
        for images, clean, _, _ in batches.epoch(epoch):
            levels = -images[:, 0, 0, 0]
            count = int(len(images) * share)
            assert (levels > 0).sum() == count
            assert torch.equal(images[count:], clean[count:])
            assert clean.min() >= 0
            seen += levels[levels > 0].tolist()
    shares = [seen.count(level) / len(seen) for level in (1, 2, 3)]
    assert all(abs(share - 1 / 3) < 0.05 for share in shares)


def test_every_image_is_seen_once_a_pass(dataset: Dataset) -> None:
    recipe = get_recipe("fast", "correct", batch_size=25, passes=2, shift=0.0, flip=False)
    batches = TrainingBatches(dataset.train, recipe, distortion=None, levels=(), seed=0, device=torch.device("cpu"))
    seen = torch.cat([batch.labels for batch in batches.epoch(0)])
    assert torch.equal(torch.bincount(seen, minlength=5), 2 * torch.bincount(dataset.train.labels, minlength=5))
    assert batches.steps_per_epoch == 6


@pytest.mark.parametrize("distorted", [0.5, 0.9])
def test_the_parts_of_several_processes_make_up_the_batch(dataset: Dataset, distorted: float) -> None:
    recipe = get_recipe("paper", "correct", passes=1, batch_size=25, distorted=distorted)

    def epoch(processes: Processes) -> list[TrainingBatch]:
        source = TrainingBatches(
            dataset.train, recipe, distortion=NOISE, levels=(20, 60), seed=0, device=torch.device("cpu"), processes=processes
        )  # fmt: skip
        return list(source.epoch(1))

    for whole, *parts in zip(epoch(Processes()), *(epoch(Processes(rank, 3)) for rank in range(3)), strict=True):
        assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
        assert torch.equal(torch.cat([part.clean for part in parts]), whole.clean)
        assert torch.equal(torch.cat([part.labels for part in parts]), whole.labels)
        assert sum(part.share for part in parts) == pytest.approx(whole.share)


@pytest.mark.parametrize("steps", [2, 7])
def test_an_epoch_can_be_a_number_of_batches(dataset: Dataset, steps: int) -> None:
    recipe = get_recipe("fast", "correct", batch_size=25, steps=steps, shift=0.0, flip=False)
    batches = TrainingBatches(dataset.train, recipe, distortion=None, levels=(), seed=0, device=torch.device("cpu"))
    first = [batch.clean for batch in batches.epoch(0)]
    assert len(first) == batches.steps_per_epoch == steps
    assert recipe.images_an_epoch(len(dataset.train)) == steps * 25
    assert not torch.equal(first[0], next(batches.epoch(1)).clean)


def test_published_learning_rates() -> None:
    finetune, units = get_recipe("paper", "finetune"), get_recipe("paper", "correct")
    assert [finetune.rate_at(epoch * 7, 7) for epoch in (0, 9, 10, 20, 39)] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-4, 1e-5])
    assert [units.rate_at(epoch * 7, 7) for epoch in (0, 10, 30)] == pytest.approx([0.1, 0.01, 1e-4])
    assert [units.warm_up(layers) for layers in (1, 4, 5, 6)] == [None, None, 0.01, 0.01]
    assert finetune.warm_up(6) is None
    assert (units.batch_size, units.epochs, units.passes, units.l1, units.momentum) == (250, 40, 2, 1e-5, 0.9)
    assert (units.shift, units.rotation, units.flip) == (0.15, 20, True)


def test_one_cycle_rises_to_the_peak_and_ends_near_zero() -> None:
    recipe = get_recipe("fast", "correct", epochs=10)
    rates = [recipe.rate_at(step, 100) for step in range(1000)]
    assert max(rates) == pytest.approx(recipe.rate, rel=0.01)
    assert rates.index(max(rates)) == pytest.approx(recipe.warmup * 1000, abs=2)
    assert rates[0] < recipe.rate / 100
    assert rates[-1] < recipe.rate / 1000


def test_recipes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text('base = "paper"\nepochs = 7\n')
    recipe = get_recipe(str(file), "finetune", rate=0.5)
    assert (recipe.epochs, recipe.rate, recipe.rotation) == (7, 0.5, 20)
    for wrong in ("epochs = 0", "epoch = 3", "epochs = ["):
        file.write_text(wrong)
        with pytest.raises(DeepcorrectError, match=r"my\.toml"):
            get_recipe(str(file), "finetune")
    with pytest.raises(DeepcorrectError, match="'quick' is unknown; use paper, imagenet, fast"):
        get_recipe("quick", "correct")


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_without_augmentation_images_stay() -> None:
    images = torch.rand(5, 3, 8, 6)
    assert torch.allclose(augment(images, flip=False, shift=0, rotation=0, generator=stream()), images)


def test_flips_and_whole_pixel_shifts_move_pixels_and_change_none() -> None:
    images = torch.rand(200, 1, 8, 8)
    moved = augment(images, flip=True, shift=0, rotation=0, generator=stream())
    flipped = [torch.equal(image, before.flip(2)) for image, before in zip(moved, images, strict=True)]
    same = [torch.equal(image, before) for image, before in zip(moved, images, strict=True)]
    assert all(a != b for a, b in zip(flipped, same, strict=True))
    assert 70 < sum(flipped) < 130
    shifted = augment(images, flip=False, shift=0.25, rotation=0, generator=stream())
    offsets = set()
    for image, before in zip(shifted, images, strict=True):
        padded = nn.functional.pad(before, (2, 2, 2, 2), mode="constant", value=-1)
        inner = image[:, 2:6, 2:6]
        found = [(y, x) for y in range(5) for x in range(5) if torch.equal(inner, padded[:, y + 2 : y + 6, x + 2 : x + 6])]
        assert found
        offsets.add(found[0])
    assert len(offsets) == 25


def test_rotation_turns_by_the_angle_it_says() -> None:
    images = torch.zeros(100, 1, 33, 33)
    images[:, :, 14:19, 28:31] = 1
    turned = augment(images, flip=False, shift=0, rotation=20, generator=stream())
    grid = torch.arange(33.0) - 16
    mass = turned.sum((1, 2, 3))
    angles = torch.atan2((turned * grid.view(1, 1, -1, 1)).sum((1, 2, 3)) / mass, (turned * grid).sum((1, 2, 3)) / mass)
    assert angles.abs().max().rad2deg().item() == pytest.approx(20, abs=1.5)
    assert angles.rad2deg().std().item() == pytest.approx(40 / 12**0.5, rel=0.2)


def test_metrics_mean_is_over_all_levels() -> None:
    assert EpochMetrics(1, 20, 0.5, 0.1, (0.9, 0.6, 0.3), 1.0, 1.0).validation_mean == pytest.approx(0.6)


class Helped(nn.Module):
    """Answers with an auxiliary classifier's logits too, in training mode alone, as GoogLeNet does."""

    def __init__(self, answer: Callable[[Tensor, Tensor], object]) -> None:
        super().__init__()
        self.conv, self.helper, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 5), nn.Linear(8, 5)
        self.drop, self.answer = nn.Dropout(0.5), answer

    def forward(self, images: Tensor) -> object:
        held = self.drop(torch.relu(self.conv(images)).mean((2, 3)))
        logits = self.head(held)
        return self.answer(logits, self.helper(held)) if self.training else logits


Outputs = namedtuple("Outputs", "logits aux_logits")


def trained(dataset: Dataset, answer: Callable[[Tensor, Tensor], object], seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(0)
    network = Helped(answer)
    torch.manual_seed(seed)
    train(network, network, dataset, RECIPE, distortion=None, levels=())
    return network.state_dict()


def test_of_several_outputs_in_training_the_logits_are_trained(dataset: Dataset) -> None:
    alone = trained(dataset, lambda logits, auxiliary: logits)
    for answer in (Outputs, lambda logits, auxiliary: {"out": auxiliary, "logits": logits}):
        together = trained(dataset, answer)
        assert all(torch.equal(value, together[name]) for name, value in alone.items())


def test_outputs_of_which_none_is_called_logits_are_refused(dataset: Dataset) -> None:
    with pytest.raises(DeepcorrectError, match="answers with tuple of 2, of which none is called logits; wrap it"):
        trained(dataset, lambda logits, auxiliary: (logits, auxiliary))


def test_what_a_network_draws_in_training_depends_on_the_seed_alone(dataset: Dataset) -> None:
    one, other = (trained(dataset, lambda logits, auxiliary: logits, seed) for seed in (1, 2))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    torch.manual_seed(4)
    wanted = torch.rand(1)
    torch.manual_seed(0)
    network = Helped(Outputs)
    torch.manual_seed(4)
    train(network, network, dataset, RECIPE, distortion=None, levels=())
    assert torch.equal(torch.rand(1), wanted)
