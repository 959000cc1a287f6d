"""Estimated, joint and verified rankings against what swapping by hand gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.models.layers import Layer, convolutions, find_layers
from deepcorrect.ranking import joint
from deepcorrect.ranking.attribution import attribute_filters, estimate_gains
from deepcorrect.ranking.exact import rank_from
from deepcorrect.ranking.gain_files import GainFiles
from deepcorrect.ranking.gains import GainMeter
from deepcorrect.ranking.joint import rank_jointly
from deepcorrect.ranking.mean_gains import MeanGains
from deepcorrect.ranking.verification import verify
from deepcorrect.swapping.patching import capture, patched
from tests.conftest import TOYS, labelled_by, make_toy

NOISE = get_distortion("noise")
LEVEL = 60.0


def layers_of(model: nn.Module, images: ImageSet) -> list[Layer]:
    return convolutions(find_layers(model, as_float(images.images[:1])))


def probabilities(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    logits: Tensor = model(images)
    return logits.softmax(1).gather(1, labels[:, None])[:, 0]


@pytest.mark.parametrize("name", [name for name in sorted(TOYS) if "twice" not in name])
@torch.no_grad()
def test_integrated_estimates_add_up_to_the_gain_of_swapping_the_whole_layer(name: str, images: ImageSet) -> None:
    model = make_toy(name)
    images = labelled_by(model, images)
    meter = GainMeter(model, images, NOISE)
    clean = as_float(images.images)
    distorted = NOISE.at(clean, LEVEL, images.indices, 0)
    layers = layers_of(model, images)[:-1] or layers_of(model, images)
    estimated = attribute_filters(meter, (LEVEL,), layers=layers, steps=200)
    plain = probabilities(model, distorted, images.labels).mean().item()
    for layer in layers:
        with capture(model, [layer.name]) as wanted:
            model(clean)
        with patched(model, layer.name, range(layer.filters), wanted[layer.name]):
            gain = probabilities(model, distorted, images.labels).mean().item() - plain
        assert sum(estimated.scores[layer.name]) == pytest.approx(gain, abs=2e-3), layer.name


@pytest.mark.parametrize("name", [name for name in sorted(TOYS) if "twice" not in name])
@torch.no_grad()
def test_estimates_after_some_are_swapped_add_up_to_the_gain_of_swapping_the_others(name: str, images: ImageSet) -> None:
    model = make_toy(name)
    images = labelled_by(model, images)
    clean = as_float(images.images)
    distorted = NOISE.at(clean, LEVEL, images.indices, 0)
    layer = layers_of(model, images)[0]
    some = list(range(1, layer.filters, 3))
    meter = GainMeter(model, images, NOISE)
    gains = estimate_gains(meter, (LEVEL,), layers=[layer], score="probability", steps=200, swapped=some).gains
    with capture(model, [layer.name]) as wanted:
        model(clean)
    reached = []
    for filters in (some, list(range(layer.filters))):
        with patched(model, layer.name, filters, wanted[layer.name][:, filters]):
            reached.append(probabilities(model, distorted, images.labels).mean().item())
    others = [filter_ for filter_ in range(layer.filters) if filter_ not in some]
    assert gains[layer.name][1, others].mean(1).sum() == pytest.approx(reached[1] - reached[0], abs=2e-3)


def test_the_estimate_is_exact_where_the_score_is_linear_in_what_follows(images: ImageSet) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    images = labelled_by(model.eval(), images)
    meter = GainMeter(model, images, NOISE)
    first = layers_of(model, images)[:1]
    estimated = attribute_filters(meter, (LEVEL, 90.0), layers=first, score="margin")
    exact = rank_from(GainFiles(meter), (LEVEL, 90.0), layers=first, score="margin")
    assert estimated.scores["0"] == pytest.approx(exact.scores["0"], abs=1e-6)
    assert estimated.baseline == pytest.approx(exact.baseline)
    assert estimated.local("0") == exact.local("0")


def test_what_has_no_gradient_is_refused(images: ImageSet) -> None:
    model = make_toy("plain")
    with pytest.raises(DeepcorrectError, match="score='top1': has no gradient to estimate it by; use probability or margin"):
        attribute_filters(GainMeter(model, images, NOISE), (LEVEL,), layers=layers_of(model, images), score="top1")


class Branching(nn.Module):
    """Cannot be captured: what it does depends on the images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.linear = nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Tensor:
        values = self.conv(images)
        if values.mean() > 0:
            values = values.relu()
        logits: Tensor = self.linear(values.mean((2, 3)))
        return logits


def test_a_network_that_cannot_be_captured_is_refused_with_the_remedy(images: ImageSet) -> None:
    model = Branching()
    with pytest.raises(DeepcorrectError, match=r"layer conv, .* use method='exact'"):
        attribute_filters(GainMeter(model, images, NOISE), (LEVEL,), layers=layers_of(model, images))


def test_verified_filters_stand_in_their_exact_order(images: ImageSet) -> None:
    model = make_toy("residual")
    images = labelled_by(model, images)
    files = GainFiles(GainMeter(model, images, NOISE))
    layers = layers_of(model, images)[:2]
    exact = rank_from(files, (LEVEL,), layers=layers, score="probability")
    reverse = replace(exact, order={name: exact.local(name)[::-1] for name in exact.scores}, method="attribution")
    counts = {layer.name: layer.filters // 2 for layer in layers}
    everything = max(layer.filters for layer in layers)
    assert verify(reverse, files, (LEVEL,), layers=layers, counts=counts, near=everything).order == {
        name: exact.local(name) for name in exact.scores
    }
    some = verify(reverse, files, (LEVEL,), layers=layers, counts=counts, near=2).order
    for layer in layers:
        cut, before, after = counts[layer.name], reverse.order[layer.name], some[layer.name]
        assert after == (*before[: cut - 1], before[cut], before[cut - 1], *before[cut + 1 :])


def test_filters_that_repeat_each_other_are_not_chosen_together() -> None:
    """Filters 0 and 1 read red, of which either is enough; filter 2 reads green, which weighs less. Black is the distortion."""
    model = nn.Sequential(
        nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 2, 1, bias=False), nn.Hardtanh(-1, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2),
    )  # fmt: skip
    first, second, last = model[0], model[1], model[5]
    assert isinstance(first, nn.Conv2d)
    assert isinstance(second, nn.Conv2d)
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0]]).view(3, 3, 1, 1))
        second.weight.copy_(torch.tensor([[1.0, 1, 0], [0, 0, 1]]).view(2, 3, 1, 1))
        last.weight.copy_(torch.tensor([[2.0, 1], [0, 0]]))
        last.bias.zero_()
    black = Distortion("black", lambda images, severity: images * 0, {})
    images = ImageSet.whole(torch.full((4, 3, 4, 4), 255, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64))
    meter = GainMeter(model, images, black)
    layers = layers_of(model, images)[:1]
    alone = attribute_filters(meter, (1.0,), layers=layers)
    assert alone.local("0") == (0, 1, 2)
    together = rank_jointly(meter, (1.0,), layers=layers, counts={"0": 2}, block=1)
    assert together.local("0") == (0, 2, 1)
    assert together.scores == alone.scores


def test_a_choice_that_was_interrupted_continues(images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_toy("plain")
    meter = GainMeter(model, labelled_by(model, images), NOISE)
    layers = layers_of(model, images)[:2]
    counts = {layer.name: 4 for layer in layers}
    whole = rank_jointly(meter, (LEVEL,), layers=layers, counts=counts, block=1)
    passes = []

    def three_passes(*args: Any, **options: Any) -> MeanGains:
        passes.append(options)
        if len(passes) > 3:
            raise KeyboardInterrupt
        return estimate_gains(*args, **options)

    monkeypatch.setattr(joint, "estimate_gains", three_passes)
    with pytest.raises(KeyboardInterrupt):
        rank_jointly(meter, (LEVEL,), layers=layers, counts=counts, block=1, kept=tmp_path / "chosen.json")
    monkeypatch.undo()
    assert [len(chosen) for chosen in read_json(tmp_path / "chosen.json")["chosen"].values()] == [3]
    assert rank_jointly(meter, (LEVEL,), layers=layers, counts=counts, block=1, kept=tmp_path / "chosen.json") == whole
