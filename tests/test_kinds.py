"""Records say what their network is, whatever it is called; those of the first version are told by their names."""

from __future__ import annotations

from pathlib import Path

import pytest
from experiments.caltech.page import RESULTS
from matplotlib.axes import Axes

from deepcorrect.base.files import read_json, write_json
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.pipeline.correct import CorrectionOptions, correct, finetune, train_and_measure
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.measure import measure
from deepcorrect.pipeline.rank import RankingOptions
from deepcorrect.report import plots
from deepcorrect.report.accuracy_figures import draw_accuracy_figures
from deepcorrect.report.drawing import Sheet
from deepcorrect.runs.kinds import Kind
from deepcorrect.runs.results import Record, by_ladder, read_results
from deepcorrect.runs.saved import read_sections
from deepcorrect.runs.transfer import TransferRecord, read_transfer
from tests.axes import record
from tests.conftest import make_toy
from tests.stages import BLUR, LEVELS, OPTIONS, RECIPE


@pytest.mark.parametrize(
    ("name", "kind", "random"),
    [
        ("baseline", "baseline", False),
        ("baseline after wiener", "restored", False),
        ("deepcorr-3", "correction", False),
        ("deepcorr-6c-random", "correction", True),
        ("deepcorr-6-blur after wiener", "correction", False),
        ("finetune-3", "finetuned", False),
        ("wiener", "other", False),
        ("my-random-network", "other", False),
    ],
)
def test_names_of_the_first_version(name: str, kind: Kind, random: bool) -> None:
    told = record("anything", (0.5, 0.4, 0.3)).model_dump(mode="json") | {"name": name}
    del told["kind"], told["random"]
    found = Record.model_validate(told)
    assert (found.kind, found.random) == (kind, random)


def test_what_is_said_goes_before_the_name() -> None:
    told = record("baseline", (0.5, 0.4, 0.3)).model_dump() | {"kind": "correction", "random": True}
    assert (Record.model_validate(told).kind, Record.model_validate(told).random) == ("correction", True)


def test_a_pipeline_says_what_it_measures(dataset: Dataset) -> None:
    job = Job(make_toy("batch-norm"), dataset)
    drawn = CorrectionOptions(("0",), (0.5,), "random", RankingOptions(images=10), "wide")
    correction, records = correct(job, BLUR, LEVELS, drawn, RECIPE)
    assert [(each.kind, each.random) for each in records] == [("baseline", False), ("correction", True)]
    plan = correction.plan
    correction.detach()
    correction, records = finetune(job, BLUR, LEVELS, ["0"], RECIPE)
    assert [(each.kind, each.random) for each in records] == [("baseline", False), ("finetuned", False)]
    correction.detach()
    correction, (found,) = train_and_measure(job, "baseline of mine", BLUR, LEVELS, plan, RECIPE, half=False)
    assert (found.kind, found.random) == ("correction", False)
    assert measure(job, "baseline", BLUR, LEVELS, 0, kind="restored").kind == "restored"
    assert measure(job, "finetune-9", BLUR, LEVELS, 0).kind == "finetuned"
    correction.detach()
    correction, records = correct(job, BLUR, LEVELS, OPTIONS, RECIPE)
    assert [(each.kind, each.random) for each in records] == [("baseline", False), ("correction", False)]


def named(name: str, kind: Kind, top1: tuple[float, ...], *, random: bool = False) -> Record:
    return record(name, top1).model_copy(update={"kind": kind, "random": random})


def test_the_report_goes_by_what_records_say(tmp_path: Path, axes: Axes) -> None:
    before = named("ours", "baseline", (0.9, 0.5, 0.4))
    ranked = named("baseline-like", "correction", (0.9, 0.8, 0.7))
    drawn = named("baseline-like-random", "correction", (0.9, 0.7, 0.6), random=True)
    assert by_ladder([drawn, ranked, before]) == [[before, drawn, ranked]]
    plots.plot_pareto(axes, [before, ranked], "trainable_parameters")
    assert [text for text in axes.get_legend_handles_labels()[1] if "all its" in text] == ["ours (all its parameters)"]
    folder = tmp_path / "run"
    folder.mkdir()
    records = [each.model_dump(mode="json") for each in (before, ranked, drawn)]
    write_json(folder / "results.json", {"command": "evaluate", "settings": {}, "records": records, "provenance": {}})
    _, (section,) = read_sections([folder])
    sheet = Sheet(tmp_path, "page")
    draw_accuracy_figures(section, sheet)
    (random,) = [drawing for group in sheet.groups.values() for drawing in group if "at random" in drawing.title]
    assert random.alternative == "baseline-like 0.800 on average; baseline-like-random 0.733 on average"


def test_kinds_of_saved_features() -> None:
    saved = read_transfer(RESULTS / "transfer-target.json")
    assert {(each.name, each.kind) for each in saved} == {
        ("baseline", "baseline"),
        *((f"runs/caltech/source-{distortion}", "correction") for distortion in ("blur", "noise")),
        *((f"runs/caltech/source-finetune-{distortion}", "finetuned") for distortion in ("blur", "noise")),
    }
    told = {**saved[0].model_dump(), "kind": "finetuned"}
    assert TransferRecord.model_validate(told).kind == "finetuned"


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    from deepcorrect.base.errors import DeepcorrectError

    told = record("baseline", (0.5, 0.4, 0.3)).model_dump(mode="json") | {"kind": "magic"}
    write_json(tmp_path / "results.json", {"command": "evaluate", "settings": {}, "records": [told], "provenance": {}})
    with pytest.raises(DeepcorrectError, match=r"results.json: not the results of a run \(1 fields are wrong\)"):
        read_results(tmp_path)
    assert read_json(tmp_path / "results.json")["records"] == [told]
