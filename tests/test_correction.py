from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from deepcorrect.adapters.attach import attach, load_correction
from deepcorrect.adapters.corrected import CorrectedConv2d
from deepcorrect.adapters.plan import Plan
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.models.layers import convolutions, find_layers
from tests.conftest import make_toy
from tests.corrections import EXAMPLE, plan_for, snapshot, train_a_little


def test_off_it_is_the_network_bit_for_bit_whatever_was_trained(toy: nn.Module) -> None:
    before, state = toy(EXAMPLE), snapshot(toy)
    correction = attach(toy, plan_for(toy), EXAMPLE)
    train_a_little(toy, correction)
    assert not torch.equal(toy(EXAMPLE), before)
    with correction.disabled():
        assert torch.equal(toy(EXAMPLE), before)
    assert not torch.equal(toy(EXAMPLE), before)
    correction.detach()
    assert torch.equal(toy(EXAMPLE), before)
    assert list(toy.state_dict()) == list(state)
    assert all(torch.equal(state[name], value) for name, value in toy.state_dict().items())
    assert all(parameter.requires_grad for parameter in toy.parameters())


def test_a_module_under_two_names_is_corrected_under_both() -> None:
    network = make_toy("twice in a chain")
    correction = attach(network, Plan(distortion="blur", filters={"1": (0, 1)}), EXAMPLE)
    assert isinstance(network, nn.Sequential)
    assert isinstance(network[1], CorrectedConv2d)
    assert network[1] is network[2]
    correction.detach()
    assert isinstance(network[1], nn.Conv2d)
    assert network[1] is network[2]


def test_units_that_start_as_the_identity_change_nothing(toy: nn.Module) -> None:
    with torch.no_grad():
        before = toy(EXAMPLE)
        attach(toy, plan_for(toy), EXAMPLE, identity=True)
        assert torch.allclose(toy(EXAMPLE), before, atol=1e-5)


def test_the_base_never_gets_a_gradient(toy: nn.Module) -> None:
    base = list(toy.parameters())
    correction = attach(toy, plan_for(toy), EXAMPLE)
    correction.train()
    toy(EXAMPLE).sum().backward()
    assert all(parameter.grad is None for parameter in base)
    assert all(parameter.grad is not None for parameter in correction.parameters())


def test_saved_and_loaded_it_answers_the_same(toy: nn.Module, tmp_path: Path) -> None:
    correction = attach(toy, plan_for(toy), EXAMPLE)
    train_a_little(toy, correction)
    corrected = toy(EXAMPLE)
    correction.save(tmp_path / "correction.safetensors")
    correction.detach()
    loaded = load_correction(tmp_path / "correction.safetensors", toy, EXAMPLE)
    assert torch.equal(toy(EXAMPLE), corrected)
    assert loaded.plan == correction.plan
    saved = load_file(tmp_path / "correction.safetensors")
    assert sum(value.numel() for value in saved.values()) == sum(value.numel() for value in correction.state_dict().values())


def test_half_precision_halves_the_file_and_hardly_moves_the_answer(tmp_path: Path) -> None:
    network = make_toy("batch-norm")
    correction = attach(network, plan_for(network), EXAMPLE)
    corrected = network(EXAMPLE)
    correction.save(tmp_path / "full.safetensors")
    correction.save(tmp_path / "half.safetensors", half=True)
    correction.detach()
    load_correction(tmp_path / "half.safetensors", network, EXAMPLE)
    assert torch.allclose(network(EXAMPLE), corrected, atol=0.02)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * (tmp_path / "full.safetensors").stat().st_size


@pytest.mark.parametrize("name", ["plain", "batch-norm", "grouped"])
@pytest.mark.parametrize("training", [False, True])
def test_a_corrected_layer_is_what_figure_7_says(name: str, training: bool) -> None:
    """Convolution; the unit's residual on the chosen filters; the chosen filters' own normalisation, the others' frozen one."""
    network = make_toy(name).double()
    images = EXAMPLE.double()
    layers = convolutions(find_layers(network, images))
    layer = layers[1]
    chosen = [1, 2, 5, 11]
    norm = network.get_submodule(layer.norm) if layer.norm else None
    correction = attach(network, Plan(distortion="blur", filters={layer.name: tuple(chosen)}), images)
    correction.double().train(training)
    corrected = network.get_submodule(layer.name)
    assert isinstance(corrected, CorrectedConv2d)
    inputs = torch.randn(4, 8, 8, 8, dtype=torch.float64)

    expected = layer.module(inputs)
    selected = expected[:, chosen]
    for module in copy.deepcopy(corrected.adapter.unit.body):
        selected = module(selected)
    selected = expected[:, chosen] + selected
    if norm is not None:
        assert isinstance(norm, nn.BatchNorm2d)
        own = copy.deepcopy(corrected.adapter.norm)
        assert own is not None
        assert torch.equal(own.weight, norm.weight[chosen])
        selected = own(selected)
        expected = norm(expected)
    expected = expected.clone()
    expected[:, chosen] = selected
    assert torch.allclose(corrected(inputs), expected, atol=1e-9)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.SiLU])
def test_a_normalisation_that_activates_too_is_corrected_as_one_that_does_not(activation: type[nn.Module]) -> None:
    layers = pytest.importorskip("timm.layers")
    torch.manual_seed(0)
    apart = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), activation(), nn.Flatten(), nn.Linear(288, 5))
    apart(EXAMPLE)
    joined = nn.Sequential(apart[0], layers.BatchNormAct2d(8, act_layer=activation), *list(apart)[3:])
    joined[1].load_state_dict(apart[1].state_dict())
    joined, apart = copy.deepcopy(joined).eval(), apart.eval()
    before = joined(EXAMPLE)
    assert torch.equal(before, apart(EXAMPLE))
    plan, answers = Plan(distortion="blur", filters={"0": (1, 4)}), []
    for network in (joined, apart):
        correction = attach(network, plan, EXAMPLE, seed=3)
        assert "adapters.0.norm.weight" in correction.state_dict()
        train_a_little(network, correction)
        answers.append(network(EXAMPLE))
        correction.detach()
    assert torch.equal(answers[0], answers[1])
    assert not torch.equal(answers[0], before)
    assert torch.equal(joined(EXAMPLE), before)


def test_gradients_of_the_merge_equal_those_of_plain_indexing() -> None:
    network = make_toy("batch-norm").double()
    layer = convolutions(find_layers(network, EXAMPLE.double()))[1]
    attach(network, Plan(distortion="blur", filters={layer.name: (0, 3, 4)}), EXAMPLE.double()).double()
    corrected = network.get_submodule(layer.name)
    inputs = torch.randn(1, 8, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(corrected, (inputs,))


def test_copies_of_whole_layers_are_trained_and_taken_off_again() -> None:
    network = make_toy("batch-norm")
    before, state = network(EXAMPLE), snapshot(network)
    layers = convolutions(find_layers(network, EXAMPLE))
    correction = attach(network, Plan(distortion="blur", retrained=(layers[0].name, layers[1].name)), EXAMPLE)
    assert torch.equal(network(EXAMPLE), before)
    train_a_little(network, correction)
    assert not torch.equal(network(EXAMPLE), before)
    correction.detach()
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())


def test_frozen_batch_normalisation_keeps_its_statistics_in_training() -> None:
    network = make_toy("batch-norm")
    layer = convolutions(find_layers(network, EXAMPLE))[0]
    correction = attach(network, Plan(distortion="blur", filters={layer.name: (0, 1)}), EXAMPLE)
    frozen = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    own = [module for module in correction.modules() if isinstance(module, nn.BatchNorm2d)]
    statistics = {module: (module.running_mean.clone(), module.running_var.clone()) for module in frozen}  # type: ignore[union-attr]
    train_a_little(network, correction)
    for module in frozen:
        assert module.running_mean is not None
        assert torch.equal(module.running_mean, statistics[module][0]) is (module not in own)


def test_the_seed_decides_the_initial_weights() -> None:
    states = []
    for seed in (1, 1, 2):
        network = make_toy("plain")
        states.append(attach(network, plan_for(network), EXAMPLE, seed=seed).state_dict())
    weights = [name for name in states[0] if name.endswith("weight") and states[0][name].ndim == 4]
    assert all(torch.equal(states[0][name], states[1][name]) for name in weights)
    assert not any(torch.equal(states[0][name], states[2][name]) for name in weights)


def test_a_second_correction_is_refused() -> None:
    network = make_toy("plain")
    attach(network, plan_for(network), EXAMPLE)
    with pytest.raises(DeepcorrectError, match="already has a correction"):
        attach(network, plan_for(network), EXAMPLE)


class Shared(nn.Module):
    """The output of the convolution is used before and behind its normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        held = self.conv(images)
        logits: Tensor = (held + self.bn(held)).mean((2, 3))
        return logits


def test_a_convolution_that_is_used_beside_its_normalisation_is_corrected_in_front_of_it() -> None:
    network = Shared().eval()
    nn.init.normal_(network.bn.bias)
    before = network(EXAMPLE)
    correction = attach(network, Plan(distortion="blur", filters={"conv": (0,)}), EXAMPLE)
    assert "adapters.conv.norm.weight" not in correction.state_dict()
    train_a_little(network, correction)
    assert torch.allclose(network(EXAMPLE)[:, 1:], before[:, 1:], atol=1e-6)
    assert not torch.allclose(network(EXAMPLE)[:, 0], before[:, 0], atol=1e-3)
    with correction.disabled():
        assert torch.equal(network(EXAMPLE), before)


def test_a_unit_on_every_filter_of_a_layer() -> None:
    network = make_toy("batch-norm")
    before = network(EXAMPLE)
    layer = convolutions(find_layers(network, EXAMPLE))[0]
    correction = attach(network, Plan(distortion="blur", filters={layer.name: tuple(range(layer.filters))}), EXAMPLE)
    train_a_little(network, correction)
    assert network(EXAMPLE).isfinite().all()
    correction.detach()
    assert torch.equal(network(EXAMPLE), before)


class Standardised(nn.Conv2d):
    """A convolution with a forward pass of its own."""

    def forward(self, inputs: Tensor) -> Tensor:
        centred = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return nn.functional.conv2d(inputs, centred, self.bias)


@pytest.mark.parametrize("make", [Standardised, nn.Conv2d])
def test_filters_that_are_not_corrected_answer_as_before(make: type[nn.Conv2d]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(make(3, 8, 3), nn.BatchNorm2d(8, affine=False)).train()
    for _ in range(3):
        network(torch.rand(8, 3, 8, 8))
    before = network.eval()(EXAMPLE)
    correction = attach(network, Plan(distortion="blur", filters={"0": (1, 6)}), EXAMPLE)
    assert torch.allclose(network(EXAMPLE)[:, [0, 2, 3, 4, 5, 7]], before[:, [0, 2, 3, 4, 5, 7]], atol=1e-5)
    for parameter in correction.parameters():
        nn.init.zeros_(parameter) if parameter.ndim == 4 else None
    own = [module for module in correction.modules() if isinstance(module, nn.BatchNorm2d)][-1]
    nn.init.ones_(own.weight)
    assert torch.allclose(network(EXAMPLE), before, atol=1e-5)


def test_layers_may_be_called_like_methods_of_a_dictionary() -> None:
    network = nn.Sequential()
    network.add_module("values", nn.Conv2d(3, 4, 1))
    correction = attach(network.eval(), Plan(distortion="blur", filters={"values": (0,)}), EXAMPLE)
    assert correction.corrected_layers == ("values",)
