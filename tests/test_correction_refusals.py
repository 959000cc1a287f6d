"""What cannot be corrected, and files that are no correction of a network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from deepcorrect.adapters.attach import attach, load_correction
from deepcorrect.adapters.file import find_correction, read_header
from deepcorrect.adapters.plan import Plan
from deepcorrect.base.errors import DeepcorrectError
from tests.conftest import make_toy
from tests.corrections import EXAMPLE, plan_for, snapshot


@pytest.mark.parametrize(
    ("norm", "plan"),
    [
        (nn.BatchNorm2d(4, track_running_stats=False), {"filters": {"0": (0,)}}),
        (nn.BatchNorm2d(4), {"filters": {"0": (0,)}, "unit": "huge"}),
    ],
)
def test_what_cannot_be_attached_leaves_the_network_as_it_was(norm: nn.BatchNorm2d, plan: dict[str, object]) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), norm).eval()
    with pytest.raises(DeepcorrectError):
        attach(network, Plan.model_validate({"distortion": "blur", **plan}), EXAMPLE)
    assert [type(module) for module in network] == [nn.Conv2d, nn.BatchNorm2d]
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ({"filters": {"nowhere": (0,)}}, "unknown layer 'nowhere'; the network has 0, 2, 4"),
        ({"filters": {"0": (8,)}}, "layer 0 has 8 filters"),
        ({"filters": {"0": ()}}, "layer 0 has 8 filters"),
        ({"filters": {"8": (0,)}}, "layer 8 is no convolution"),
        ({"filters": {"0": (1,)}, "retrained": ("0",)}, "corrected and retrained at once"),
    ],
)
def test_plans_that_do_not_fit_are_refused(plan: dict[str, object], reason: str) -> None:
    network = make_toy("plain")
    before = snapshot(network)
    with pytest.raises(DeepcorrectError, match=reason):
        attach(network, Plan.model_validate({"distortion": "blur", **plan}), EXAMPLE)
    assert list(network.state_dict()) == list(before)


def test_a_correction_of_another_network_is_refused_with_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "correction.safetensors"
    network = make_toy("plain")
    attach(network, plan_for(network), EXAMPLE).save(file)
    others = {
        "residual": "its layers are 0, 2, 4, 8; this one's are stem, conv1, bn1, conv2, head",
        "depthwise": "its layers are 0, 2, 4, 8; this one's are 0, 1, 2, 4",
        "grouped": "its layers are 0, 2, 4, 8; this one's are 0, 1, 3, 4, 6, 7 and 1 more",
    }
    for name, reason in others.items():
        other = make_toy(name)
        before = other(EXAMPLE)
        with pytest.raises(DeepcorrectError, match=f"made for another network: ({reason})"):
            load_correction(file, other, EXAMPLE)
        assert torch.equal(other(EXAMPLE), before)
    twin = make_toy("plain", seed=1)
    before = twin(EXAMPLE)
    with pytest.raises(DeepcorrectError, match="the layers fit, but the weights of all layers differ"):
        load_correction(file, twin, EXAMPLE)
    assert torch.equal(twin(EXAMPLE), before)


def test_files_that_are_no_correction_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "correction.safetensors"
    network = make_toy("plain")
    attach(network, plan_for(network), EXAMPLE).save(file)
    content = file.read_bytes()
    for wrong in (content[: len(content) // 2], b"", b"\x80\x04not safetensors", content[:8] + b"x" * 100):
        file.write_bytes(wrong)
        with pytest.raises(DeepcorrectError, match="not a correction saved by deepcorrect, or cut short"):
            read_header(file)
    with pytest.raises(DeepcorrectError, match=r"^correction='nowhere': no such file or run folder"):
        find_correction("nowhere")
