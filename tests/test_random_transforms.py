"""Random transforms of a user's data set: refused where images are measured, seeded where they are trained on."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.door import as_images
from deepcorrect.datasets.images import Images
from deepcorrect.training.batches import TrainingBatches
from deepcorrect.training.recipes import get_recipe

COUNT = 150
DRAWS = {"torch": lambda: torch.rand(()).item(), "numpy": np.random.rand, "python": random.random}
PLAIN = {"flip": False, "shift": 0.0, "batch_size": 40}


class Varied:
    """Images whose first value is a random number, drawn in the way that ``draw`` says, and whose others are their index."""

    def __init__(self, draw: Any, chance: float = 1.0) -> None:
        self.draw = draw
        self.chance = chance

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = torch.full((1, 4, 4), index / COUNT)
        drawn = self.draw()
        if drawn < self.chance:
            image[0, 0, 0] = drawn
        return image, index % 3


def everything(images: Images) -> Tensor:
    return next(images.read([torch.arange(len(images))]))


@pytest.mark.parametrize("source", DRAWS)
def test_images_that_change_are_trained_on_and_not_measured(source: str) -> None:
    varied = Varied(DRAWS[source])
    with pytest.raises(DeepcorrectError, match=r"^Varied: its images differ each time they are read \(a random transform\)"):
        as_images(varied)
    with pytest.raises(DeepcorrectError, match="give the data set with the transform of validation"):
        as_images(DataLoader(varied), "validation")  # type: ignore[arg-type]
    images = as_images(varied, "train")
    assert images.labels.tolist() == [index % 3 for index in range(COUNT)]


@pytest.mark.parametrize("source", DRAWS)
def test_seed_pass_and_image_decide_what_is_drawn(source: str) -> None:
    images = as_images(Varied(DRAWS[source]), "train")
    shared = as_images(DataLoader(Varied(DRAWS[source]), num_workers=2), "train")  # type: ignore[arg-type]
    first = everything(images.of_pass(1, 2, 3))
    assert len(set(first[:, 0, 0, 0].tolist())) == COUNT
    assert torch.equal(first, everything(images.of_pass(1, 2, 3)))
    assert torch.equal(first, everything(shared.of_pass(1, 2, 3)))
    assert torch.equal(first[[70, 5]], next(images.of_pass(1, 2, 3).read([torch.tensor([70, 5])])))
    for other in ((0, 2, 3), (1, 3, 3), (1, 2, 4), (1, 2)):
        assert not (first == everything(images.of_pass(*other)))[:, 0, 0, 0].any()


def test_the_generators_of_the_caller_are_left_alone() -> None:
    images = as_images(Varied(DRAWS["torch"]), "train")
    before = torch.get_rng_state(), np.random.get_state(legacy=False), random.getstate()
    as_images(Varied(DRAWS["numpy"]), "train")
    everything(images)
    assert torch.equal(before[0], torch.get_rng_state())
    assert str(before[1]) == str(np.random.get_state(legacy=False))
    assert before[2] == random.getstate()


def test_a_rare_change_is_noticed_too() -> None:
    with pytest.raises(DeepcorrectError, match="differ each time"):
        as_images(Varied(DRAWS["torch"], chance=0.1))
    as_images(Varied(DRAWS["torch"], chance=0.0))


@pytest.mark.parametrize("role", ["train", "test"])
def test_a_generator_of_its_own_that_cannot_be_seeded_is_refused(role: Any) -> None:
    own = np.random.default_rng(0)
    with pytest.raises(DeepcorrectError, match=r"^Varied: item 0 differs each time it is read, though the generators of torch"):
        as_images(Varied(own.random), role)


def test_a_training_sees_the_same_images_however_they_are_read() -> None:
    recipe = get_recipe("fast", "correct", **PLAIN)

    def epochs(workers: int, numbers: tuple[int, ...]) -> list[Tensor]:
        images = as_images(DataLoader(Varied(DRAWS["numpy"]), num_workers=workers), "train")  # type: ignore[arg-type]
        source = TrainingBatches(images, recipe, distortion=None, levels=(), seed=5, device=torch.device("cpu"))
        return [torch.cat([batch.clean for batch in source.epoch(number)]) for number in numbers]

    whole, resumed, by_workers = epochs(0, (0, 1)), epochs(0, (1,)), epochs(2, (1,))
    assert torch.equal(whole[1], resumed[0])
    assert torch.equal(whole[1], by_workers[0])
    drawn = [set(epoch[:, 0, 0, 0].tolist()) for epoch in whole]
    assert not drawn[0] & drawn[1]


def test_transforms_of_torchvision_are_seeded() -> None:
    transforms = pytest.importorskip("torchvision.transforms.v2")
    jitter: nn.Module = transforms.Compose([transforms.RandomCrop(8, padding=2), transforms.RandomHorizontalFlip()])
    base = torch.rand(60, 3, 8, 8)

    class Augmented(Varied):
        def __len__(self) -> int:
            return len(base)

        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            return jitter(base[index]), 0

    images = as_images(Augmented(None), "train")
    first = everything(images.of_pass(0, 1, 1))
    assert torch.equal(first, everything(images.of_pass(0, 1, 1)))
    assert not torch.equal(first, everything(images.of_pass(0, 2, 1)))
