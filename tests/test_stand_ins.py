"""A module that stands in for a network's own passes for it, and what the network is does not change while it stands there."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from deepcorrect.adapters.attach import attach
from deepcorrect.adapters.corrected import CorrectedConv2d
from deepcorrect.adapters.correction import Correction
from deepcorrect.adapters.plan import Plan
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.models.layers import convolutions, find_layers
from deepcorrect.models.stand_in import StandIn
from tests.conftest import make_toy
from tests.test_layers import Net

EXAMPLE = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(3))
PLAN = Plan(distortion="blur", filters={"conv": (0, 2)})


def train_as_usual(network: nn.Module, correction: Correction) -> None:
    """The loop that everyone writes, around the whole network."""
    optimizer = torch.optim.SGD(correction.parameters(), lr=0.1)
    network.train()
    for _ in range(2):
        optimizer.zero_grad()
        network(EXAMPLE).square().mean().backward()
        optimizer.step()
    network.eval()


def every_layer(network: nn.Module) -> Plan:
    *layers, last = find_layers(network, EXAMPLE)
    filters = {layer.name: (0, 1) for layer in convolutions(layers)}
    return Plan(distortion="blur", filters=filters, retrained=(last.name,))


def test_an_ordinary_training_loop_leaves_the_network_itself_alone(toy: nn.Module) -> None:
    toy.train()
    toy.get_submodule(next(iter(dict(toy.named_children())))).eval().requires_grad_(False)
    trained = [parameter.requires_grad for parameter in toy.parameters()]
    modes = [module.training for module in toy.modules()]
    state = {name: value.clone() for name, value in toy.state_dict().items()}
    before = copy.deepcopy(toy).eval()(EXAMPLE)
    modules = dict(toy.named_modules())
    correction = attach(toy, every_layer(toy), EXAMPLE)
    train_as_usual(toy, correction)
    with correction.disabled():
        assert torch.equal(toy(EXAMPLE), before)
    assert not torch.equal(toy(EXAMPLE), before)
    toy.train().requires_grad_(True)
    correction.detach()
    assert dict(toy.named_modules()) == modules
    assert [module.training for module in toy.modules()] == modes
    assert not any("train" in vars(module) for module in toy.modules())
    assert all(torch.equal(state[name], value) for name, value in toy.state_dict().items())
    assert [parameter.requires_grad for parameter in toy.parameters()] == trained


def test_what_a_correction_owns_can_be_trained_and_put_into_eval_mode() -> None:
    network = make_toy("batch-norm")
    correction = attach(network, every_layer(network), EXAMPLE)
    assert not any(module.training for module in (*network.modules(), *correction.modules()))
    network.train()
    assert all(module.training for adapter in correction.adapters.values() for module in adapter.modules())
    correction.eval()
    assert not any(module.training for module in correction.modules())


def test_power_iterations_of_spectral_normalisation_stand_still() -> None:
    net = Net(lambda net, images: net.norm(net.conv2(net.norm2(net.conv(images)))).mean((2, 3)))
    torch.nn.utils.spectral_norm(net.conv)
    parametrizations.spectral_norm(net.conv2)
    before = net(EXAMPLE)
    correction = attach(net, PLAN, EXAMPLE)
    train_as_usual(net, correction)
    with correction.disabled():
        assert torch.equal(net(EXAMPLE), before)


def test_copies_of_a_corrected_network_are_independent_of_it(toy: nn.Module) -> None:
    correction = attach(toy, every_layer(toy), EXAMPLE)
    corrected = toy(EXAMPLE)
    for made in (copy.deepcopy((toy, correction)), pickle.loads(pickle.dumps((toy, correction)))):
        twin, its_correction = made
        assert torch.equal(twin(EXAMPLE), corrected)
        train_as_usual(twin, its_correction)
        assert not torch.equal(twin(EXAMPLE), corrected)
        its_correction.detach()
        assert not any(isinstance(module, StandIn) for module in twin.modules())
    assert torch.equal(toy(EXAMPLE), corrected)
    correction.detach()
    assert torch.equal(toy(EXAMPLE), twin(EXAMPLE))


def test_stand_ins_have_the_attributes_of_what_they_stand_for() -> None:
    def answer(net: Net, images: Tensor) -> object:
        assert (net.conv.in_channels, net.conv.stride, net.conv.groups) == (3, (1, 1), 1)
        assert (net.norm.num_features, net.norm.eps) == (4, 1e-5)
        assert net.norm.running_mean is not None
        assert net.norm.weight.device == net.conv.weight.device
        return net.norm(net.conv(images.to(net.conv.weight.dtype)))

    net = Net(answer)
    base = net.conv
    attach(net, PLAN, EXAMPLE)
    assert net.conv.weight is base.weight
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        net.conv.nothing_of_the_kind  # noqa: B018


def test_a_retrained_layer_that_is_used_by_its_weight_alone_is_trained() -> None:
    network = make_toy("plain")
    last = list(network.children())[-1]
    correction = attach(network, Plan(distortion="blur", retrained=("8",)), EXAMPLE)
    trained = network.get_submodule("8")
    assert trained.weight is correction.copies["8"].weight
    with correction.disabled():
        assert trained.weight is last.weight


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        lambda conv: conv.register_forward_hook(lambda module, args, output: output.clamp(-0.2, 0.2)),
        lambda conv: conv.register_forward_pre_hook(lambda module, args: (2 * args[0],)),
        lambda conv: torch.nn.utils.weight_norm(conv),
        lambda conv: parametrizations.weight_norm(conv),
        lambda conv: prune.random_unstructured(conv, "weight", 0.5),  # type: ignore[no-untyped-call]
        lambda conv: setattr(conv, "forward", lambda input: F.conv2d(input, conv.weight.abs(), padding=1)),
        lambda conv: setattr(conv, "padding_mode", "circular"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_filters_without_a_unit_keep_what_the_convolution_really_does(
    change: Callable[[nn.Module], object], normalised: bool
) -> None:
    net = Net(lambda net, images: net.norm(net.conv(images)) if normalised else net.conv(images))
    change(net.conv)
    before = net(EXAMPLE)
    attach(net, PLAN, EXAMPLE)
    assert torch.allclose(net(EXAMPLE)[:, [1, 3]], before[:, [1, 3]], atol=1e-5)
    assert not torch.allclose(net(EXAMPLE)[:, [0, 2]], before[:, [0, 2]], atol=1e-2)


def test_hooks_on_all_modules_are_run_too() -> None:
    net = Net(lambda net, images: net.conv(images))
    attach(net, PLAN, EXAMPLE)
    seen: list[nn.Module] = []
    handle = nn.modules.module.register_module_forward_hook(lambda module, args, output: seen.append(module))
    try:
        net(EXAMPLE)
    finally:
        handle.remove()
    assert isinstance(net.conv, CorrectedConv2d)
    assert net.conv.base in seen


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["plain", "batch-norm", "grouped"])
def test_units_take_the_precision_of_their_layer(name: str, dtype: torch.dtype) -> None:
    network = make_toy(name).to(dtype)
    images = EXAMPLE.to(dtype)
    before = network(images)
    correction = attach(network, Plan(distortion="blur", filters={"0": (0, 1)}), images)
    assert all(parameter.dtype is dtype for parameter in correction.parameters())
    assert network(images).dtype is dtype
    with correction.disabled():
        assert torch.equal(network(images), before)


def in_a_list(net: Net) -> Callable[[Tensor], object]:
    modules = [net.conv, net.norm]
    return lambda images: modules[1](modules[0](images))


def by_a_partial(net: Net) -> Callable[[Tensor], object]:
    return partial(net.conv)


def by_a_closure_once_of_two(net: Net) -> Callable[[Tensor], object]:
    held = net.conv2
    return lambda images: held(net.conv2(net.conv(images)))


def norm_in_a_list(net: Net) -> Callable[[Tensor], object]:
    norms = [net.norm]
    return lambda images: norms[0](net.conv(images))


@pytest.mark.parametrize(
    ("answer", "layer", "missed"),
    [
        (in_a_list, "conv", "norm, conv"),
        (by_a_partial, "conv", "conv"),
        (by_a_closure_once_of_two, "conv2", "conv2"),
        (norm_in_a_list, "conv", "norm"),
    ],
)
def test_a_unit_that_would_not_be_reached_is_refused(
    answer: Callable[[Net], Callable[[Tensor], object]], layer: str, missed: str
) -> None:
    net = Net(lambda net, images: run(images))
    run = answer(net)
    with pytest.raises(DeepcorrectError, match=f"^the network runs {missed} by another reference"):
        attach(net, Plan(distortion="blur", filters={layer: (0,)}), EXAMPLE)
    assert not any(isinstance(module, StandIn) for module in net.modules())


@dataclass
class Answer:
    logits: Tensor
    extra: object = None


@pytest.mark.parametrize("wrap", [lambda x: {"out": x}, lambda x: [x, "text"], lambda x: (1, (x, {})), lambda x: Answer(x)])
def test_any_structure_of_answers_will_do(wrap: Callable[[Tensor], object]) -> None:
    attach(Net(lambda net, images: wrap(net.norm(net.conv(images)))), PLAN, EXAMPLE)


def asks_for_types(net: Net, images: Tensor) -> object:
    return net.norm(net.conv(images) * (1 if isinstance(net.conv, nn.Conv2d) else 2))


def needs_its_type(net: Net, images: Tensor) -> object:
    if not isinstance(net.conv, nn.Conv2d):
        raise TypeError("a convolution is needed")
    return net.conv(images)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda net, images: F.dropout(net.conv(images), 0.5), "answers differently when it sees the same images twice"),
        (lambda net, images: net.conv(images) + torch.randn(()), "answers differently when it sees the same images twice"),
        (lambda net, images: net.conv(images) * float("nan"), "answers the example images with NaN"),
        (lambda net, images: (net.conv(images), None)[1], "returns no tensor"),
        (asks_for_types, "answers differently once another module stands for conv.*; leave such layers out of the plan$"),
        (needs_its_type, "^with a correction on it, the network fails on .* TypeError: a convolution is needed"),
    ],
)
def test_a_failed_attach_says_the_true_reason_and_leaves_nothing_behind(
    answer: Callable[[Net, Tensor], object], reason: str
) -> None:
    net = Net(answer).train()
    modules, stream = dict(net.named_modules()), torch.get_rng_state()
    with pytest.raises(DeepcorrectError, match=reason):
        attach(net, PLAN, EXAMPLE)
    assert dict(net.named_modules()) == modules
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert all(module.training and "train" not in vars(module) for module in net.modules())
    assert torch.equal(torch.get_rng_state(), stream)


def test_attaching_draws_no_random_numbers_and_needs_no_defaults() -> None:
    stream = torch.get_rng_state()
    corrected = []
    for default in (torch.float32, torch.float64):
        network = make_toy("batch-norm")
        torch.set_rng_state(stream)
        try:
            torch.set_default_dtype(default)
            with torch.inference_mode():
                correction = attach(network, Plan(distortion="blur", filters={"0": (0, 1)}), EXAMPLE)
        finally:
            torch.set_default_dtype(torch.float32)
        assert torch.equal(torch.get_rng_state(), stream)
        train_as_usual(network, correction)
        corrected.append(network(EXAMPLE).dtype)
    assert corrected == [torch.float32] * 2
