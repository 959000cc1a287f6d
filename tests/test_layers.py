"""How layers and the normalisations behind them are found, and that the network is left as it was."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from deepcorrect.adapters.attach import attach
from deepcorrect.adapters.plan import Plan
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.models.layers import convolutions, find_layers
from tests.conftest import make_toy

EXAMPLE = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))


class Net(nn.Module):
    """Two normalised convolutions, put together by a function of the network and its images."""

    def __init__(self, answer: Callable[[Net, Tensor], object]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.answer = answer
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(4)
        self.count: Tensor
        self.register_buffer("count", torch.zeros(()))
        for norm in (self.norm, self.norm2):
            nn.init.normal_(norm.bias)
        self.eval()

    def forward(self, images: Tensor) -> object:
        return self.answer(self, images)


def changed_by_a_view(net: Net, images: Tensor) -> object:
    held = net.conv(images)
    held.view(-1).relu_()
    return net.norm(held)


def added_in_place(net: Net, images: Tensor) -> object:
    held = net.conv(images)
    held += 1
    return net.norm(held)


def one_norm_for_two(net: Net, images: Tensor) -> object:
    return net.norm(net.conv2(net.norm(net.conv(images))))


def two_norms_on_one(net: Net, images: Tensor) -> object:
    held = net.conv(images)
    return net.norm(held) + net.norm2(held)


def one_norm_twice(net: Net, images: Tensor) -> object:
    held = net.conv(images)
    return net.norm(held) + net.norm(held)


def used_beside(net: Net, images: Tensor) -> object:
    held = net.conv(images)
    return held + net.conv2(torch.relu(net.norm(held)))


def returned_beside(net: Net, images: Tensor) -> object:
    held = net.conv(images)
    return net.norm(held), held


def normalised_once_of_two(net: Net, images: Tensor) -> object:
    return net.conv2(torch.relu(net.norm(net.conv2(net.conv(images)))))


@pytest.mark.parametrize(
    "answer",
    [
        changed_by_a_view,
        added_in_place,
        one_norm_for_two,
        two_norms_on_one,
        one_norm_twice,
        used_beside,
        returned_beside,
        normalised_once_of_two,
    ],
)
def test_a_normalisation_that_does_not_take_the_output_alone_is_not_the_layers(answer: Callable[[Net, Tensor], object]) -> None:
    net = Net(answer)
    layers = find_layers(net, EXAMPLE)
    assert all(layer.norm is None for layer in layers)
    attach(net, Plan(distortion="blur", filters={layer.name: (0, 2) for layer in layers}), EXAMPLE).detach()


def test_a_normalisation_behind_the_convolution_is_the_layers_however_it_is_called() -> None:
    net = Net(lambda net, images: net.norm2(input=net.conv2(input=torch.relu(net.norm(net.conv(images))))))
    assert [(layer.name, layer.norm) for layer in find_layers(net, EXAMPLE)] == [("conv", "norm"), ("conv2", "norm2")]
    attach(net, Plan(distortion="blur", filters={"conv": (0,), "conv2": (1,)}), EXAMPLE)


@pytest.mark.parametrize(
    "change",
    [
        lambda norm: norm.register_forward_hook(lambda module, args, output: output.clamp(-1, 1)),
        lambda norm: norm.register_forward_pre_hook(lambda module, args: None),
        lambda norm: parametrize.register_parametrization(norm, "weight", nn.Softplus()),
    ],
)
def test_a_normalisation_that_does_more_stays_where_it_is(change: Callable[[nn.Module], object]) -> None:
    net = Net(lambda net, images: net.norm(net.conv(images)))
    change(net.norm)
    before = net(EXAMPLE)
    (layer,) = find_layers(net, EXAMPLE)
    assert layer.norm is None
    attach(net, Plan(distortion="blur", filters={"conv": (0,)}), EXAMPLE)
    assert torch.equal(net(EXAMPLE)[:, 1:], before[:, 1:])


def test_the_network_is_left_as_it_was() -> None:
    def answer(net: Net, images: Tensor) -> object:
        net.count += 1
        images -= 0.5
        held = nn.functional.dropout(net.conv(images), 0.5, training=True)
        return held + random.random() + np.random.rand()

    net, example = Net(answer), EXAMPLE.clone()
    net.train()
    net.norm.eval()
    net.conv.weight.requires_grad_(False)
    modes = [module.training for module in net.modules()]
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    find_layers(net, example)
    assert [module.training for module in net.modules()] == modes
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1:] == (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]
    assert net.count == 0
    assert torch.equal(example, EXAMPLE)
    assert [parameter.requires_grad for parameter in net.conv.parameters()] == [False, True]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_a_network_that_fails_is_left_as_it_was_and_says_why() -> None:
    def answer(net: Net, images: Tensor) -> object:
        net.norm(net.conv(images))
        raise ValueError("a mistake\nof two lines")

    net = Net(answer).train()
    with pytest.raises(
        DeepcorrectError, match=r"^the network fails on example images of shape 2x3x8x8: ValueError: a mistake of"
    ):
        find_layers(net, EXAMPLE)
    assert all(module.training for module in net.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_a_correction_does_not_change_which_layers_a_network_has(toy: nn.Module) -> None:
    bare = find_layers(toy, EXAMPLE)
    *others, last = bare
    filters = {layer.name: (0, 1) for layer in convolutions(others)}
    correction = attach(toy, Plan(distortion="blur", filters=filters, retrained=(last.name,)), EXAMPLE)
    corrected = toy(EXAMPLE)
    assert find_layers(toy, EXAMPLE) == bare
    assert torch.equal(toy(EXAMPLE), corrected)
    correction.detach()
    assert find_layers(toy, EXAMPLE) == bare


def test_filters_of_a_dense_layer_at_many_positions() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.Flatten(2), nn.Linear(4, 6))
    assert [(layer.filters, layer.output_shape) for layer in find_layers(net, EXAMPLE)] == [(4, (4, 2, 2)), (6, (4, 6))]


def compiled() -> nn.Module:
    return torch.compile(make_toy("plain"), backend="eager")  # type: ignore[return-value]


def compiled_in_place() -> nn.Module:
    network = make_toy("plain")
    network.compile(backend="eager")
    return network


def compiled_in_part() -> nn.Module:
    network = make_toy("plain")
    network[2] = torch.compile(network[2], backend="eager")  # type: ignore[operator, index]
    return network


def scripted() -> nn.Module:
    return nn.Sequential(nn.ReLU(), torch.jit.script(make_toy("batch-norm")))


def frozen() -> nn.Module:
    return torch.jit.freeze(torch.jit.script(make_toy("plain")))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (compiled, "^the network is compiled .* before torch.compile, and compile it after the correction is attached$"),
        (compiled_in_place, "^the network is compiled"),
        (compiled_in_part, "^module 2 of the network is compiled"),
        (scripted, "^the network is TorchScript.*; use the Python module that it was made from$"),
        (frozen, "^the network is TorchScript"),
        (lambda: nn.Sequential(nn.LazyConv2d(4, 3)), "lazy modules, .*; run it on some images first$"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_networks_that_cannot_be_watched_are_refused(make: Callable[[], nn.Module], reason: str) -> None:
    with pytest.raises(DeepcorrectError, match=reason):
        find_layers(make(), EXAMPLE)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_beside_torchscript_a_network_can_be_corrected_and_the_torchscript_stays_as_it_is() -> None:
    block = torch.jit.script(nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)))
    net = nn.Sequential(nn.Conv2d(3, 4, 3), block, nn.Conv2d(4, 5, 1))
    before = net.eval()(EXAMPLE)
    net.train()
    assert [(layer.name, layer.norm) for layer in find_layers(net, EXAMPLE)] == [("0", None), ("2", None)]
    correction = attach(net, Plan(distortion="blur", filters={"0": (0,)}), EXAMPLE)
    net.train()(EXAMPLE)
    with correction.disabled():
        assert torch.equal(net(EXAMPLE), before)
    correction.detach()
    assert all(module.training for module in net.modules())
    assert torch.equal(net.eval()(EXAMPLE), before)
