"""Experiments on mixtures: what is trained, what it is tested on, and how it comes onto the page of results."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from experiments import cells as cells_module
from experiments import finished, mixture, mixture_tables, tables
from experiments.cells import Workshop, result_file
from experiments.grid import Cell, cells
from experiments.mixture import PAIR, CorruptionsCell, MixtureCell

from deepcorrect.base.files import read_json, write_json
from deepcorrect.base.progress import Silent
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.ranking.result import Ranking
from deepcorrect.runs.results import Record
from tests.conftest import random_images


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "results"
    for module in (cells_module, finished, tables):
        monkeypatch.setattr(module, "RESULTS", folder)
    (folder / "fast").mkdir(parents=True)
    published = Path(__file__).parent.parent / "results" / "cifar100"
    for name in ("allcnn-cifar100", "fast/deepcorr-6-blur-seed0", "fast/deepcorr-6-noise-seed0"):
        (folder / f"{name}.json").write_text((published / f"{name}.json").read_text())
    return folder


@pytest.mark.verify
def test_a_network_trained_for_a_mixture_is_tested_on_its_members_and_on_what_it_has_not_seen(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixture, "UNSEEN", {PAIR: "blur+noise"})
    monkeypatch.setattr(cells_module, "PRIORITY_IMAGES", 10)
    parts = [random_images(count, classes=100, size=32, seed=count) for count in (130, 20, 10)]
    data = Dataset("random", tuple(map(str, range(100))), "cifar", *parts)
    workshop = Workshop(data, tmp_path / "runs", torch.device("cpu"), "fp32", Silent())
    cell = MixtureCell("deepcorr-6", PAIR, "fast", 0)
    content = workshop.work(cell)
    assert [(record["name"], record["distortion"]) for record in content["records"]] == [
        ("deepcorr-6", "blur"), ("deepcorr-6", "noise"), ("deepcorr-6", "blur+noise"),
    ]  # fmt: skip
    assert {layer: len(filters) for layer, filters in content["filters"].items()} == {
        "conv1": 50, "conv2": 50, "conv3": 50, "conv4": 100, "conv5": 100, "conv6": 100,
    }  # fmt: skip
    ranking = Ranking.load(tmp_path / "runs" / cell.path / "ranking.json")
    assert (ranking.distortion, ranking.method, ranking.images) == (PAIR, "attribution", 10)
    assert ranking.top(50 / 96, layers=1)["conv1"] == tuple(content["filters"]["conv1"])
    write_json(result_file(cell), content)
    assert result_file(cell).name == "deepcorr-6-mix-blur-noise-seed0.json"
    average = f"{content['records'][1]['mean_top1']:.4f}"
    assert [line for line in tables.page().splitlines() if line.startswith("| noise, deepcorr-6 for both") and average in line]


def test_the_cells_of_mixtures_are_asked_for_by_one_name() -> None:
    paths = [cell.path for cell in cells(["mixture"], "fast", [0])]
    assert paths == [
        "fast/deepcorr-6-mix-blur-noise-seed0", "allcnn-cifar100-corruptions",
        "fast/deepcorr-6-mix-imagenet-c-seed0", "fast/finetune-9-mix-imagenet-c-seed0",
    ]  # fmt: skip


def test_the_page_says_what_share_of_the_loss_is_recovered(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {"imagenet-c": ("fog", "snow"), "imagenet-c-extra": ("spatter",)}
    monkeypatch.setattr(mixture_tables, "GROUPS", groups)
    template = Record.model_validate(read_json(results / "allcnn-cifar100.json")["records"][0])

    def write(cell: Cell, clean: float, accuracies: dict[str, float]) -> None:
        records = [
            template.model_copy(
                update={"distortion": name, "levels": (0.0, 1.0, 2.0), "top1": (clean, value + 0.1, value - 0.1)}
            )
            for name, value in accuracies.items()
        ]
        write_json(result_file(cell), {"records": [record.model_dump(mode="json") for record in records]})

    write(CorruptionsCell(), 0.9, {"fog": 0.5, "snow": 0.7, "spatter": 0.4})
    write(MixtureCell("deepcorr-6", "mix:imagenet-c", "fast", 0), 0.88, {"fog": 0.7, "snow": 0.8, "spatter": 0.45})
    page = mixture_tables.mixture_tables().splitlines()
    assert "| clean | 0.9000 | 0.8800 |  |" in page
    assert "| fog | 0.5000 | 0.7000 | 50.0% |" in page
    assert "| **mean of the 15** | 0.6000 | 0.7500 | 50.0% |" in page
    assert "| **mean of the 4 that no network was trained for** | 0.4000 | 0.4500 | 10.0% |" in page
