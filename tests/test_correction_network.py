"""A correction belongs to its network: behind whatever wrapper, in whatever precision, and to no other."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from deepcorrect.adapters.attach import attach, load_correction
from deepcorrect.adapters.correction import Correction
from deepcorrect.adapters.file import read_header
from deepcorrect.adapters.plan import Plan
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.models.blocks import Normalize
from tests.conftest import Residual, make_toy
from tests.corrections import EXAMPLE, train_a_little

Change = Callable[[nn.Module], nn.Module]


class Holding(nn.Module):
    """A user's wrapper, which normalises by a buffer of its own."""

    def __init__(self, network: nn.Module, name: str) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, 3, 1, 1), 0.25))
        self.add_module(name, network)
        self.name = name

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.get_submodule(self.name)(images - self.get_buffer("mean"))
        return logits


def normalised(network: nn.Module) -> nn.Module:
    return nn.Sequential(Normalize((0.25, 0.25, 0.25), (1.0, 1.0, 1.0)), network)


WRAPPERS: dict[str, tuple[Change, str]] = {
    "bare": (lambda network: network, ""),
    "sequential": (normalised, "1."),
    "model": (lambda network: Holding(network, "model"), "model."),
    "backbone": (lambda network: Holding(network, "backbone"), "backbone."),
    "twice": (lambda network: Holding(nn.Sequential(nn.Identity(), network), "model"), "model.1."),
    "data parallel": (lambda network: nn.DataParallel(network, device_ids=[]), "module."),
}
PRECISIONS: dict[str, Change] = {
    "single": lambda network: network,
    "double": nn.Module.double,
    "half": nn.Module.half,
    "brain": nn.Module.bfloat16,
    "rounded": lambda network: network.half().float(),
    "rounded more": lambda network: network.bfloat16().float(),
}


def images_for(network: nn.Module) -> Tensor:
    return EXAMPLE.to(next(network.parameters()).dtype)


def corrected(network: nn.Module, before: str = "") -> Correction:
    """Corrected at two layers and retrained at the last, their names after ``before``."""
    plan = Plan(
        distortion="blur", filters={f"{before}0": (0, 3), f"{before}3": (1,)}, retrained=(f"{before}11",), batch_norm=False
    )
    correction = attach(network, plan, images_for(network))
    if next(network.parameters()).dtype is torch.float32:
        train_a_little(network, correction)
    return correction


@pytest.mark.parametrize("trained", WRAPPERS)
@pytest.mark.parametrize("loaded", WRAPPERS)
def test_wrappers_do_not_matter(trained: str, loaded: str, tmp_path: Path) -> None:
    wrap, before = WRAPPERS[trained]
    correction = corrected(wrap(make_toy("batch-norm")), before)
    correction.save(tmp_path / "fix")
    assert list(read_header(tmp_path / "fix").filters) == ["0", "3"]
    assert {name.split(".")[1] for name in load_file(tmp_path / "fix")} == {"0", "3", "11"}
    wrap, here = WRAPPERS[loaded]
    network = wrap(make_toy("batch-norm"))
    again = load_correction(tmp_path / "fix", network)
    assert again.plan.filters == {f"{here}0": (0, 3), f"{here}3": (1,)}
    assert again.plan.retrained == (f"{here}11",)
    state = correction.state_dict()
    assert all(
        torch.equal(value, state[name.replace(here.replace(".", "/"), before.replace(".", "/"), 1)] if here else value)
        for name, value in again.state_dict().items()
    )
    wanted = WRAPPERS[loaded][0](make_toy("batch-norm"))
    inner = make_toy("batch-norm")
    corrected_alone = load_correction(tmp_path / "fix", inner)
    expected = inner(EXAMPLE if loaded in ("bare", "data parallel") else EXAMPLE - 0.25)
    assert torch.equal(network(EXAMPLE), expected)
    again.detach()
    corrected_alone.detach()
    assert torch.equal(network(EXAMPLE), wanted(EXAMPLE))


@pytest.mark.parametrize("loaded", PRECISIONS)
def test_the_network_may_be_in_another_precision(loaded: str, tmp_path: Path) -> None:
    network = make_toy("batch-norm")
    corrected(network).save(tmp_path / "fix")
    converted = PRECISIONS[loaded](normalised(make_toy("batch-norm")))
    images = images_for(converted)
    correction = load_correction(tmp_path / "fix", converted)
    assert {value.dtype for value in correction.parameters()} == {images.dtype}
    rounding = 0.05 if "more" in loaded or loaded == "brain" else 0.01
    assert torch.allclose(converted(images).float(), network(EXAMPLE - 0.25), atol=rounding, rtol=rounding)


@pytest.mark.parametrize("trained", ["half", "brain", "rounded", "rounded more", "double"])
def test_it_may_have_been_trained_in_another_precision(trained: str, tmp_path: Path) -> None:
    corrected(PRECISIONS[trained](make_toy("batch-norm"))).save(tmp_path / "fix")
    for loaded in ("single", "double", trained):
        load_correction(tmp_path / "fix", PRECISIONS[loaded](make_toy("batch-norm"))).detach()
    with pytest.raises(DeepcorrectError, match="the layers fit, but the weights of all layers differ"):
        load_correction(tmp_path / "fix", make_toy("batch-norm", seed=1))


def test_two_half_precisions_are_not_compared(tmp_path: Path) -> None:
    corrected(make_toy("batch-norm").half()).save(tmp_path / "fix")
    with pytest.raises(DeepcorrectError, match="rounded to float16 there and to bfloat16 here, which cannot be compared: load"):
        load_correction(tmp_path / "fix", make_toy("batch-norm").bfloat16())


def tuned(name: str, by: float) -> nn.Module:
    """A network of which one number was changed."""
    network = make_toy("batch-norm")
    with torch.no_grad():
        network.state_dict()[name].view(-1)[0] += by
    return network


@pytest.mark.parametrize("name", ["0.weight", "3.bias", "4.weight", "4.running_mean", "1.running_var", "11.bias"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_network_that_was_trained_on_is_refused(name: str, precision: str, tmp_path: Path) -> None:
    corrected(make_toy("batch-norm")).save(tmp_path / "fix")
    by = 0.02 if precision not in ("single", "double") else 1e-6
    network = PRECISIONS[precision](normalised(tuned(name, by)))
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(DeepcorrectError, match=rf"the layers fit, but the weights of layer {name.split('.')[0]} differ$"):
        load_correction(tmp_path / "fix", network)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert list(network.state_dict()) == list(before)


def test_what_wraps_a_network_may_not_have_layers_of_its_own(tmp_path: Path) -> None:
    corrected(make_toy("batch-norm")).save(tmp_path / "fix")
    wrapped = nn.Sequential(nn.BatchNorm2d(3), make_toy("batch-norm")).eval()
    with pytest.raises(DeepcorrectError, match=r"its layers are 0, 1, 3, 4, 6, 7 and 1 more; this one's are 0, 1.0, 1.1, 1.3,"):
        load_correction(tmp_path / "fix", wrapped)


def test_a_buffer_inside_the_network_is_part_of_it(tmp_path: Path) -> None:
    networks = [Residual().eval() for _ in range(2)]
    for network in networks:
        network.load_state_dict(networks[0].state_dict())
    networks[0].register_buffer("temperature", torch.ones(()))
    networks[0].register_buffer("unsaved", torch.ones(()), persistent=False)
    attach(networks[0], Plan(distortion="blur", filters={"conv1": (0,)}), EXAMPLE).save(tmp_path / "fix")
    with pytest.raises(DeepcorrectError, match=r"made for another network: this network has no temperature$"):
        load_correction(tmp_path / "fix", networks[1])
    networks[1].register_buffer("temperature", torch.full((), 2.0))
    with pytest.raises(DeepcorrectError, match=r"the weights of layer temperature differ$"):
        load_correction(tmp_path / "fix", networks[1])
    networks[1].get_buffer("temperature").fill_(1.0)
    load_correction(tmp_path / "fix", networks[1])


def test_the_file_tells_the_shape_of_images(tmp_path: Path) -> None:
    network = make_toy("batch-norm")
    attach(network, Plan(distortion="blur", retrained=("0",)), EXAMPLE[:, :, :6, :7].repeat(1, 1, 2, 1)).save(tmp_path / "fix")
    seen: list[tuple[int, ...]] = []
    again = make_toy("batch-norm")
    again.register_forward_pre_hook(lambda module, given: seen.append(tuple(given[0].shape[1:])))
    load_correction(tmp_path / "fix", again)
    assert set(seen) == {(3, 12, 7)}
