"""Corrections on the toy networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepcorrect.adapters.correction import Correction
from deepcorrect.adapters.plan import Plan
from deepcorrect.models.layers import convolutions, find_layers

EXAMPLE = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(3))


def plan_for(network: nn.Module, **options: object) -> Plan:
    """Every second filter of every convolution."""
    layers = convolutions(find_layers(network, EXAMPLE))
    filters = {layer.name: tuple(range(1, layer.filters, 2)) for layer in layers}
    return Plan.model_validate({"distortion": "blur", "filters": filters, **options})


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def train_a_little(network: nn.Module, correction: Correction) -> None:
    network.eval()
    correction.train()
    optimizer = torch.optim.SGD(correction.parameters(), lr=0.05)
    for step in range(3):
        loss = network(EXAMPLE + 0.1 * step).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    network.eval()
