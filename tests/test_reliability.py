from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.models.layers import Layer, convolutions, find_layers
from deepcorrect.ranking.exact import rank_filters, rank_from
from deepcorrect.ranking.gain_files import GainFiles
from deepcorrect.ranking.gains import GainMeter, Gains
from deepcorrect.ranking.reliability import reliability, summarize
from deepcorrect.ranking.result import Ranking
from deepcorrect.swapping.graph_swap import GraphSwap
from tests.conftest import labelled_by, make_toy

NOISE = get_distortion("noise")


def test_reliability_foretells_the_agreement_with_a_ranking_on_other_images() -> None:
    stream = torch.Generator().manual_seed(0)
    merit = torch.randn(600, 1, generator=stream)
    both = [merit + 12 * torch.randn(600, 300, generator=stream) for _ in range(2)]
    agreement = float(spearmanr(*(gains.mean(1) for gains in both)).statistic)
    foretold = reliability(both[0], 0)
    assert foretold is not None
    assert foretold == pytest.approx(agreement, abs=0.05)


def test_reliability_of_chance_is_near_nothing_and_of_certainty_one() -> None:
    chance = [reliability(torch.randn(80, 200, generator=torch.Generator().manual_seed(seed)), 0) for seed in range(10)]
    assert sum(value for value in chance if value is not None) / 10 == pytest.approx(0, abs=0.15)
    assert reliability(torch.arange(50.0)[:, None].expand(50, 20), 0) == pytest.approx(1)


def test_no_reliability_where_there_is_nothing_to_compare() -> None:
    assert reliability(torch.zeros(8, 20), 0) is None
    assert reliability(torch.randn(8, 1), 0) is None


def test_scores_errors_and_the_images_that_a_cut_takes() -> None:
    gains = torch.zeros(3, 2, 100)
    gains[0, 0, :60] = 1
    gains[0, 1, :40] = 1
    found = summarize("blur", (1.0,), 0, (0.5,), {"a": gains}, "top1")
    assert found.scores["a"] == pytest.approx((0.6, 0.4))
    error = (0.24 / 99) ** 0.5
    assert found.errors["a"] == pytest.approx((error, error))
    assert found.images_to_separate("a", 1) == pytest.approx(100 * (2 * 2**0.5 * error / 0.2) ** 2)
    equal = replace(found, scores={"a": (0.1 + 0.2, 0.3)})
    assert equal.images_to_separate("a", 1) == math.inf


def test_equal_gains_are_told_apart_by_the_margin() -> None:
    gains = torch.zeros(3, 3, 10)
    gains[2, 1] = 0.5
    gains[2, 2] = 0.2
    assert summarize("blur", (1.0,), 0, (0.5,), {"a": gains}, "top1").local("a") == (1, 2, 0)


class Counting(GainMeter):
    """Counts, and breaks down on demand."""

    left = 1000

    def measure(self, layer: Layer, level: float, **options: object) -> Gains:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().measure(layer, level, **options)  # type: ignore[arg-type]


def ranked(meter: GainMeter, folder: Path, layers: list[Layer]) -> Ranking:
    return rank_from(GainFiles(meter, folder), (40.0, 90.0), layers=layers, score="top1")


def test_an_interrupted_ranking_continues_after_the_last_layer_and_level(images: ImageSet, tmp_path: Path) -> None:
    model = make_toy("residual")
    images = labelled_by(model, images)
    layers = convolutions(find_layers(model, as_float(images.images[:1])))
    meter = Counting(model, images, NOISE)
    meter.left = 3
    with pytest.raises(KeyboardInterrupt):
        ranked(meter, tmp_path, layers)
    assert len(list(tmp_path.iterdir())) == 3
    meter.left = 2 * len(layers) - 3
    found = ranked(meter, tmp_path, layers)
    assert meter.left == 0
    assert found == rank_filters(model, images, NOISE, (40.0, 90.0), layers=layers)


def test_bf16_gives_nearly_the_same_gains(small: nn.Module, digits: Dataset) -> None:
    images = digits.validation.balanced(60, 0).held()
    layer = find_layers(small, as_float(images.images[:1]))[0]
    meters = [GainMeter(small, images, NOISE, precision=kind) for kind in ("fp32", "bf16")]
    full, half = (meter.measure(layer, 60.0).each[2] for meter in meters)
    assert all(isinstance(meter.swap(layer), GraphSwap) for meter in meters)
    assert half.mean(1).tolist() == pytest.approx(full.mean(1).tolist(), abs=0.02)
