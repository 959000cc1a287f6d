"""Names of classes, networks, distortions and folders as disks and people have them: stored, drawn and printed all the same."""

from __future__ import annotations

import io
import json
import os
import re
import warnings
from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json
from deepcorrect.base.names import encodable, readable
from deepcorrect.base.progress import Silent
from deepcorrect.cli import keeping
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.distortions.base import Distortion
from deepcorrect.pipeline.baselines import assess
from deepcorrect.pipeline.correct import CorrectionOptions, correct, finetune
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.rank import RankingOptions
from deepcorrect.report.drawing import Sheet
from deepcorrect.report.page import build_report
from deepcorrect.report.plots import drawable, legend_name
from deepcorrect.runs.results import Run, read_results
from deepcorrect.training.recipes import get_recipe
from tests.conftest import make_toy

CLASSES = (
    "$5_bill or $10_{bill", os.fsdecode(b"caf\xe9\xff"), "_background\n\x1b[31m<b>&\"'",
    "日本語 😀 שלום \u202eabc", "long " * 60,
)  # fmt: skip
HOSTILE = Distortion("50% $x_{$ / <b>\n\x1b[2J", lambda images, severity: images * (1 - severity.view(-1, 1, 1, 1)), {})
RECIPE = get_recipe("fast", "correct", epochs=1, batch_size=30, precision="fp32")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (os.fsdecode(b"caf\xe9"), "caf\ufffd"),
        ("two\n lines\t", "two lines"),
        ("\x1b[31mred\x00\x7f", "\ufffd[31mred\ufffd\ufffd"),
        ("\u202eabc", "\ufffdabc"),
        ("héllo 日本 😀 שלום $x$ <b>&", "héllo 日本 😀 שלום $x$ <b>&"),
    ],
)
def test_a_readable_name_can_be_written_and_stays_on_its_line(name: str, shown: str) -> None:
    assert readable(name) == shown
    assert readable(shown) == shown
    shown.encode()
    encodable(f"{name}\n").encode()
    assert encodable("a\n\tb\x1b\udce9\r\n") == "a\n\tb\ufffd\ufffd\r\n"


@pytest.mark.parametrize("name", [*CLASSES, "\\alpha", "100 %", "", "$", "$$", "^_{}", "a<b>&c"])
def test_a_drawable_name_is_drawn_letter_by_letter(name: str) -> None:
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([0, 1], label=legend_name(name))
    axes.set_title(f"{drawable(name)}, {drawable(drawable(name))}")
    axes.set_yticks([0], [drawable(name)])
    legend = axes.legend(*axes.get_legend_handles_labels())
    written = io.StringIO()
    with warnings.catch_warnings(), rc_context({"svg.fonttype": "none"}):
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)  # of what other tests have left to the garbage collector
        figure.savefig(os.devnull, format="png")
        figure.savefig(written, format="svg")
    assert len(legend.get_texts()) == bool(name)
    if name.isascii() and name.isprintable():
        shown = escape(name) if len(name) < 60 else escape(drawable(name))
        assert f">{shown}, {shown}<" in written.getvalue()


def test_what_is_left_out_of_a_long_name_is_its_middle() -> None:
    assert drawable("beginning " + "x" * 100 + " end", 30) == "beginning xxxxxxxxx…xxxxxx end"
    assert drawable("short") == "short"


@pytest.fixture
def hostile(dataset: Dataset) -> Dataset:
    return replace(dataset, classes=CLASSES)


@pytest.fixture
def runs(hostile: Dataset, tmp_path: Path) -> list[Path]:
    """A correction and a fine-tuning, in folders of the same hostile name."""
    folders = [tmp_path / place / "$r$ é <run>" for place in ("a", "b")]
    settings = {"data": f"folder:{os.fsdecode(bytes([0xE9]))}", "distortion": "x"}
    job = Job(
        make_toy("plain"), hostile, run=Run(folders[0], "correct", settings, command_line=os.fsdecode(b"deepcorrect \xe9"))
    )
    options = CorrectionOptions(("0",), (0.5,), ranked=RankingOptions(images=10), unit="wide")
    correction, records = correct(job, HOSTILE, (0.2, 0.5), options, RECIPE)
    correction.detach()
    assert job.run is not None
    job.run.finish(records, job.device)
    job = Job(make_toy("plain"), hostile, run=Run(folders[1], "finetune", settings))
    _, records = finetune(job, HOSTILE, (0.2, 0.5), ["0"], RECIPE)
    assert job.run is not None
    job.run.finish(records, job.device)
    return folders


def test_a_page_has_every_figure_whatever_the_names(runs: list[Path], tmp_path: Path) -> None:
    assert read_json(runs[0] / "classes.json")["classes"] == [readable(name) for name in CLASSES]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)  # of what other tests have left to the garbage collector
        page = build_report(runs, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "not drawn" not in page
    assert "<run>" not in page
    assert "\x1b" not in page
    assert "caf\ufffd\ufffd" in page
    files = [path.stem for path in (tmp_path / "figures").glob("*.png")]
    assert sorted(files) == sorted(path.stem for path in (tmp_path / "figures").glob("*.svg"))
    assert len(files) == page.count("<figure") > 8
    assert all(re.fullmatch(r"[\w.-]+", name) for name in files)


def test_records_can_be_read_again_and_command_lines_printed(runs: list[Path]) -> None:
    found = read_results(runs[0])
    assert found.provenance["command_line"] == "deepcorrect \ufffd"
    assert found.settings["data"] == "folder:\ufffd"
    assert found.records[0].distortion == readable(HOSTILE.name)
    json.dumps(found.model_dump(mode="json"), ensure_ascii=False).encode()


def test_a_run_folder_that_weights_cannot_be_read_from_is_refused_at_once(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(DeepcorrectError, match="caf\ufffd: its name is not UTF-8, as weights need it; choose another folder"):
        Run(folder, "correct", {})
    assert not folder.exists()


def test_one_figure_that_fails_is_named_and_the_others_are_drawn(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("no\nway")

    monkeypatch.setattr("deepcorrect.report.plots.plot_pareto", fail)
    monkeypatch.setattr("deepcorrect.report.plots.embed", fail)
    page = build_report(runs, tmp_path / "report.html").read_text()
    assert re.findall(r"<small>([^<]*): not drawn: no way</small>", page) == [
        "Mean accuracy against trained parameters and multiply-accumulates",
        "Penultimate features of test images by class",
    ]
    assert page.count("<figure") > 6
    assert not list((tmp_path / "figures").glob("cost*"))


def test_no_figure_is_written_over_another(tmp_path: Path) -> None:
    sheet = Sheet(tmp_path / "figures", "blur-1-to-2")
    for name in ("samples-a/b", "samples-a:b", "long" * 100, "long" * 101):
        sheet.draw("heading", name, "title", "said", lambda axes: axes[0].plot([0, 1]), commands=[], size=(1, 1))
    assert len(list((tmp_path / "figures").glob("*.png"))) == 4
    assert [drawing.png != "" for drawing in sheet.groups["heading"]] == [True] * 4


@pytest.fixture
def finished(hostile: Dataset, tmp_path: Path) -> Job:
    """A job that is measured, with a run folder."""
    return Job(make_toy("plain"), hostile, run=Run(tmp_path / "run", "assess", {}), reporter=Silent())


@pytest.mark.parametrize("error", [ZeroDivisionError("no\nway"), UnicodeEncodeError("utf-8", "\udce9", 0, 1, "no way")])
def test_a_page_that_fails_loses_no_results(
    finished: Job, error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("deepcorrect.cli.keeping.build_report", fail)
    records = assess(finished, [(HOSTILE, (0.5,))])
    keeping.conclude(finished, records, as_json=False)
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert line.startswith("no report.html: ")
    assert "no way" in line
    assert "the results are saved" in line
    assert f"{records[0].mean_top1:.4f}" in told.out
    assert finished.run is not None
    assert read_results(finished.run.path).records == records
