from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.evaluation.sweep import evaluate, fitting_batch
from tests.conftest import labelled_by, make_toy, random_images

NOISE = get_distortion("noise")


@pytest.fixture
def network() -> nn.Module:
    return make_toy("batch-norm")


def test_accuracies_equal_those_counted_image_by_image(network: nn.Module) -> None:
    images = labelled_by(network, random_images(60))
    found = evaluate(network, images, NOISE, (30, 90), classes=7, seed=2, batch_size=16)
    assert list(found.levels) == [0, 30, 90]
    for place, level in enumerate(found.levels):
        right, among_five = 0, 0
        by_class = [[0, 0] for _ in range(7)]
        for index in range(60):
            image = as_float(images.images[index : index + 1])
            with torch.no_grad():
                order = network(NOISE.at(image, level, torch.tensor([index]), 2))[0].argsort(descending=True).tolist()
            label = int(images.labels[index].item())
            right += order[0] == label
            among_five += label in order[:5]
            by_class[label][0] += order[0] == label
            by_class[label][1] += 1
        assert found.top1[place] == right / 60
        assert found.top5[place] == among_five / 60
        for label, (hits, count) in enumerate(by_class):
            share = found.per_class[place][label]
            assert math.isnan(share) if count == 0 else share == hits / count
    assert found.top1[0] == 1.0
    assert found.top1[2] < 1.0
    assert found.mean_top1 == pytest.approx(sum(found.top1) / 3)


def test_the_answer_does_not_depend_on_the_batch_size_or_on_the_other_images(network: nn.Module) -> None:
    images = labelled_by(network, random_images(60))
    whole = evaluate(network, images, NOISE, (30, 90), classes=5)
    assert evaluate(network, images, NOISE, (30, 90), classes=5, batch_size=7) == whole
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert evaluate(network, images.take(order), NOISE, (30, 90), classes=5).top1 == whole.top1


def test_balanced_subsets_are_seeded_and_even() -> None:
    images = ImageSet.whole(torch.zeros(100, 1, 2, 2, dtype=torch.uint8), torch.arange(100) % 4)
    drawn = images.balanced(22, seed=1)
    counts = torch.bincount(drawn.labels, minlength=4)
    assert counts.sum() == 22
    assert counts.max() - counts.min() <= 1
    assert torch.equal(drawn.indices, images.balanced(22, seed=1).indices)
    assert not torch.equal(drawn.indices, images.balanced(22, seed=2).indices)
    assert len(set(drawn.indices.tolist())) == 22
    assert torch.equal(drawn.labels, images.labels[drawn.indices])


@pytest.mark.parametrize(("side", "expected"), [(8, 500), (32, 500), (224, 49), (4000, 1)])
def test_larger_images_are_passed_through_fewer_at_once(side: int, expected: int) -> None:
    images = ImageSet(
        torch.zeros(1, 1, 1, 1, dtype=torch.uint8).expand(600, 3, side, side), torch.zeros(600), torch.arange(600)
    )
    assert fitting_batch(images) == expected
