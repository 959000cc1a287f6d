"""Both optimisers against torch's own, on plain tensors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from deepcorrect.training.optimizers import Optimizer
from deepcorrect.training.recipes import get_recipe

RATES = (0.1, 0.05, 0.02)


def parameters() -> list[nn.Parameter]:
    stream = torch.Generator().manual_seed(0)
    conv = torch.randn(6, 4, 3, 3, generator=stream).to(memory_format=torch.channels_last)
    return [nn.Parameter(conv), nn.Parameter(torch.randn(6, generator=stream))]


def gradients(step: int) -> list[Tensor]:
    stream = torch.Generator().manual_seed(step + 1)
    return [torch.randn(6, 4, 3, 3, generator=stream), torch.randn(6, generator=stream)]


def run(optimizer: Optimizer, given: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        for parameter, gradient in zip(given, gradients(step), strict=True):
            parameter.grad = gradient
        optimizer.step(RATES[step])
        assert all(parameter.grad is None for parameter in given)


def test_sgd_is_torchs_with_nesterov_momentum() -> None:
    recipe = get_recipe("paper", "correct", weight_decay=0.01)
    ours, theirs = parameters(), parameters()
    run(Optimizer(ours, recipe), ours, range(3))
    reference = torch.optim.SGD(theirs, lr=1.0, momentum=0.9, nesterov=True, weight_decay=0.01)
    for step, rate in enumerate(RATES):
        for parameter, gradient in zip(theirs, gradients(step), strict=True):
            parameter.grad = gradient
        reference.param_groups[0]["lr"] = rate
        reference.step()
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_muon_moves_a_convolution_along_all_directions_alike() -> None:
    recipe = get_recipe("paper", "correct", optimizer="muon")
    given = parameters()
    before = [parameter.detach().clone() for parameter in given]
    run(Optimizer(given, recipe), given, range(1))
    moved = (before[0] - given[0].detach()).reshape(6, -1) / RATES[0]
    left, _, right = torch.linalg.svd(gradients(0)[0].reshape(6, -1), full_matrices=False)
    assert torch.linalg.svdvals(moved).min() > 0.6
    assert torch.linalg.svdvals(moved).max() < 1.3
    aligned = (moved * (left @ right)).sum() / moved.norm() / 6**0.5
    assert aligned > 0.95
    assert not torch.equal(before[1], given[1].detach())


@pytest.mark.parametrize("name", ["sgd", "muon"])
def test_a_restored_optimizer_goes_on_as_if_never_stopped(name: str) -> None:
    recipe = get_recipe("paper", "correct", optimizer=name)
    whole = parameters()
    run(Optimizer(whole, recipe), whole, range(3))
    part = parameters()
    first = Optimizer(part, recipe)
    run(first, part, range(2))
    second = Optimizer(part, recipe)
    second.load_state_dict(first.state_dict())
    run(second, part, range(2, 3))
    assert all(torch.equal(one, other) for one, other in zip(whole, part, strict=True))
