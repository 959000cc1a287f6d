"""Programs saved by torch.export come back as networks that take corrections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export, save

from deepcorrect.correction import Plan, attach
from deepcorrect.errors import DeepcorrectError
from deepcorrect.layers import convolutions, find_layers
from deepcorrect.models import load_model
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


def test_programs_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    class Two(nn.Module):
        def forward(self, images: Tensor, other: Tensor) -> Tensor:
            return images + other

    class Reshaping(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.reshape(len(images), -1)

    with pytest.raises(DeepcorrectError, match=r"for 2 image\(s\) at a time alone; export it with dynamic_shapes"):
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
