"""The experiment on real photographs: no cell is computed twice or before what it needs, and the page is written from cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from experiments.chars74k import __main__ as command
from experiments.chars74k import cells as cells_module
from experiments.chars74k import page as study
from experiments.chars74k.cells import Cell, Workshop, result_file
from experiments.chars74k.methods import BASELINE, METHODS
from experiments.chars74k.photographs import load_photographs
from experiments.cifar100 import claimed
from PIL import Image

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import write_json
from deepcorrect.base.progress import Silent


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (cells_module, command, study):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Good and bad ones of two characters: red is A, blue is B; a few bad ones are green and no character."""
    colours = {"A": (220, 20, 20), "B": (20, 20, 220)}
    for part, count in (("good", 20), ("bad", 8)):
        for name, colour in colours.items():
            folder = tmp_path / "chars74k" / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                shown = (20, 220 - index, 20) if part == "bad" and index < 2 else tuple(max(0, each - index) for each in colour)
                Image.new("RGB", (64, 64), shown).save(folder / f"{index}.png")
    return tmp_path


class Stub(Workshop):
    def __init__(self, runs: Path, fail: bool = False) -> None:
        self.runs = runs
        self.fail = fail

    def work(self, cell: Cell) -> dict[str, Any]:
        if self.fail:
            raise KeyboardInterrupt
        return cell_of(0.5)


def cell_of(good: float, bad: float = 0.5) -> dict[str, Any]:
    machine = {"processor": "a processor", "threads": 1}
    return {
        "top1": {"good": good, "bad": bad, "seen": bad, "unseen": bad},
        "kinds": {"blurred": {"images": 7, "top1": bad}, "none of these": {"images": 5, "top1": good}},
        "trainable_parameters": 1234,
        "provenance": {"machine": machine, "versions": {"torch": "2"}, "seconds": 60},
    }


def test_cells_are_computed_once_and_after_the_baseline(results: Path, tmp_path: Path) -> None:
    wanted = [Cell(method, seed) for seed in (0, 1) for method in reversed(METHODS)]
    with pytest.raises(KeyboardInterrupt):
        command.work_on_one(Stub(tmp_path, fail=True), wanted)
    assert not list(results.iterdir())
    done = []
    while (cell := command.work_on_one(Stub(tmp_path), wanted)) is not None:
        done.append(cell)
    assert len(done) == len(set(done)) == len(wanted)
    for seed in (0, 1):
        of_seed = [cell.method for cell in done if cell.seed == seed]
        assert of_seed[0] == BASELINE
    result_file(Cell(METHODS[-1], 1)).unlink()
    assert command.work_on_one(Stub(tmp_path), wanted) == Cell(METHODS[-1], 1)


def test_a_cell_that_another_process_computes_is_left_to_it(results: Path, tmp_path: Path) -> None:
    cell = Cell(BASELINE, 0)
    with claimed(tmp_path / f"{cell.path}.lock") as mine:
        assert mine
        assert command.work_on_one(Stub(tmp_path), [cell]) is None


def test_halves_of_the_bad_photographs_share_none_and_hold_every_class(photographs: Path) -> None:
    read = load_photographs(photographs)
    assert len(read.good.train) + len(read.good.validation) + len(read.good.test) == 40
    assert sorted((*read.seen.indices.tolist(), *read.unseen.indices.tolist())) == list(range(16))
    assert read.seen.labels.bincount().tolist() == read.unseen.labels.bincount().tolist() == [4, 4]
    assert read.seen.shape[1:] == (3, 32, 32)


def test_other_characters_are_refused(photographs: Path) -> None:
    (photographs / "chars74k" / "bad" / "B").rename(photographs / "chars74k" / "bad" / "C")
    with pytest.raises(DeepcorrectError, match="do not show the same characters"):
        load_photographs(photographs)


class Colours(torch.nn.Module):
    """Answers A where an image is more red than blue."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))[:, [0, 2]]


def test_what_is_measured_of_each_part_and_kind(photographs: Path) -> None:
    read = load_photographs(photographs)
    measured = Workshop(read, photographs, torch.device("cpu"), Silent())._measured(Colours())
    assert measured["top1"]["good"] == 1
    assert measured["top1"]["bad"] == pytest.approx(14 / 16)  # green is equally red and blue: taken for the first class
    assert measured["top1"]["seen"] + measured["top1"]["unseen"] == pytest.approx(2 * 14 / 16)
    assert sum(kind["images"] for kind in measured["kinds"].values()) >= 16


def test_a_missing_baseline_is_told(results: Path, photographs: Path) -> None:
    workshop = Workshop(load_photographs(photographs), photographs / "runs", torch.device("cpu"), Silent())
    with pytest.raises(DeepcorrectError, match=r"baseline-seed0/model.safetensors: missing; delete"):
        workshop.work(Cell(METHODS[1], 0))


def test_the_page_shows_means_over_seeds(results: Path) -> None:
    assert "Share of photographs" not in study.page()
    for seed, good in enumerate((0.9, 0.94)):
        write_json(results / f"baseline-seed{seed}.json", cell_of(good, 0.7))
    write_json(results / f"{METHODS[-1].name}-seed0.json", cell_of(0.95, 0.8))
    page = study.page()
    assert f"| {BASELINE.title} | 0.920 ± 0.020 | 0.700 ± 0.000 |" in page
    assert f"| {METHODS[-1].title} | 0.950 | 0.800 |" in page
    assert "| blurred | 7 | 0.700 | 0.800 |" in page
    assert METHODS[1].title not in page


def test_the_published_page_is_that_of_the_results() -> None:
    assert study.PAGE.read_text() == study.page()


def test_names_of_methods_are_different() -> None:
    assert len({method.name for method in METHODS}) == len({method.title for method in METHODS}) == len(METHODS)


@pytest.mark.verify
def test_every_method_improves_the_same_baseline_and_is_continued(
    results: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells_module, "NETWORK", "smallcnn")
    monkeypatch.setattr(cells_module, "PRECISION", "fp32")
    short = {"epochs": 1, "batch_size": 10, "precision": "fp32"}
    quick = {
        method.name: replace(method, recipe={**method.recipe, **short}, mixture=("contrast", "shade"), layers=2)
        for method in METHODS
        if method.mixing != "one"
    }
    monkeypatch.setattr(cells_module, "BASELINE", quick["baseline"])
    workshop = Workshop(load_photographs(photographs), photographs / "runs", torch.device("cpu"), Silent())
    contents = {name: workshop.work(Cell(method, 0)) for name, method in quick.items()}
    trained = {name: content["trainable_parameters"] for name, content in contents.items()}
    assert trained["statistics"] == 0
    same = {name for name in trained if name.startswith("deepcorr-6")}
    assert len({trained[name] for name in same}) == 1
    assert len(set(trained.values())) == len(trained) - len(same) + 1
    again = workshop.work(Cell(quick["deepcorr-6"], 0))
    assert again["validation"] == contents["deepcorr-6"]["validation"]
    assert again["top1"] == contents["deepcorr-6"]["top1"]
