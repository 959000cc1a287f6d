"""The experiment on the gate: a mixed stream, and how it comes onto the page of results."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from experiments import cells as cells_module
from experiments.gate_tables import gate_tables
from experiments.gating import GateCell, mixed_stream
from experiments.grid import cells

from deepcorrect.base.files import write_json
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.distortions.base import Ladder
from deepcorrect.pipeline.job import Job
from tests.conftest import make_toy, random_images
from tests.gates import STRONG


class Dark(torch.nn.Module):
    """Class 1 for images with a pixel below 0, as blur never makes and strong noise does."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        below = (images.amin((1, 2, 3)) < 0).float()
        return torch.stack([1 - below, below], 1)


def test_a_mixed_stream_has_every_image_once_clean_or_under_one_distortion() -> None:
    parts = [random_images(count, seed=count) for count in (4, 4, 60)]
    job = Job(make_toy("plain"), Dataset("random", tuple("abcde"), "cifar", *parts))
    ladders = [Ladder(distortion, (40.0,) if name == "noise" else (1.5,)) for name, distortion in STRONG.items()]
    job.data = Dataset("random", tuple("ab"), "cifar", parts[0], parts[1], parts[2].labelled(torch.ones(60, dtype=torch.int64)))
    stream = mixed_stream(job, {"dark": Dark()}, ladders)
    assert stream["images"] == 60
    assert stream["by_kind"]["dark"]["clean"] == stream["by_kind"]["dark"]["blur"] == 0
    assert stream["by_kind"]["dark"]["noise"] > 0.9
    assert 0.15 < stream["top1"]["dark"] < 0.5


def test_a_finished_cell_becomes_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells_module, "RESULTS", tmp_path)
    assert cells(["gate"], "fast", [0, 1]) == [GateCell()]
    assert gate_tables() == ""
    record = {
        "name": "gated", "kind": "gated", "distortion": "blur", "levels": (0, 1), "top1": (0.75, 0.5), "top5": (1, 1),
        "mean_top1": 0.625, "mean_top5": 1, "per_class": ((), ()), "trainable_parameters": 1, "multiply_accumulates": 1,
        "images": 100, "seed": 0, "precision": "fp32", "sent": {"fix": (0.01, 0.8)},
    }  # fmt: skip
    stream = {"images": 100, "top1": {"gated": 0.6}, "by_kind": {"gated": {"clean": 0.7, "blur": 0.5}}}
    write_json(tmp_path / "gate.json", {"passed": 0.995, "records": [record], "stream": stream})
    lines = gate_tables().splitlines()
    assert "| blur, gated | 0.7500 | 0.5000 | 0.6250 |" in lines
    assert "| blur, left alone | 0.9900 | 0.2000 |" in lines
    assert "| blur, fix | 0.0100 | 0.8000 |" in lines
    assert "| gated | 0.7000 | 0.5000 | 0.6000 |" in lines
    assert lines[-1] == "Of clean test images, 99.0% are left to the network as it is."
