"""Rankings under a mixture: the mean over its members, whatever the method, and continued after the last member."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_tensors, read_tensors_header, write_tensors
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.combined import Mixture
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.models.layers import Layer, convolutions, find_layers
from deepcorrect.ranking.attribution import attribute_filters
from deepcorrect.ranking.exact import rank_from
from deepcorrect.ranking.gain_files import GainFiles
from deepcorrect.ranking.gains import GainMeter
from deepcorrect.ranking.joint import rank_jointly
from deepcorrect.ranking.result import Method, Ranking
from deepcorrect.ranking.verification import verify
from tests.conftest import labelled_by, make_toy

NOISE = get_distortion("noise")


def _dimmed(images: Tensor, severity: Tensor) -> Tensor:
    return images * (1 - severity.view(-1, 1, 1, 1))


DIM = Distortion("dim", _dimmed, levels=(0.2, 0.4, 0.8))
NOTHING = Distortion("nothing", lambda images, severity: images, levels=(1, 2))
TWO_NOISES = Distortion("noise", NOISE.function, levels=(40, 80), random=True)
MIXTURE = Mixture([TWO_NOISES, DIM])
"""Of two steps: noise at 40 and 80, dim at 0.2 and 0.8."""


@pytest.fixture
def images(images: ImageSet) -> ImageSet:
    return labelled_by(make_toy("residual"), images)


def meter_of(images: ImageSet, distortion: Distortion) -> GainMeter:
    return GainMeter(make_toy("residual"), images, distortion)


def layers_of(meter: GainMeter) -> list[Layer]:
    assert isinstance(meter.images, ImageSet)
    return convolutions(find_layers(meter.model, as_float(meter.images.images[:1])))


def ranked(meter: GainMeter, levels: tuple[float, ...], method: Method) -> Ranking:
    layers = layers_of(meter)
    if method == "exact":
        return rank_from(GainFiles(meter), levels, layers=layers, score="margin")
    if method == "attribution":
        return attribute_filters(meter, levels, layers=layers, score="margin")
    return rank_jointly(meter, levels, layers=layers, counts={layer.name: 4 for layer in layers}, block=2, score="margin")


@pytest.mark.parametrize("method", ["exact", "attribution", "joint"])
def test_a_mixture_is_ranked_by_the_mean_over_its_members_at_their_own_severities(method: Method, images: ImageSet) -> None:
    together = ranked(meter_of(images, MIXTURE), (1, 2), method)
    noisy, dimmed = (
        ranked(meter_of(images, TWO_NOISES), (40, 80), method),
        ranked(meter_of(images, DIM), (0.2, 0.8), method),
    )
    assert (together.distortion, together.levels, together.images) == ("mix:noise,dim", (1, 2), len(images))
    for layer, scores in together.scores.items():
        assert scores == pytest.approx([sum(pair) / 2 for pair in zip(noisy.scores[layer], dimmed.scores[layer], strict=True)])
        assert noisy.scores[layer] != pytest.approx(dimmed.scores[layer], rel=0.1), "alike, so the mean proves little"
    assert together.members == {"noise": pytest.approx(noisy.baseline), "dim": pytest.approx(dimmed.baseline)}
    assert together.baseline == pytest.approx([sum(pair) / 2 for pair in zip(noisy.baseline, dimmed.baseline, strict=True)])
    assert Ranking.from_json(together.as_json()) == together
    assert "members" not in noisy.as_json()


def test_the_standard_error_is_that_of_the_mean_over_the_members(images: ImageSet) -> None:
    """The same images are measured under every member, so the errors of the members do not add up as if independent."""
    meters = (meter_of(images, TWO_NOISES), (40.0, 80.0)), (meter_of(images, DIM), (0.2, 0.8))
    each = [meter.measure(layers_of(meter)[0], level).each[2].double() for meter, levels in meters for level in levels]
    wanted = torch.stack(each).mean(0).std(1) / len(images) ** 0.5
    assert wanted.max() > 0
    assert ranked(meter_of(images, MIXTURE), (1, 2), "exact").errors["stem"] == pytest.approx(wanted.tolist())


def test_a_member_that_changes_nothing_changes_no_choice_of_filters(images: ImageSet) -> None:
    with_nothing, alone = meter_of(images, Mixture([TWO_NOISES, NOTHING])), meter_of(images, TWO_NOISES)
    layers = layers_of(alone)
    counts = {layer.name: layer.filters // 2 for layer in layers}
    together, noisy = ranked(with_nothing, (1, 2), "joint"), ranked(alone, (40, 80), "joint")
    assert together.order == noisy.order
    first, second = (
        verify(ranked(meter, levels, "attribution"), GainFiles(meter), levels, layers=layers, counts=counts, near=4)
        for meter, levels in ((with_nothing, (1.0, 2.0)), (alone, (40.0, 80.0)))
    )
    assert first.order == second.order


def test_an_interrupted_exact_ranking_measures_no_member_twice(
    images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, float]] = []
    measure = GainMeter.measure

    def noted(meter: GainMeter, layer: Layer, level: float, **options: Any) -> Any:
        if (meter.distortion.name, level) == ("dim", 0.8) and len(asked) < 10:
            raise KeyboardInterrupt
        asked.append((meter.distortion.name, level))
        return measure(meter, layer, level, **options)

    monkeypatch.setattr(GainMeter, "measure", noted)

    def rank(folder: Path | None) -> Ranking:
        meter = meter_of(images, MIXTURE)
        return rank_from(GainFiles(meter, folder), (1, 2), layers=layers_of(meter)[:1], score="top1")

    with pytest.raises(KeyboardInterrupt):
        rank(tmp_path)
    assert asked == [("noise", 40), ("noise", 80), ("dim", 0.2)]
    asked += [("", 0)] * 10
    continued = rank(tmp_path)
    assert asked[13:] == [("dim", 0.8)]
    assert continued == rank(None)


def test_an_interrupted_estimate_continues_after_its_last_member(
    images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "estimates.safetensors"
    loaded: list[str] = []
    load = GainMeter.load

    def noted(meter: GainMeter, part: slice, level: float) -> Any:
        if meter.distortion.name == "dim" and "dim" not in loaded and len(loaded) < 10:
            raise KeyboardInterrupt
        loaded.append(meter.distortion.name)
        return load(meter, part, level)

    def rank(levels: tuple[float, ...] = (1, 2)) -> Ranking:
        meter = meter_of(images, MIXTURE)
        return attribute_filters(meter, levels, layers=layers_of(meter), score="margin", kept=kept)

    monkeypatch.setattr(GainMeter, "load", noted)
    with pytest.raises(KeyboardInterrupt):
        rank()
    assert set(loaded) == {"noise"}
    loaded += ["dim"] * 10
    before = len(loaded)
    continued = rank()
    assert set(loaded[before:]) == {"dim"}
    assert continued == ranked(meter_of(images, MIXTURE), (1, 2), "attribution")
    with pytest.raises(DeepcorrectError, match=r"estimates\.safetensors: holds work with levels = \[1(\.0)?, 2"):
        rank((2,))
    write_tensors(kept, read_tensors(kept), header=read_tensors_header(kept) | {"members": []})
    with pytest.raises(DeepcorrectError, match="does not say of which distortions"):
        rank()
