"""Results as they are printed and as notebooks show them."""

from __future__ import annotations

import io
import json
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from rich.cells import cell_len

import deepcorrect as dc
from deepcorrect.base.showing import Shown
from deepcorrect.cli.console import show_ranking, show_records
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.evaluation.sweep import Evaluation
from deepcorrect.ranking.result import Ranking
from deepcorrect.runs.results import Record, Records
from tests.conftest import make_toy
from tests.test_console import LAYERS, RANKING, RECORDS, record

SVG = "{http://www.w3.org/2000/svg}"
EVALUATION = Evaluation(
    "blur", (0.0, 2.0, 1.0), {"top1": (0.9, 0.25, 0.5), "top5": (1.0, 0.75, 0.875)}, ((), (), ()), 1234, None
)
MANY = Ranking(
    "noise", (1.0,), 50, 0, (0.5,), {f"layer{index}": tuple(np.sin(np.arange(64) * (index + 1)) / 9) for index in range(30)}
)
SHOWN: dict[str, Shown] = {
    "records": Records([*RECORDS, record("second", 9).model_copy(update={"distortion": "noise"})]),
    "record": RECORDS[1],
    "ranking": RANKING,
    "many layers": MANY,
    "no layers": replace(RANKING, scores={}, errors={}, reliability={}),
    "evaluation": EVALUATION,
}


def elements(result: Shown) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{result._repr_html_()}</div>")


def rows(result: Shown) -> list[list[str]]:
    """The texts of the cells of all tables of a notebook."""
    return [["".join(cell.itertext()) for cell in row] for row in elements(result).iter("tr")]


def curves(result: Shown) -> list[np.ndarray]:
    """The vertices of the lines of a plot, y upwards."""
    (axes,) = [group for group in elements(result).iter(f"{SVG}g") if group.get("id") == "axes_1"]
    lines = [group.find(f"{SVG}path") for group in axes if group.get("id", "").startswith("line2d_")]
    paths = [re.findall(r"[ML] (\S+) (\S+)", line.get("d", "")) for line in lines if line is not None]
    return [np.array(path, float) * [1, -1] for path in paths]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have standard output be a terminal of so many columns, with colours."""

    def resize(columns: int) -> None:
        monkeypatch.delenv("NO_COLOR", raising=False)
        for name, value in {"COLUMNS": str(columns), "TERM": "xterm-256color", "FORCE_COLOR": "1"}.items():
            monkeypatch.setenv(name, value)

    return resize


@pytest.mark.parametrize("columns", [200, 80, 33])
def test_print_shows_the_tables_of_the_command_line(
    columns: int, terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(columns)
    show_records(RECORDS)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert str(Records(RECORDS)).splitlines() == [line.rstrip() for line in shown.splitlines()]


def test_a_ranking_is_printed_without_what_depends_on_a_choice(capsys: pytest.CaptureFixture[str]) -> None:
    show_ranking(RANKING, dict.fromkeys(LAYERS, 4))
    with_cut = capsys.readouterr().out
    assert "Images for the cut" in with_cut
    assert "Images for the cut" not in str(RANKING)
    assert re.findall(r"\+0\.\d{4} ± 0\.\d{4}", str(RANKING)) == re.findall(r"\+0\.\d{4} ± 0\.\d{4}", with_cut)


@pytest.mark.parametrize("columns", [200, 40, 9])
@pytest.mark.parametrize("name", SHOWN)
def test_text_has_no_colours_and_keeps_to_the_terminal(name: str, columns: int, terminal: Callable[[int], None]) -> None:
    terminal(columns)
    text = str(SHOWN[name])
    assert "\x1b" not in text
    assert max(map(cell_len, text.splitlines())) <= max(columns, 24)


@pytest.mark.parametrize("name", SHOWN)
def test_a_standard_output_of_ascii_can_print_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", narrow)
    print(SHOWN[name])
    narrow.flush()


@pytest.mark.parametrize("name", SHOWN)
def test_a_repr_is_one_short_line(name: str) -> None:
    line = repr(SHOWN[name])
    assert "\n" not in line
    assert len(line) < 250 * (len(RECORDS) + 1 if name == "records" else 1)


def test_reprs_say_what_was_measured() -> None:
    assert repr(EVALUATION) == "Evaluation(blur, 1,234 images: top1 0.9000 clean, 0.2500 at 2, 0.5000 at 1; mean 0.5500)"
    assert repr(RANKING) == "Ranking(noise at 1, 2: 16 filters in 2 layers by gain in top1, exact, 200 images a level)"
    assert repr(RECORDS[0]).startswith("Record('baseline' under blur, 10,000 images: top1 0.9876 clean, 0.8876 at 0.4, ")


def test_a_notebook_shows_the_numbers_of_the_terminal() -> None:
    table = rows(Records(RECORDS))
    assert table[0] == ["Network", "clean", "0.4", "0.6", "0.8", "1", "1.2", "1.4", "Avg", "Trainable", "MACs (M)"]
    for shown, row in zip(RECORDS, table[1:], strict=True):
        assert row == [shown.name, *(f"{value:.4f}" for value in (*shown.top1, shown.mean_top1)), "61,234,567", "4,123.5"]
    assert rows(RANKING)[1][:3] == ["conv1", "8", ", ".join(f"{index} (+0.00{index}0 ± 0.0012)" for index in range(7, 1, -1))]
    assert rows(EVALUATION)[1:] == [
        ["top1", "0.9000", "0.2500", "0.5000", "0.5500"],
        ["top5", "1.0000", "0.7500", "0.8750", "0.8750"],
    ]


def test_a_plot_draws_the_numbers() -> None:
    """Lines in the units of the drawing are those of the numbers, but for one scale and one shift on each axis."""
    drawn = np.concatenate(curves(EVALUATION))
    by_level = [(0, 0.9), (1, 0.5), (2, 0.25), (0, 1.0), (1, 0.875), (2, 0.75)]
    for axis, numbers in enumerate(np.array(by_level, float).T):
        scale, shift = np.polyfit(numbers, drawn[:, axis], 1)
        assert scale > 0
        assert np.abs(drawn[:, axis] - scale * numbers - shift).max() < 0.01


def test_a_plot_of_a_ranking_falls_and_has_few_lines() -> None:
    for ranking, lines in ((RANKING, 2), (MANY, 7)):
        drawn = curves(ranking)
        assert len(drawn) == lines
        assert all((np.diff(line[:, 1]) <= 1e-6).all() and (np.diff(line[:, 0]) > 0).all() for line in drawn)


def test_names_are_shown_as_they_are() -> None:
    names = ["<b>&amp;</b>", "_hidden", "$x^2$ \x1b[31m", "日本語"]
    shown = Records([record(name, index) for index, name in enumerate(names)])
    said = ["<b>&amp;</b>", "_hidden", "$x^2$ \ufffd[31m", "日本語"]
    assert [row[0] for row in rows(shown)[1:]] == said
    (legend,) = [group for group in elements(shown).iter(f"{SVG}g") if group.get("id") == "legend_1"]
    assert [(text.text or "").strip() for text in legend.iter(f"{SVG}text")] == said
    alternative = next(elements(shown).iter(f"{SVG}svg")).get("aria-label", "")
    assert all(name in alternative for name in said)


@pytest.mark.parametrize("name", ["records", "ranking", "evaluation"])
def test_a_notebook_keeps_its_colours_and_its_settings(name: str) -> None:
    html = SHOWN[name]._repr_html_()
    assert "<style" not in html
    assert "#010203" not in html
    assert not re.search(r"background|fill: (#000000|black)", html)
    texts = list(elements(SHOWN[name]).iter(f"{SVG}text"))
    assert texts
    assert all("currentColor" in text.get("style", "") for text in texts)
    figures = pyplot.get_fignums()
    with matplotlib.rc_context({"lines.linewidth": 9, "text.usetex": True, "font.size": 40}):
        before = dict(matplotlib.rcParams)
        assert SHOWN[name]._repr_html_() == html
        assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == figures


def test_records_are_a_list(tmp_path: Path, dataset: Dataset) -> None:
    job = dc.Job(make_toy("plain"), dataset, device="cpu")
    records = dc.assess(job, [(dc.GaussianBlur(levels=(1,)), (1,)), (dc.GaussianNoise(levels=(20, 40)), (20, 40))])
    assert isinstance(records, Records)
    assert pickle.loads(pickle.dumps(records)) == list(records)
    assert json.dumps([shown.model_dump(mode="json") for shown in records])
    assert [Record.model_validate_json(shown.model_dump_json()) for shown in records] == records
    assert str(records).count("Top-1 accuracy under") == 2
    assert len(list(elements(records).iter(f"{SVG}svg"))) == 2
    assert str(Records()) == "[]"


def test_a_job_and_its_data_are_lines_without_their_tensors(dataset: Dataset) -> None:
    job = dc.Job(make_toy("plain"), dataset, device="cpu", seed=3)
    data = "Dataset('random': 5 classes, 3 x 8 x 8; 60 training, 30 validation, 30 test)"
    assert repr(dataset) == data
    assert repr(job) == f"Job(Sequential, {data}, device='cpu', precision='fp32', seed=3)"
    assert repr(dataset.test) == "ImageSet(30 images of 3 x 8 x 8)"
    assert rows(dataset)[1:] == [[part, str(count), "5 of 5", "3 x 8 x 8"] for part, count in
                                 (("training", 60), ("validation", 30), ("test", 30))]  # fmt: skip
    unlabelled = replace(dataset, test=dataset.test.labelled(dataset.test.labels * 0 - 1))
    assert rows(unlabelled)[3][2] == "0 of 5"
