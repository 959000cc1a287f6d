"""The file of a gate: for its network and its corrections alone, whatever else it is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import deepcorrect as dc
from deepcorrect.adapters.attach import attach, load_correction
from deepcorrect.runs.held_out import trainings
from tests.conftest import make_toy
from tests.corrections import plan_for
from tests.gates import Case, gate_case, mixed_batch

State = dict[str, Tensor]
Header = dict[str, Any]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    case = gate_case(tmp_path_factory.mktemp("gate"))
    case.gated.save(case.files["blur"].parent / "gate.safetensors")
    return case


def file_of(case: Case) -> Path:
    return case.files["blur"].parent / "gate.safetensors"


@torch.no_grad()
@pytest.mark.parametrize("given", ["in order", "the other way round", "looked for", "the run folder"])
def test_a_saved_gate_decides_and_answers_as_before(case: Case, given: str) -> None:
    corrections = {"in order": list(case.files.values()), "the other way round": [*case.files.values()][::-1]}.get(given)
    path = file_of(case).parent if given == "the run folder" else file_of(case)
    gated = dc.load_gate(path, make_toy("batch-norm"), corrections)
    batch, kinds = mixed_batch()
    assert torch.equal(gated.decide(batch), kinds)
    assert torch.allclose(gated(batch), case.gated(batch), atol=1e-5)
    assert gated.saved.passed == case.gated.saved.passed > 0.98


def test_a_gate_tells_what_it_was_fitted_on(case: Case, tmp_path: Path) -> None:
    alone = tmp_path / "gate.safetensors"
    alone.write_bytes(file_of(case).read_bytes())
    (training,) = trainings([alone])
    assert case.gated.saved.trained_on == (training.data, training.fingerprint)
    assert training.folder == alone


@torch.no_grad()
def test_a_gate_belongs_to_the_network_and_not_to_what_wraps_it(case: Case) -> None:
    wrapped = nn.Sequential(nn.Identity(), make_toy("batch-norm"))
    gated = dc.load_gate(file_of(case), wrapped)
    batch, kinds = mixed_batch()
    assert torch.equal(gated.decide(batch), kinds)
    half = dc.load_gate(file_of(case), make_toy("batch-norm").to(torch.bfloat16))
    assert float((half.decide(batch.bfloat16()) == kinds).float().mean()) > 0.9


def test_another_network_is_refused(case: Case) -> None:
    network = make_toy("batch-norm", seed=1)
    modules = list(network.modules())
    with pytest.raises(dc.DeepcorrectError, match="made for another network: the layers fit, but the weights of all layers"):
        dc.load_gate(file_of(case), network)
    assert list(network.modules()) == modules


def test_other_corrections_are_refused(case: Case, tmp_path: Path) -> None:
    network = make_toy("batch-norm")
    correction = attach(network, plan_for(network), torch.rand(2, 3, 8, 8), seed=9)
    correction.save(tmp_path / "other.safetensors")
    correction.detach()
    other, blur, noise = tmp_path / "other.safetensors", case.files["blur"], case.files["noise"]
    with pytest.raises(dc.DeepcorrectError, match=r"fitted for the corrections blur, noise, and none that was given is noise"):
        dc.load_gate(file_of(case), network, [blur, other])
    with pytest.raises(dc.DeepcorrectError, match="none that was given is noise; give the same files in corrections"):
        dc.load_gate(file_of(case), network, [blur])
    with pytest.raises(dc.DeepcorrectError, match=r"not fitted for .*other.safetensors; leave it out"):
        dc.load_gate(file_of(case), network, [blur, noise, other])
    alone = tmp_path / "gate.safetensors"
    alone.write_bytes(file_of(case).read_bytes())
    with pytest.raises(dc.DeepcorrectError, match="none that lies beside it or is shipped is blur"):
        dc.load_gate(alone, network)
    assert not any(module._forward_hooks for module in network.modules())


@torch.no_grad()
def test_a_correction_on_the_network_is_recognised(case: Case) -> None:
    network = make_toy("batch-norm")
    correction = load_correction(case.files["noise"], network)
    gated = dc.load_gate(file_of(case), network, [correction, case.files["blur"]])
    batch, _ = mixed_batch()
    assert torch.allclose(gated(batch), case.gated(batch), atol=1e-5)


def changed(case: Case, path: Path, tensors: Callable[[State], State], header: Callable[[Header], Header]) -> Path:
    """The gate's file with other tensors or metadata."""
    with safe_open(file_of(case), "pt") as file:
        told = json.loads(file.metadata()["deepcorrect"])
    save_file(tensors(load_file(file_of(case))), path, metadata={"deepcorrect": json.dumps(header(told))})
    return path


def same(content: Any) -> Any:
    return content


@pytest.mark.parametrize(
    ("tensors", "header", "reason"),
    [
        (lambda state: state | {"x": torch.zeros(1)}, same, "not a gate saved by deepcorrect, or cut short"),
        (lambda state: {name: state[name] for name in ("mean", "scale")}, same, "not a gate"),
        (lambda state: state | {"weight": state["weight"][:2].clone()}, same, "not a gate"),
        (lambda state: state | {"bias": state["bias"].int()}, same, "hold NaN, infinity or a scale of 0"),
        (lambda state: state | {"weight": state["weight"] * float("nan")}, same, "hold NaN, infinity or a scale of 0"),
        (lambda state: state | {"scale": state["scale"] * 0}, same, "hold NaN, infinity or a scale of 0"),
        (lambda state: state | {"decisions": state["decisions"] + 1}, same, "not a gate"),
        (lambda state: state | {"decisions": state["decisions"] * 2}, same, "not a gate"),
        (lambda state: state | {"decisions": state["decisions"].float()}, same, "not a gate"),
        (
            lambda state: {name: value[..., :16].clone() for name, value in state.items()},
            same,
            "for a first convolution of 4 filters; 0 has 8",
        ),
        (same, lambda header: header | {"gate": "mine"}, "not a gate"),
        (same, lambda header: {}, "not a gate"),
        (same, lambda header: header | {"gate": header["gate"] | {"corrections": {}}}, "not a gate"),
        (same, lambda header: header | {"gate": header["gate"] | {"layer": "9"}}, "has no convolution 9"),
        (same, lambda header: header | {"gate": header["gate"] | {"layer": "1"}}, "has no convolution 1"),
        (same, lambda header: header | {"deepcorrect_format": 99}, "made by a newer version of deepcorrect"),
    ],
)
def test_a_damaged_or_hostile_file_is_refused(
    case: Case, tmp_path: Path, tensors: Callable[[State], State], header: Callable[[Header], Header], reason: str
) -> None:
    network = make_toy("batch-norm")
    modules = list(network.modules())
    with pytest.raises(dc.DeepcorrectError, match=reason) as caught:
        dc.load_gate(changed(case, tmp_path / "bad", tensors, header), network, list(case.files.values()))
    assert "\n" not in str(caught.value)
    assert list(network.modules()) == modules


def test_what_is_no_gate_is_refused(case: Case, tmp_path: Path) -> None:
    network = make_toy("batch-norm")
    short = tmp_path / "short"
    short.write_bytes(file_of(case).read_bytes()[:-100])
    text = tmp_path / "text"
    text.write_text("no gate")
    for path in (short, text, case.files["blur"]):
        with pytest.raises(dc.DeepcorrectError, match=f"{path.name}: not a gate saved by deepcorrect, or cut short"):
            dc.load_gate(path, network)
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(dc.DeepcorrectError, match=r"no such file, or no gate\.safetensors in that folder"):
            dc.load_gate(path, network)
    with pytest.raises(dc.DeepcorrectError, match=r"gate\.safetensors: not a correction saved by deepcorrect"):
        dc.load_correction(file_of(case), network)
