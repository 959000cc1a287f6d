"""Weights from files: whatever they were wrapped in when saved, and refused where they are another network's."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_model
from torch import Tensor, nn

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.models.preprocessing import Prepared, Preprocessing
from deepcorrect.models.states import load_weights

State = dict[str, Tensor]


def make() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 5))


def put(prefix: str, state: State) -> State:
    return {f"{prefix}{name}": value for name, value in state.items()}


@pytest.fixture
def state() -> State:
    torch.manual_seed(5)
    return dict(make().state_dict())


def doubled(state: State) -> State:
    return {name: 2 * value for name, value in state.items()}


WRAPPED: dict[str, Any] = {
    "as it is": lambda state: state,
    "DataParallel": lambda state: put("module.", state),
    "compiled in DataParallel": lambda state: put("_orig_mod.module.", state),
    "torchvision's script": lambda state: {
        "model": state,
        "optimizer": {"state": {0: {"momentum": torch.rand(3)}}},
        "epoch": 1,
    },
    "nested": lambda state: {"model": {"state_dict": put("module.", state), "name": "net"}},
    "Lightning": lambda state: {"state_dict": {**put("model.", state), "loss.weight": torch.rand(5)}, "epoch": 3},
    "beside an average": lambda state: {"model": state, "model_ema": put("module.", doubled(state))},
    "an average alone": lambda state: {"ema": state, "updates": 7},
    "averaged in one": lambda state: {**put("model.", state), **put("ema_model.", doubled(state))},
    "without counts": lambda state: {name: value for name, value in state.items() if "num_batches" not in name},
    "in double precision": lambda state: {name: value.double() for name, value in state.items()},
}


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("name", WRAPPED)
def test_the_state_dict_in_a_file_is_found(name: str, inside: bool, state: State, tmp_path: Path) -> None:
    torch.save(WRAPPED[name](state), tmp_path / "weights.pt")
    network = make()
    load_weights(Prepared(network, Preprocessing(None)) if inside else network, tmp_path / "weights.pt")
    found = network.state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (
            lambda state: put("student.", state) | put("teacher.", doubled(state)),
            r"several .* \(student\., teacher\.\)",
        ),
        (lambda state: {name: value for name, value in state.items() if name[0] != "3"}, r"they lack 3\.weight, 3\.bias$"),
        (
            lambda state: put("module.", state) | {"module.9": torch.rand(1)},
            r"without the prefix module\. they have 9, which",
        ),
        (
            lambda state: put("module.", state | {"3.bias": torch.rand(7)}),
            r"size mismatch for 3\.bias: \(7,\) in .* \(5,\)",
        ),
        (
            lambda state: {"a": torch.rand(1)},
            r"they lack 0\.weight, 0\.bias and 6 more; they have a, which the network does not have",
        ),
        (lambda state: {"state_dict": state, "args": argparse.Namespace()}, r"holds a argparse\.Namespace, .* may run code"),
        (lambda state: [state], "not a state dict"),
        (lambda state: {0: torch.rand(2)}, "not a state dict"),
    ],
)
def test_what_does_not_fit_is_refused_by_name_and_nothing_is_loaded(
    spoil: Any, reason: str, state: State, tmp_path: Path
) -> None:
    torch.save(spoil(state), tmp_path / "weights.pt")
    network = make()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(DeepcorrectError, match=reason) as raised:
        load_weights(network, tmp_path / "weights.pt")
    assert "\n" not in str(raised.value)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "net.safetensors.index.json").write_text(json.dumps({"weight_map": {}}))
    torch.jit.script(make()).save(str(tmp_path / "script.pt"))  # type: ignore[no-untyped-call]
    (tmp_path / "text.pt").write_text("hello\nworld")
    reasons = {
        "net.safetensors.index.json": "an index of several files",
        "script.pt": "a TorchScript archive",
        "text.pt": "sound",
    }
    for name, reason in reasons.items():
        with pytest.raises(DeepcorrectError, match=reason):
            load_weights(make(), tmp_path / name)


def test_tied_weights_that_a_file_has_once_stay_tied(tmp_path: Path) -> None:
    def tied() -> nn.ModuleList:
        pair = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
        pair[1].weight = pair[0].weight
        return pair

    saved, network = tied(), tied()
    save_model(saved, str(tmp_path / "weights.safetensors"))
    load_weights(network, tmp_path / "weights.safetensors")
    assert torch.equal(network.state_dict()["1.weight"], saved.state_dict()["0.weight"])
    assert network[1].weight is network[0].weight


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_names_of_an_older_torch_are_converted_by_the_network_itself(tmp_path: Path) -> None:
    old, new = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
    nn.utils.weight_norm(old)
    nn.utils.parametrizations.weight_norm(new)
    torch.save(put("module.", dict(old.state_dict())), tmp_path / "weights.pt")
    with pytest.raises(DeepcorrectError):
        load_weights(make(), tmp_path / "weights.pt")
    torch.save(old.state_dict(), tmp_path / "weights.pt")
    load_weights(new, tmp_path / "weights.pt")
    assert torch.allclose(new.weight, old.weight, atol=1e-6)
