"""A gate in run folders, on the command line and in the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import deepcorrect as dc
from deepcorrect.adapters.attach import load_correction
from deepcorrect.base.files import read_json
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.distortions.base import Ladder
from deepcorrect.evaluation.cost import multiply_accumulates
from deepcorrect.pipeline.gate import add_gate, gate_of, measure_gated
from deepcorrect.pipeline.job import Job
from deepcorrect.report.page import build_report
from deepcorrect.runs.records import Record, Records
from deepcorrect.runs.results import Run
from deepcorrect.runs.sent import in_words, mean_of
from tests.command_line import one_line, run
from tests.conftest import make_toy
from tests.gates import STRONG, TEST, TRAIN, VALIDATION, saved_corrections

LADDERS = {name: Ladder(distortion, distortion.levels()) for name, distortion in STRONG.items()}
OPTIONS = ["--data", "digits", "--device", "cpu", "--precision", "fp32"]


def job_for(folder: Path | None = None, run: Run | None = None) -> Job:
    data = Dataset("random", tuple("abcde"), "cifar", TRAIN, VALIDATION, TEST)
    return Job(make_toy("batch-norm"), data, run=run)


def test_what_is_sent_and_what_that_costs_is_measured(tmp_path: Path) -> None:
    job = job_for()
    files = saved_corrections(make_toy("batch-norm"), tmp_path)
    gated = gate_of(job, files, LADDERS)
    records = measure_gated(job, gated, "gated", list(LADDERS.values()))
    assert [(record.name, record.kind, record.distortion) for record in records] == [
        ("gated", "gated", "blur"), ("gated", "gated", "noise")
    ]  # fmt: skip
    base, first = multiply_accumulates(job.model, job.example), 8 * 8 * 8 * (3 * 3 * 3 + 1)
    costs = []
    for file in files.values():
        correction = load_correction(file, network := make_toy("batch-norm"))
        costs.append(first + multiply_accumulates(network, job.example))
        correction.detach()
    for record, ladder in zip(records, LADDERS.values(), strict=True):
        assert record.sent is not None
        spent = []
        for index, level in enumerate((0, *ladder.levels)):
            decided = gated.decide(ladder.distortion.at(as_float(TEST.images), level, TEST.indices, job.seed))
            sent = [float((decided == number).double().mean()) for number in (1, 2)]
            assert [record.sent[correction][index] for correction in files] == pytest.approx(sent)
            spent.append((1 - sum(sent)) * base + sum(share * cost for share, cost in zip(sent, costs, strict=True)))
        assert record.multiply_accumulates == pytest.approx(sum(spent) / len(spent), abs=1)
    assert records[0].top1[0] == records[1].top1[0]


def test_a_run_keeps_its_gate_and_continues_with_it(tmp_path: Path) -> None:
    files = saved_corrections(make_toy("batch-norm"), tmp_path)
    folder = tmp_path / "run"
    job = job_for(run=Run(folder, "gate", {}))
    gated = gate_of(job, files, LADDERS)
    content = (folder / "gate.safetensors").read_bytes()
    again = gate_of(job_for(run=Run(folder, "gate", {})), files, LADDERS)
    assert torch.equal(again.gate.weight, gated.gate.weight)
    assert (folder / "gate.safetensors").read_bytes() == content
    with pytest.raises(dc.DeepcorrectError, match=r"holds the gate .*clean"):
        gate_of(job_for(run=Run(folder, "gate", {})), files, LADDERS, clean=0.9)
    with pytest.raises(dc.DeepcorrectError, match="holds the gate"):
        gate_of(job_for(run=Run(folder, "gate", {})), {"blur": files["blur"]}, {"blur": LADDERS["blur"]})
    assert (folder / "gate.safetensors").read_bytes() == content


def test_the_correction_that_was_just_trained_gets_a_gate(tmp_path: Path) -> None:
    job = job_for()
    files = saved_corrections(make_toy("batch-norm"), tmp_path)
    correction = load_correction(files["noise"], job.model)
    (record,) = add_gate(job, "deepcorr-3", correction, LADDERS["noise"])
    assert (record.name, record.kind) == ("deepcorr-3 gated", "gated")
    assert record.sent is not None
    assert record.sent["deepcorr-3"][0] < 0.1 < 0.9 < record.sent["deepcorr-3"][-1]
    trained = sum(parameter.numel() for parameter in correction.parameters())
    assert record.trainable_parameters == trained + (2 + 2 * 8 * 4 + 2 * 8 * 4)


SENT = {"blur": (0.01, 0.5, 1.0), "noise": (0.0, 0.25, 0.0)}


def test_decisions_are_told_in_words_and_in_a_table() -> None:
    assert in_words("blur", (0, 1, 2), SENT) == (
        "The gate leaves 99.0% of clean images to the network as it is; under blur it corrects 75.0% of images at 1 "
        "to 100.0% of images at 2."
    )
    told = Record(
        name="gated", kind="gated", distortion="blur", levels=(0, 1, 2), top1=(0.9, 0.8, 0.7), top5=(1, 1, 1),
        mean_top1=0.8, mean_top5=1, per_class=((), (), ()), trainable_parameters=1, multiply_accumulates=1,
        images=100, seed=0, precision="fp32",
        sent=SENT,
    )  # fmt: skip
    assert Record.model_validate(told.model_dump(mode="json")) == told
    table = Records([told]).views()[-1].table
    assert [list(row) for row in table.rows] == [
        ["left alone", "0.9900", "0.2500", "0.0000"],
        ["blur", "0.0100", "0.5000", "1.0000"],
        ["noise", "0.0000", "0.2500", "0.0000"],
    ]


def test_shares_under_several_corruptions_are_averaged() -> None:
    other = {"blur": (0.03, 0.1, 0.5), "noise": (0.0, 0.75, 0.5)}
    mean = mean_of([SENT, other])
    assert mean is not None
    assert mean["blur"] == pytest.approx((0.02, 0.3, 0.75))
    assert mean["noise"] == pytest.approx((0.0, 0.5, 0.25))
    assert mean_of([SENT, None]) is mean_of([None]) is mean_of([SENT, {"blur": (0.0, 0.0, 0.0)}]) is None


def test_the_page_shows_where_images_were_sent(tmp_path: Path) -> None:
    files = saved_corrections(make_toy("batch-norm"), tmp_path)
    job = job_for(run=Run(tmp_path / "run", "gate", {}))
    records = measure_gated(job, gate_of(job, files, LADDERS), "gated", list(LADDERS.values()))
    assert job.run is not None
    job.run.finish(records, job.device)
    page = build_report([job.run.path], tmp_path / "report.html").read_text()
    assert page.count("What the gate of gated decides") == 2
    assert records[0].sent is not None
    assert in_words("blur", records[0].levels, records[0].sent) in page
    assert f"{100 * records[0].sent['blur'][-1]:.1f}&thinsp;%" in page


@pytest.mark.usefixtures("no_page")
def test_correct_with_a_gate_then_gate_and_evaluate(baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fix = tmp_path / "fix"
    training = ["--epochs", "1", "--batch-size", "64", "--images", "10", "--method", "attribution"]
    noise = ["--distortion", "noise", "--levels", "60,90", "--layers", "1"]
    code, out, err = run(capsys, "correct", baseline, *OPTIONS, *training, *noise, "--gate", "--out", fix, "--json")
    assert code == 0, err
    records = {record["name"]: record for record in json.loads(out)["records"]}
    assert [*records] == ["baseline", "deepcorr-1", "deepcorr-1 gated"]
    assert records["deepcorr-1 gated"]["sent"]["deepcorr-1"][-1] > 0.9
    assert read_json(fix / "results.json")["provenance"]["command_line"].count("--gate") == 1

    code, out, err = run(capsys, "evaluate", baseline, *OPTIONS, "--gate", fix, "--levels", "60,90", "--json")
    assert code == 0, err
    measured = json.loads(out)
    assert measured["top1"] == records["deepcorr-1 gated"]["top1"]
    assert measured["sent"] == records["deepcorr-1 gated"]["sent"]

    code, out, err = run(capsys, "gate", baseline, *OPTIONS, "--correction", fix, "--out", tmp_path / "gate")
    assert code == 0, err
    assert "The gate leaves" in out
    assert (tmp_path / "gate" / "gate.safetensors").exists()

    code, _, err = run(capsys, "evaluate", baseline, *OPTIONS, "--gate", tmp_path / "gate")
    assert code == 2
    assert "none that lies beside it or is shipped" in one_line(err)
    assert "give the same files in --correction" in one_line(err)
    code, _, err = run(capsys, "evaluate", baseline, *OPTIONS, "--gate", fix, "--restore", "bm3d")
    assert (code, one_line(err)) == (2, "error: --restore bm3d: not with --gate; measure one after the other")
    code, _, err = run(capsys, "gate", baseline, *OPTIONS, "--correction", fix, "--clean", "1.5")
    assert code == 2
    assert "--clean 1.5: give a share between 0 and 1" in err
