from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.models.layers import convolutions
from deepcorrect.models.smallcnn import SmallCNN
from deepcorrect.pipeline.baselines import assess
from deepcorrect.pipeline.correct import CorrectionOptions, correct, finetune
from deepcorrect.pipeline.ideal import measure_ideal
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.rank import RankingOptions, rank
from deepcorrect.ranking.result import Ranking
from deepcorrect.report.page import build_report
from deepcorrect.runs.results import Run, by_ladder, read_results, read_together
from deepcorrect.training.recipes import get_recipe

NOISE = get_distortion("noise")
LEVELS = (30.0, 90.0)


@pytest.fixture(scope="module")
def runs(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A correction and a fine-tuning of the same network, both saved."""
    torch.manual_seed(0)
    small = SmallCNN().eval()
    folder = tmp_path_factory.mktemp("runs")
    folders = [folder / "correct", folder / "finetune"]
    job = Job(small, digits, run=Run(folders[0], "correct", {"network": "small"}))
    options = CorrectionOptions(("conv1", "conv2"), (0.5, 0.5), ranked=RankingOptions(images=20, score="margin"))
    recipe = {"epochs": 2, "batch_size": 64, "precision": "fp32"}
    correction, records = correct(job, NOISE, LEVELS, options, get_recipe("fast", "correct", **recipe))
    assert job.run is not None
    job.run.finish(records, job.device)
    correction.detach()
    job = Job(small, digits, run=Run(folders[1], "finetune", {"network": "small"}))
    _, records = finetune(job, NOISE, LEVELS, ["conv1"], get_recipe("fast", "finetune", **recipe))
    assert job.run is not None
    job.run.finish(records, job.device)
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
    ranking = Ranking.load(runs[0] / "ranking.json")
    for layer, found in ranking.reliability.items():
        assert f"{layer} {found['margin']:.2f}" in page
    images = re.findall(r"<img [^>]*>", page)
    assert len(images) > 20
    assert all(re.search(r'alt="[^"]+"', image) for image in images)
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert drawn == {path.stem for path in (tmp_path / "figures").glob("*.svg")}
    assert drawn == {
        f"{name}-noise-30-to-90"
        for name in (
            "accuracy", "cost", "training", "priority-map-correct", "priority-correct", "kernels-correct",
            "architecture-correct", "unit-correct", "architecture-finetune", "embedding-0",
            "classes-deepcorr-2-finetune-1", "samples-baseline-correct", "samples-deepcorr-2-correct",
        )
    }  # fmt: skip


def test_figures_of_ideal_corrections_and_random_choices(digits: Dataset, small: nn.Module, tmp_path: Path) -> None:
    settings = {"distortion": "noise", "levels": LEVELS}
    job = Job(small, digits, run=Run(tmp_path / "rank", "rank", settings))
    layers = convolutions(job.layers)[:2]
    options = RankingOptions(images=20, method="attribution")
    ranking = rank(job, NOISE, LEVELS, layers, options, {layer.name: 0.5 for layer in layers})
    measure_ideal(job, NOISE, LEVELS, ranking, layers, (0.5, 1.0), images=20)
    assert job.run is not None
    job.run.finish([], job.device)
    recipe = get_recipe("fast", "correct", epochs=1, batch_size=64, precision="fp32")
    folders = [job.run.path]
    for kind in ("local", "random"):
        job = Job(small, digits, run=Run(tmp_path / kind, "correct", settings))
        plan = CorrectionOptions(("conv1", "conv2"), (0.5, 0.5), ranking=kind, ranked=options)
        correction, records = correct(job, NOISE, LEVELS, plan, recipe, ranking=ranking if kind == "local" else None)
        correction.detach()
        assert job.run is not None
        job.run.finish(records, job.device)
        folders.append(job.run.path)
    page = build_report(folders, tmp_path / "report.html").read_text()
    drawn = {path.stem.removesuffix("-noise-30-to-90") for path in (tmp_path / "figures").glob("*.png")}
    assert {"ideal-shares-rank", "ideal-layers-rank", "random", "kernels-rank"} <= drawn
    assert sum(name.startswith("priority-map") for name in drawn) == 1
    found = json.loads((tmp_path / "rank" / "ideal.json").read_text())["top1"]["conv1"]
    assert f"100%: mean {sum(found[2]) / 2:.3f}" in page


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
    assert results.provenance["machine"]["device"] == "cpu"
    assert [(record.name, record.precision) for record in results.records] == [("baseline", "fp32"), ("deepcorr-2", "fp32")]


def test_records_are_grouped_by_ladder_with_one_baseline_in_front(digits: Dataset, small: nn.Module) -> None:
    job = Job(small, digits)
    noise, other_levels, blur = assess(job, [(NOISE, (30.0,)), (NOISE, (60.0,)), (get_distortion("blur"), (1.0,))])
    other = noise.model_copy(update={"name": "other", "kind": "other"})
    groups = by_ladder([other, noise, blur, noise, other_levels])
    assert groups == [[noise, other], [blur], [other_levels]]


def test_different_networks_of_one_name_are_kept_apart(runs: list[Path], tmp_path: Path) -> None:
    twin = tmp_path / "twin"
    twin.mkdir()
    content = json.loads((runs[0] / "results.json").read_text())
    content["records"][1]["top1"][0] = 0.123
    (twin / "results.json").write_text(json.dumps(content))
    names = [[record.name for record in run.records] for run in read_together([runs[0], twin])]
    assert names == [["baseline", "deepcorr-2 (correct)"], ["baseline", "deepcorr-2 (twin)"]]
    same, _ = read_together([runs[0], runs[0]])
    assert same.records[1].name == "deepcorr-2"


def test_a_run_without_accuracies_is_refused(tmp_path: Path) -> None:
    Run(tmp_path / "rank", "rank", {}).finish([], torch.device("cpu"))
    with pytest.raises(DeepcorrectError, match="no accuracies to show"):
        build_report([tmp_path / "rank"], tmp_path / "report.html")
