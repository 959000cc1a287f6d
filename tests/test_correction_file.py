"""Files of corrections that are damaged or hostile: one line, and the network as it was."""

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

from deepcorrect.adapters.attach import attach, load_correction
from deepcorrect.adapters.plan import Plan
from deepcorrect.base.errors import DeepcorrectError
from tests.conftest import make_toy

EXAMPLE = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(3))
State = dict[str, Tensor]
Header = dict[str, Any]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    network = make_toy("batch-norm")
    attach(network, Plan(distortion="blur", filters={"0": (0, 1)}, retrained=("3",)), EXAMPLE).save(tmp_path / "fix")
    return tmp_path / "fix"


def old(header: Header, fingerprint: object) -> Header:
    """As the first version wrote it."""
    return {"plan": header["plan"], "fingerprint": fingerprint}


def refused(path: Path, network: nn.Module, reason: str) -> None:
    """Loading says the reason, in one line, and leaves the network as it was."""
    modules, modes = dict(network.named_modules()), [module.training for module in network.modules()]
    dtype = next(network.parameters()).dtype
    with pytest.raises(DeepcorrectError, match=reason) as caught:
        load_correction(path, network, EXAMPLE.to(dtype))
    assert "\n" not in str(caught.value)
    assert dict(network.named_modules()) == modules
    assert [module.training for module in network.modules()] == modes
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any("train" in vars(module) for module in network.modules())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda state: state | {"x": torch.zeros(1)}, 'do not fit its own plan .*Unexpected key.* "x"'),
        (lambda state: dict(list(state.items())[:3]), "do not fit its own plan .*Missing key"),
        (lambda state: {name: value[:1].clone() if value.ndim else value for name, value in state.items()}, "size mismatch"),
        (lambda state: {name: value * float("nan") for name, value in state.items()}, "holds NaN or infinity"),
        (lambda state: {name: value.int() for name, value in state.items()}, "is of torch.int32, not of torch.float32"),
        (lambda state: {name: value.to(torch.complex64) for name, value in state.items()}, "is of torch.complex64, not of"),
    ],
)
def test_tensors_that_do_not_fit(saved: Path, change: Callable[[State], State], reason: str) -> None:
    with safe_open(saved, "pt") as file:
        metadata = file.metadata()
    save_file(change(load_file(saved)), saved, metadata=metadata)
    refused(saved, make_toy("batch-norm"), reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda header: "[" * 100_000, "not a correction saved by deepcorrect, or cut short"),
        (lambda header: "[]", "not a correction saved by deepcorrect, or cut short"),
        (lambda header: header | {"plan": [1]}, "its plan is unsound"),
        (lambda header: header | {"network": 3}, "not a correction saved by deepcorrect, or cut short"),
        (lambda header: header | {"network": {"tensors": {"0.weight": [1, 2]}}}, "not a correction saved by deepcorrect"),
        (
            lambda header: header | {"network": {"tensors": {}}},
            "its layers are none; this one's are 0, 1",
        ),
        (lambda header: {name: header[name] for name in header if name != "network"}, "not a correction saved by"),
        (lambda header: header | {"image_shape": "large"}, "not a correction saved by deepcorrect, or cut short"),
        (lambda header: old(header, "0" * 64), "the layers fit, but the weights differ"),
        (lambda header: old(header, 3), "not a correction saved by deepcorrect, or cut short"),
        (lambda header: header | {"plan": header["plan"] | {"retrained": ["3", "3"]}}, "layer 3 is to be retrained twice"),
        (lambda header: header | {"plan": header["plan"] | {"filters": {"0": [-1]}}}, "layer 0 has 8 filters, numbered from 0"),
        (lambda header: header | {"plan": header["plan"] | {"filters": {"": [0]}}}, "unknown layer ''"),
        (lambda header: header | {"plan": header["plan"] | {"unit": "huge"}}, "unit='huge': unknown"),
    ],
)
def test_headers_that_lie(saved: Path, change: Callable[[Header], Header | str], reason: str) -> None:
    with safe_open(saved, "pt") as file:
        header = change(json.loads(file.metadata()["deepcorrect"]))
    text = header if isinstance(header, str) else json.dumps(header)
    save_file(load_file(saved), saved, metadata={"deepcorrect": text})
    refused(saved, make_toy("batch-norm"), reason)


def test_a_network_is_not_called_another_one_for_what_is_wrong_with_it(saved: Path) -> None:
    refused(saved, torch.compile(make_toy("batch-norm"), backend="eager"), "^the network is compiled")  # type: ignore[arg-type]
    corrected = make_toy("batch-norm")
    attach(corrected, Plan(distortion="blur", filters={"0": (0,)}), EXAMPLE)
    with pytest.raises(DeepcorrectError, match=r"^the network already has a correction"):
        load_correction(saved, corrected, EXAMPLE)


def test_a_correction_is_loaded_in_double_precision(saved: Path) -> None:
    network = make_toy("batch-norm").double()
    correction = load_correction(saved, network, EXAMPLE.double())
    assert all(parameter.dtype is torch.float64 for parameter in correction.parameters())
    assert network(EXAMPLE.double()).dtype is torch.float64
