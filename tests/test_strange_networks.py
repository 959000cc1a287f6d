"""Networks that are easily misread: their gains against swapping by hand, or a refusal in one line."""

from __future__ import annotations

import pytest
import torch

from deepcorrect.models.layers import convolutions, find_layers
from deepcorrect.ranking.attribution import estimate_gains
from deepcorrect.ranking.gains import GainMeter
from deepcorrect.swapping.graph_swap import GraphSwap
from deepcorrect.tasks.classification import CLASSIFICATION
from tests.strange import GRAPH, LEVEL, NOISE, prepared, swapped

scores_of = CLASSIFICATION.score


@pytest.mark.parametrize("name", GRAPH)
@torch.no_grad()
def test_gains_and_estimates_equal_swapping_by_hand(name: str) -> None:
    torch.manual_seed(0)
    net = GRAPH[name]()
    for weight in net.parameters():
        weight.mul_(2)
    images, clean, distorted = prepared(net)
    before = scores_of(net(distorted.clone()), images.labels)
    meter = GainMeter(net, images, NOISE)
    for layer in convolutions(find_layers(net, clean[:2].clone())):
        assert isinstance(meter.swap(layer), GraphSwap), meter.swaps.reasons[layer.name]
        found = meter.measure(layer, LEVEL).each
        each = [
            scores_of(swapped(net, layer.module, [place], clean, distorted), images.labels) for place in range(layer.filters)
        ]
        wanted = torch.stack(each, 1) - before[:, None]
        assert wanted[1].abs().max() > 1e-3, "a comparison of zeros would prove little"
        torch.testing.assert_close(found[1:], wanted[1:], atol=2e-5, rtol=1e-4)
        if layer.uses == 1:
            everything = scores_of(swapped(net, layer.module, range(layer.filters), clean, distorted), images.labels)
            gains = estimate_gains(meter, (LEVEL,), layers=[layer], score="probability", steps=40).gains
            torch.testing.assert_close(gains[layer.name][1].sum(0).float(), (everything - before)[1], atol=6e-3, rtol=0)
