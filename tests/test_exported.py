"""Programs saved by torch.export come back as networks that take corrections."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export, save
from torch.fx import Node

from deepcorrect.adapters.attach import attach
from deepcorrect.adapters.plan import Plan
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.models import load_model
from deepcorrect.models.exported import _BUILDERS
from deepcorrect.models.layers import convolutions, find_layers
from tests.conftest import TOYS, make_toy

BATCH = ({0: Dim("batch")},)


def exported(model: nn.Module, file: Path, **options: Any) -> str:
    save(export(model, (torch.rand(2, 3, 16, 16),), strict=False, **options), file)
    return str(file)


@pytest.mark.parametrize("name", sorted(TOYS))
@torch.no_grad()
def test_a_program_answers_as_its_network_and_has_its_layers(name: str, tmp_path: Path) -> None:
    model = make_toy(name)
    found = load_model(exported(model, tmp_path / "net.pt2", dynamic_shapes=BATCH))
    images = torch.rand(5, 3, 16, 16)
    assert torch.equal(found(images), model(images))
    shapes = [(layer.norm, layer.uses, layer.output_shape) for layer in find_layers(found, images)]
    assert shapes == [(layer.norm, layer.uses, layer.output_shape) for layer in find_layers(model, images)]


@torch.no_grad()
def test_a_program_takes_corrections(tmp_path: Path) -> None:
    found = load_model(exported(make_toy("residual"), tmp_path / "net.pt2", dynamic_shapes=BATCH))
    images = torch.rand(2, 3, 16, 16)
    before = found(images)
    layer = convolutions(find_layers(found, images))[1]
    assert layer.norm == "bn1"
    correction = attach(found, Plan(distortion="blur", filters={layer.name: (0, 3)}), images)
    assert not torch.equal(found(images), before)
    correction.detach()
    assert torch.equal(found(images), before)


class Sharing(nn.Module):
    """Modules that share some of their tensors and differ in what is left; what they are used for says ``kind``."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.stem, self.one, self.two = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.norm1, self.norm2, self.head = nn.BatchNorm2d(8), nn.BatchNorm2d(8), nn.Linear(8, 5)
        if kind == "statistics":
            self.norm2.weight, self.norm2.bias = self.norm1.weight, self.norm1.bias
        else:
            self.two.weight = self.one.weight
        if kind == "dilation":
            self.two.bias, self.two.dilation, self.two.padding = self.one.bias, (2, 2), (2, 2)

    def forward(self, images: Tensor) -> Tensor:
        held = torch.relu(self.norm1(self.one(self.stem(images))))
        held = torch.relu(self.norm2(self.two(held)))
        logits: Tensor = self.head(held.mean((2, 3)) + self.one.weight.mean())
        return logits


class Headed(nn.Module):
    """Operations of every kind that are no layer, between two that are."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.rand(8, 1, 3, 3))
        self.own = nn.Parameter(torch.randn(8, 8, 3, 3))
        self.stem, self.bare = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, affine=False)
        self.computed = nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 1))
        self.line, self.line_norm, self.up = nn.Conv1d(8, 8, 3), nn.BatchNorm1d(8), nn.ConvTranspose2d(8, 8, 2)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm, self.head = nn.BatchNorm1d(8), nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        held = self.bare(self.stem(images))
        held = nn.functional.conv2d(held, self.kernel, groups=8) + nn.functional.conv2d(held, self.own)
        tokens = self.line_norm(self.line(self.up(self.computed(held)).flatten(2))).transpose(1, 2)
        tokens, _ = self.attention(tokens, tokens, tokens)
        logits: Tensor = self.head(self.norm(tokens.mean(1)))
        return logits


@pytest.mark.parametrize("make", [*(partial(Sharing, kind) for kind in ("bias", "dilation", "statistics")), Headed])
@torch.no_grad()
def test_modules_that_share_tensors_and_operations_without_a_module_answer_alike(
    make: Callable[[], nn.Module], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = make().train()
    for _ in range(3):
        model(torch.rand(16, 3, 16, 16))
    model.eval()
    found = load_model(exported(model, tmp_path / "net.pt2", dynamic_shapes=BATCH))
    images = torch.rand(5, 3, 16, 16)
    assert torch.allclose(found(images), model(images), atol=1e-6)
    names = [layer.name for layer in find_layers(found, images)]
    if isinstance(model, Sharing):
        assert names == ["stem", "one", "two", "head"]
        assert [layer.norm for layer in find_layers(found, images)][1:3] == ["norm1", "norm2"]
    else:
        assert names == ["stem", "conv2d_2", "attention_linear", "attention.out_proj", "head"]


@pytest.mark.parametrize("kind", [torch.float64, torch.float16])
@torch.no_grad()
def test_a_program_keeps_its_precision(kind: torch.dtype, tmp_path: Path) -> None:
    model, images = make_toy("batch-norm").to(kind), torch.rand(2, 3, 16, 16).to(kind)
    save(export(model, (images,), strict=False, dynamic_shapes=BATCH), tmp_path / "net.pt2")
    assert torch.equal(load_model(str(tmp_path / "net.pt2"))(images), model(images))


def test_a_program_that_is_rebuilt_wrongly_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def halved(node: Node, weight: nn.Parameter, bias: nn.Parameter | None = None) -> nn.Module:
        return nn.Linear(weight.shape[1], weight.shape[0])

    monkeypatch.setitem(_BUILDERS, torch.ops.aten.linear.default, halved)
    with pytest.raises(DeepcorrectError, match="does not answer images as the program does; give its Python code instead"):
        load_model(exported(make_toy("plain"), tmp_path / "net.pt2", dynamic_shapes=BATCH))


class Answering(nn.Module):
    """What ``answer`` makes of logits and features."""

    def __init__(self, answer: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.network, self.answer = make_toy("plain"), answer

    def forward(self, images: Tensor) -> Any:
        return self.answer(self.network(images), images)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda logits, images: (logits, images), "answers with tuple, not with one tensor of logits"),
        (lambda logits, images: {"logits": logits}, "answers with dict, not with one tensor of logits"),
        (lambda logits, images: nn.functional.dropout(logits, 0.5, True), "exported in training mode|differently each time"),
    ],
)
def test_other_answers_are_refused_with_the_reason(answer: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(DeepcorrectError, match=reason):
        load_model(exported(Answering(answer), tmp_path / "net.pt2", dynamic_shapes=BATCH))


def test_programs_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    class Two(nn.Module):
        def forward(self, images: Tensor, other: Tensor) -> Tensor:
            return images + other

    class Reshaping(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.reshape(len(images), -1)

    with pytest.raises(DeepcorrectError, match=r"for 2 image\(s\) at a time only; export it with dynamic_shapes"):
        load_model(exported(Reshaping(), tmp_path / "static.pt2"))
    with pytest.raises(DeepcorrectError, match="exported in training mode"):
        load_model(exported(make_toy("batch-norm").train(), tmp_path / "training.pt2", dynamic_shapes=BATCH))
    save(export(Two(), (torch.rand(2, 3), torch.rand(2, 3)), strict=False), tmp_path / "two.pt2")
    with pytest.raises(DeepcorrectError, match="must take one tensor, the images"):
        load_model(str(tmp_path / "two.pt2"))
    (tmp_path / "broken.pt2").write_bytes(b"nothing")
    with pytest.raises(DeepcorrectError, match=r"not a program saved by torch\.export\.save"):
        load_model(str(tmp_path / "broken.pt2"))
    with pytest.raises(DeepcorrectError, match="no such file"):
        load_model(str(tmp_path / "missing.pt2"))
