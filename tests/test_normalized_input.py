"""Normalised images of a user: taken back to [0, 1], where distortions act, and refused where they are not normalised."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import deepcorrect as dc
from deepcorrect.datasets.door import as_images
from deepcorrect.models.normalized_input import normalization_of
from tests.conftest import make_toy

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
IMAGES = torch.rand(60, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(60) % 5
BLUR = dc.GaussianBlur(levels=(0.8, 1.6))


def normalized(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (MEAN, STD))
    return (images - mean) / std


GIVEN = normalized(IMAGES)


def pairs(images: Tensor) -> list[Any]:
    return [(image, int(label)) for image, label in zip(images, LABELS, strict=True)]


def wrapped() -> dc.NormalizedInput:
    return dc.NormalizedInput(make_toy("batch-norm"), MEAN, STD)


def test_it_normalises_and_leaves_the_network_its_own() -> None:
    network = make_toy("batch-norm")
    behind = dc.NormalizedInput(network, MEAN, STD)
    assert torch.equal(behind(IMAGES), network(GIVEN))
    assert behind.model is network
    assert not behind.training
    one = dc.NormalizedInput(network, 0.5, 0.25)
    assert torch.equal(one(IMAGES), network((IMAGES - 0.5) / 0.25))
    assert one(IMAGES.half().float()).dtype == torch.float32


def test_it_gives_a_network_in_half_precision_what_that_takes() -> None:
    network = make_toy("plain").half()
    for behind in (dc.NormalizedInput(network, MEAN, STD), dc.NormalizedInput(make_toy("plain"), MEAN, STD).half()):
        assert behind(IMAGES.half()).dtype == torch.float16


@pytest.mark.parametrize("form", ["tensors", "arrays", "pairs", "TensorDataset", "loader"])
def test_normalised_images_are_measured_as_those_in_the_unit_range_are(form: str) -> None:
    forms = {
        "tensors": (GIVEN, LABELS),
        "arrays": (GIVEN.permute(0, 2, 3, 1).numpy(), LABELS.numpy()),
        "pairs": pairs(GIVEN),
        "TensorDataset": TensorDataset(GIVEN, LABELS),
        "loader": DataLoader(pairs(GIVEN), 9, shuffle=True, num_workers=2),  # type: ignore[arg-type]
    }
    network = wrapped()
    images = as_images(forms[form], normalization=normalization_of(network))
    assert torch.allclose(images.held().images, IMAGES, rtol=0, atol=1e-6)
    found = dc.evaluate(network, forms[form], BLUR)
    assert found.top1 == dc.evaluate(nn.Sequential(network), (IMAGES, LABELS), BLUR).top1
    ranked = dc.rank_filters(network, forms[form], BLUR, (1.6,), layers=dc.find_layers(network, IMAGES[:2])[:1])
    (scores,) = ranked.scores.values()
    straight = dc.rank(nn.Sequential(network), (IMAGES, LABELS), BLUR, levels=1.6, layers=1)
    assert [scores] == list(straight.scores.values())


def test_eight_bits_and_specs_are_not_normalised() -> None:
    eight = (IMAGES * 255).byte()
    normalization = normalization_of(wrapped())
    for data in ((eight, LABELS), pairs(eight), dc.as_images((IMAGES, LABELS))):
        held = as_images(data, normalization=normalization).held().images
        assert torch.equal(held, eight if held.dtype == torch.uint8 else IMAGES)
    assert as_images("digits", normalization=normalization).held().images.dtype == torch.uint8


@pytest.mark.parametrize("data", [(IMAGES, LABELS), pairs(IMAGES), TensorDataset(IMAGES, LABELS)])
def test_images_in_the_unit_range_already_are_refused(data: Any) -> None:
    with pytest.raises(dc.DeepcorrectError, match=r"lie in \[0, 1\] already, with no value below 0"):
        dc.evaluate(wrapped(), data, BLUR)


def test_another_normalisation_than_was_said_is_refused() -> None:
    twice = normalized(GIVEN)
    for data in ((twice, LABELS), pairs(twice)):
        with pytest.raises(dc.DeepcorrectError, match=r"once mean and std are undone, outside \[0, 1\]"):
            dc.evaluate(wrapped(), data, BLUR)
    with pytest.raises(dc.DeepcorrectError, match="3 channels, but mean and std have 2 numbers"):
        dc.evaluate(dc.NormalizedInput(make_toy("plain"), (0.5, 0.5), (0.2, 0.2)), (GIVEN, LABELS), BLUR)
    broken = GIVEN.clone()
    broken[40, 0, 0, 0] = torch.nan
    with pytest.raises(dc.DeepcorrectError, match="NaN or infinite values"):
        dc.evaluate(wrapped(), pairs(broken), BLUR)


def test_rounding_of_half_precision_is_allowed_for() -> None:
    extremes = torch.zeros(1, 3, 8, 8)
    extremes[..., ::2] = 1
    for dtype in (torch.float16, torch.bfloat16):
        found = as_images(normalized(extremes).to(dtype), normalization=normalization_of(wrapped())).held().images
        assert float(found.min()) >= 0
        assert float(found.max()) <= 1
        assert torch.allclose(found, extremes, rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("mean", "std", "reason"),
    [
        ((0.5, 0.5), (0.2, 0.2, 0.2), "mean has 2 numbers, std 3: give one of each"),
        ((), (), "mean has 0 numbers"),
        (0.5, 0.0, "give finite numbers, std above 0"),
        ((0.5, float("nan")), (0.1, 0.1), "give finite numbers"),
        (0.5, -1.0, "std above 0"),
    ],
)
def test_numbers_that_cannot_normalise_are_refused(mean: Any, std: Any, reason: str) -> None:
    with pytest.raises(dc.DeepcorrectError, match=reason):
        dc.NormalizedInput(nn.Identity(), mean, std)
