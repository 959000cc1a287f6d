"""The experiment on corrections without labels: what is measured, and how it comes onto the page of results."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from experiments import cells as cells_module
from experiments import finished, unlabelled_tables
from experiments.cells import result_file
from experiments.grid import cells, deepcorr
from experiments.unlabelled import UnlabelledCell, correct_without_labels

import deepcorrect as dc
from deepcorrect.base.files import read_json, write_json
from deepcorrect.datasets.dataset import Dataset
from tests.conftest import labelled_by, make_toy, random_images

RESULTS = Path(__file__).parent.parent / "results" / "cifar100"


def test_labels_of_training_and_validation_images_decide_nothing() -> None:
    """Labels that are all wrong give the same correction; accuracy is that of the test images' own labels."""
    recipe = dc.get_recipe("fast", "correct", epochs=1, batch_size=32, precision="fp32").without_labels()
    outcomes = []
    for shift in (0, 1):
        network = make_toy("plain")
        every = labelled_by(network, random_images(120))
        train, validation, test = (every.take(part) for part in torch.arange(120).tensor_split((70, 100)))
        train, validation = (part.labelled((part.labels + shift) % 5) for part in (train, validation))
        job = dc.Job(network, Dataset("own", tuple("01234"), "cifar", train, validation, test))
        outcomes.append(correct_without_labels(job, dc.GaussianBlur(), (1.0, 2.0), {"0": 0.5, "2": 0.25}, recipe, 20))
    (filters, records), again = outcomes
    assert again == (filters, records)
    assert {layer: len(chosen) for layer, chosen in filters.items()} == {"0": 4, "2": 3}
    assert [record.agreement for record in records] == [False, False]
    assert records[0].top1[0] == 1


def test_finished_cells_come_onto_the_page_and_are_not_taken_for_those_with_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (cells_module, finished):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    for name in ("allcnn-cifar100", "fast/deepcorr-6-blur-seed0"):
        (tmp_path / f"{name}.json").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.json").write_text((RESULTS / f"{name}.json").read_text())
    assert unlabelled_tables.unlabelled_table() == ""
    cell = UnlabelledCell("blur", "fast", 0)
    content = read_json(tmp_path / "fast" / "deepcorr-6-blur-seed0.json")
    (record,) = content["records"]
    before = record["mean_top1"]
    baseline = {**record, "name": "baseline", "mean_top1": 0.1}
    write_json(result_file(cell), {**content, "records": [baseline, {**record, "mean_top1": 0.5432}]})
    table = unlabelled_tables.unlabelled_table()
    lines = [line for line in table.splitlines() if line.startswith("| blur")]
    named = [line.split(" | ")[0].removeprefix("| ") for line in lines]
    assert named == ["blur, as it is, fast", "blur, labels, fast", "blur, no labels, fast"]
    assert lines[1].endswith(f"| {before:.4f} |")
    assert lines[2].endswith("| 0.5432 |")
    assert len(finished.saved(deepcorr(6), "blur", "fast")) == 1


def test_the_cells_are_asked_for_by_one_name() -> None:
    asked = cells(["unlabelled"], "fast", [0])
    assert [cell.path for cell in asked] == [f"fast/deepcorr-6-unlabelled-{name}-seed0" for name in ("blur", "noise")]
