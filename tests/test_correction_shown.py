"""What a correction says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import deepcorrect as dc
from deepcorrect.adapters.file import TrainedOn
from deepcorrect.adapters.units import UNITS
from deepcorrect.evaluation.cost import multiply_accumulates
from tests.conftest import TOYS, make_toy
from tests.corrections import EXAMPLE, plan_for, train_a_little


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", ["plain", "batch-norm", "residual", "depthwise"])
def test_multiply_accumulates_are_those_that_the_network_costs_more(name: str, unit: str) -> None:
    network = make_toy(name)
    without = multiply_accumulates(network, EXAMPLE)
    correction = dc.attach(network, plan_for(network, unit=unit), EXAMPLE)
    assert name in TOYS
    assert correction.multiply_accumulates == multiply_accumulates(network, EXAMPLE) - without > 0


def test_a_layer_that_is_used_twice_costs_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 5)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.conv(self.conv(images).relu()).mean((2, 3)))
            return logits

    network = Twice().eval()
    without = multiply_accumulates(network, EXAMPLE)
    correction = dc.attach(network, dc.Plan(distortion="blur", filters={"conv": (0, 2)}), EXAMPLE)
    assert correction.multiply_accumulates == multiply_accumulates(network, EXAMPLE) - without


def test_a_correction_says_what_it_changes_and_what_it_is_for(tmp_path: Path) -> None:
    network = make_toy("batch-norm")
    first, second, *_, head = (layer.name for layer in dc.find_layers(network, EXAMPLE))
    plan = dc.Plan(distortion="fog", filters={first: (1, 3, 5)}, retrained=(second, head))
    correction = dc.attach(network, plan, EXAMPLE)
    numbers = sum(parameter.numel() for parameter in correction.parameters())
    line = f"Correction(fog: 3 filters of {first}; {second}, {head} retrained; {numbers:,} parameters)"
    assert repr(correction) == line
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in str(correction).splitlines() if "│" in row]
    assert rows[0][:3] == [first, "3 of 8", "cifar unit"]
    assert rows[1] == [second, "all", "retrained copy", f"{12 * (8 * 3 * 3 + 1):,}"]
    assert sum(int(row[3].replace(",", "")) for row in rows) == numbers
    said = " ".join(str(correction).split())
    assert f"{numbers:,} trained parameters" in said
    assert f"fingerprint {correction.fingerprint[:12]}; no record of the data it was trained on" in said
    train_a_little(network, correction)
    correction.trained_on = TrainedOn("folder:photos", "0" * 64)
    correction.save(tmp_path / "fog.safetensors")
    correction.detach()
    assert "trained on folder:photos" in " ".join(str(correction).split())
    loaded = dc.load_correction(tmp_path / "fog.safetensors", network, EXAMPLE)
    assert (str(loaded), repr(loaded)) == (str(correction), line)
    assert loaded._repr_html_().count("<tr>") == 1 + len(rows)


def test_a_network_with_a_correction_is_still_printed_as_a_network() -> None:
    network = make_toy("plain")
    before = repr(network)
    correction = dc.attach(network, plan_for(network), EXAMPLE)
    assert repr(nn.ModuleList([correction])).count("Correction(blur: ") == 1
    correction.detach()
    assert repr(network) == before
