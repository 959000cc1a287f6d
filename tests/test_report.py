from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from deepcorrect.datasets.images import Dataset
from deepcorrect.distortions import get_distortion
from deepcorrect.errors import DeepcorrectError
from deepcorrect.pipeline import CorrectionOptions, Job, assess, correct, finetune
from deepcorrect.recipes import get_recipe
from deepcorrect.report import build_report
from deepcorrect.results import Record, Run, distinct, read_results

NOISE = get_distortion("noise")
LEVELS = (30.0, 90.0)


@pytest.fixture
def runs(digits: Dataset, small: nn.Module, tmp_path: Path) -> list[Path]:
    """A correction and a fine-tuning of the same network, both saved."""
    folders = [tmp_path / "correct", tmp_path / "finetune"]
    job = Job(small, digits, run=Run(folders[0], "correct", {"network": "small"}))
    options = CorrectionOptions(("conv1", "conv2"), (0.5, 0.5), images=20)
    recipe = {"epochs": 2, "batch_size": 64, "precision": "fp32"}
    correction, records = correct(job, NOISE, LEVELS, options, get_recipe("fast", "correct", **recipe))
    assert job.run is not None
    job.run.finish(records)
    correction.detach()
    job = Job(small, digits, run=Run(folders[1], "finetune", {"network": "small"}))
    _, records = finetune(job, NOISE, LEVELS, ["conv1"], get_recipe("fast", "finetune", **recipe))
    assert job.run is not None
    job.run.finish(records)
    return folders


def test_the_page_is_self_contained_and_shows_what_was_saved(runs: list[Path], tmp_path: Path) -> None:
    page = build_report(runs, tmp_path / "out" / ".." / "report.html").read_text()
    assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)", page)
    assert "http" not in re.sub(r"data:image/png;base64,[\w+/=]+", "", page)
    for folder in runs:
        for record in read_results(folder).records:
            assert f"<td>{record.name}</td>" in page
            assert f"{record.mean_top1:.4f}" in page
            assert f"{record.trainable_parameters:,}" in page
    images = re.findall(r"<img [^>]*>", page)
    assert len(images) > 20
    assert all(re.search(r'alt="[^"]+"', image) for image in images)
    for name in ("accuracy-noise", "training-noise", "priority-noise-deepcorr-2"):
        with Image.open(tmp_path / "figures" / f"{name}.png") as figure:
            assert figure.width > 600
        assert (tmp_path / "figures" / f"{name}.svg").stat().st_size > 1000


def test_the_report_runs_no_network(runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a network was run")

    monkeypatch.setattr(nn.Module, "__call__", refuse)
    build_report(runs, tmp_path / "report.html")


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeepcorrectError, match=r"no results.json there"):
        build_report([tmp_path], tmp_path / "report.html")
    (tmp_path / "results.json").write_text('{"records": 3}')
    with pytest.raises(DeepcorrectError, match="not the results of a run"):
        read_results(tmp_path)


def test_records_carry_their_origin(runs: list[Path]) -> None:
    results = read_results(runs[0])
    assert results.provenance["versions"]["torch"] == torch.__version__
    assert results.provenance["machine"]["threads"] >= 1
    assert results.record("deepcorr-2").precision == "fp32"


def test_distinct_records_keep_one_baseline_in_front(digits: Dataset, small: nn.Module) -> None:
    job = Job(small, digits)
    (noise,) = assess(job, [(NOISE, (30.0,))])
    (blur,) = assess(job, [(get_distortion("blur"), (1.0,))])
    other: Record = noise.model_copy(update={"name": "other"})
    assert [(record.distortion, record.name) for record in distinct([other, noise, blur, noise])] == [
        ("noise", "baseline"),
        ("noise", "other"),
        ("blur", "baseline"),
    ]
