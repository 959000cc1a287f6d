"""The grid of experiments: which cells there are, which filters they correct, and that no cell is done twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from experiments import cells as cells_module
from experiments import cifar100, finished, ranking_cells, ranking_tables, tables
from experiments.cells import Workshop as RealWorkshop
from experiments.cells import choose, result_file
from experiments.grid import (
    COUNTS,
    DISTORTIONS,
    NETWORKS,
    ORDER,
    ORDERS,
    AgreementCell,
    Baseline,
    Cell,
    ChoiceCell,
    IdealCell,
    NetworkCell,
    PriorityCell,
    cells,
    deepcorr,
    first_layer,
)

from deepcorrect.base.files import read_json, write_json
from deepcorrect.base.progress import Silent
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.ranking.result import Ranking
from tests.conftest import random_images

RANKING = Ranking(
    "blur", (1.0,), 10, 0, (0.5,), {"conv1": tuple(place / 96 for place in range(96)), "conv2": (1.0,) * 6 + (-1.0,) * 90}
)


def test_the_grid_holds_every_cell_once_and_after_those_it_needs() -> None:
    found = cells(ORDER, "fast", [0, 1])
    assert len(found) == len(set(found))
    assert len({cell.path for cell in found}) == len(found)
    for place, cell in enumerate(found):
        assert set(cell.needs) <= set(found[:place])
    trained = [cell for cell in found if isinstance(cell, NetworkCell)]
    one_seed = len(NETWORKS) + 1 + len(ORDERS) + 11 * len(COUNTS) + 1
    assert len(trained) == 2 * len(DISTORTIONS) * one_seed
    assert all(cell.seed == 0 for cell in trained[: len(trained) // 2])


def test_a_table_asks_for_its_own_cells_alone() -> None:
    found = cells(["table3"], "paper", [0])
    assert found[:2] == [Baseline(), NetworkCell(NETWORKS[0], "blur", "paper", 0)]
    assert {cell.distortion for cell in found if isinstance(cell, PriorityCell | NetworkCell)} == {"blur"}
    assert len(found) == 2 + len(NETWORKS)


def test_filters_are_chosen_by_priority_or_against_it_or_at_random() -> None:
    assert choose(first_layer(3, "local"), RANKING, 0) == {"conv1": (93, 94, 95)}
    assert choose(first_layer(3, "least"), RANKING, 0) == {"conv1": (0, 1, 2)}
    draws = [choose(first_layer(48, "random", draw), RANKING, 0)["conv1"] for draw in range(10)]
    assert all(len(set(draw)) == 48 and max(draw) < 96 for draw in draws)
    assert len(set(draws)) == 10
    both = deepcorr(2, choice="global")
    chosen = choose(both, RANKING, 0)
    assert chosen["conv2"] == (0, 1, 2, 3, 4, 5)
    assert len(chosen["conv1"]) == 94


def test_least_and_most_susceptible_are_disjoint_halves() -> None:
    most = choose(first_layer(48, "local"), RANKING, 0)["conv1"]
    least = choose(first_layer(48, "least"), RANKING, 0)["conv1"]
    assert sorted(most + least) == list(range(96))


class Workshop:
    """Writes down what it was asked for."""

    def __init__(self) -> None:
        self.done: list[Cell] = []

    def work(self, cell: Cell) -> dict[str, Any]:
        self.done.append(cell)
        return {"path": cell.path}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cells_module, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


def _work_off(workshop: Workshop, wanted: list[Cell], runs: Path) -> None:
    while cifar100.work_on_one(workshop, wanted, runs) is not None:  # type: ignore[arg-type]
        pass


def test_finished_cells_are_not_done_again(results: Path, tmp_path: Path) -> None:
    wanted = cells(["table3"], "fast", [0])
    first = Workshop()
    _work_off(first, wanted, tmp_path / "runs")
    assert first.done == wanted
    (results / "fast" / "finetune-1-blur-seed0.json").unlink()
    second = Workshop()
    _work_off(second, wanted, tmp_path / "runs")
    assert [cell.path for cell in second.done] == ["fast/finetune-1-blur-seed0"]


def test_a_cell_that_another_process_is_at_is_left_to_it(results: Path, tmp_path: Path) -> None:
    wanted = cells(["table3"], "fast", [0])
    other = Workshop()
    with cifar100.claimed(tmp_path / "runs" / f"{PriorityCell('blur').path}.lock") as mine:
        assert mine
        _work_off(other, wanted, tmp_path / "runs")
    assert [cell.path for cell in other.done if isinstance(cell, PriorityCell)] == []
    assert all(cell.path.startswith(("allcnn", "fast/finetune")) for cell in other.done)
    _work_off(other, wanted, tmp_path / "runs")
    assert len(other.done) == len(wanted)


@pytest.fixture
def tiny() -> Dataset:
    """Random images in the format of CIFAR-100."""
    parts = [random_images(count, classes=100, size=32, seed=count) for count in (150, 100, 20)]
    return Dataset("random", tuple(map(str, range(100))), "cifar", *parts)


def test_cells_are_measured_and_come_onto_the_page(
    results: Path, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (finished, tables):
        monkeypatch.setattr(module, "RESULTS", results)
    (results / "fast").mkdir(parents=True)
    published = Path(__file__).parent.parent / "results" / "cifar100" / "allcnn-cifar100.json"
    (results / published.name).write_text(published.read_text())
    ranking = Ranking("blur", (1.0,), 10, 0, (0.5,), {"conv1": tuple(place / 96 for place in range(96))})
    origin = {"machine": {"processor": "none", "threads": 1}, "finished": "never"}
    write_json(result_file(PriorityCell("blur")), {"ranking": ranking.as_json(), "provenance": origin})
    workshop = RealWorkshop(tiny, tmp_path / "runs", torch.device("cpu"), "fp32", Silent())

    corrected = NetworkCell(first_layer(6, "local"), "blur", "fast", 0)
    content = workshop.work(corrected)
    write_json(result_file(corrected), content)
    assert content["filters"] == {"conv1": (90, 91, 92, 93, 94, 95)}
    (record,) = content["records"]
    assert record["name"] == "ranked-6"
    assert list(record["levels"]) == [0, 0.5, 1, 1.5, 2, 2.5, 3]
    assert len(content["validation"]) == content["settings"]["recipe"]["epochs"] == 1
    assert {"commit", "machine", "versions", "seconds", "finished"} <= set(content["provenance"])
    assert (tmp_path / "runs" / corrected.path / "correction.safetensors").is_file()

    ideal = IdealCell("blur", "conv1", (0.5,))
    write_json(result_file(ideal), workshop.work(ideal))
    page = tables.page()
    assert "| blur, ranked-6, fast | " in page
    assert "| blur, conv1, 48 filters (50%) | " in page
    assert f"| {corrected.path} | 1 x 45,000 images, rate 0.07 | " in page


def test_rankings_are_compared_and_their_choices_measured(
    results: Path, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, few in (("COUNTS", (5, 20)), ("TEST_IMAGES", 10)):
        monkeypatch.setattr(ranking_cells, name, few)
    monkeypatch.setattr(cells_module, "AGREEMENT_IMAGES", 40)
    monkeypatch.setattr(cells_module, "PRIORITY_IMAGES", 20)
    monkeypatch.setattr(RealWorkshop, "_levels", lambda workshop, distortion: (5.0, 30.0))
    results.mkdir()
    ranking = Ranking("noise", (1.0,), 10, 0, (0.5,), {"conv6": tuple(place / 192 for place in range(192))})
    write_json(result_file(PriorityCell("noise")), {"ranking": ranking.as_json()})
    workshop = RealWorkshop(tiny, tmp_path / "runs", torch.device("cpu"), "bf16", Silent())
    wanted: list[Cell] = [AgreementCell("noise", "conv6"), ChoiceCell("noise", "conv6")]
    for cell in wanted:
        write_json(result_file(cell), workshop.work(cell))
    found = read_json(result_file(wanted[0]))
    assert found["images"] == 20
    assert set(found["orders"]) == {"top1", "probability", "margin", *(name for name, *_ in ranking_cells.ESTIMATES)}
    chosen = read_json(result_file(wanted[1]))
    assert chosen["filters"] == [19, 48, 96]
    assert chosen["orders"]["top1"] == list(range(191, -1, -1))
    for order in (*found["orders"].values(), *chosen["orders"].values()):
        assert sorted(order) == list(range(192))
    assert {len(levels) for shares in chosen["top1"].values() for levels in shares} == {2}
    assert "| noise, conv6 | " in ranking_tables.agreement_tables()
    assert "| noise, conv6, 48 filters (25%) | " in ranking_tables.choice_table()
