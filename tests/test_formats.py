"""Saved files say the version of their format: older ones are read as ever, newer ones refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from deepcorrect.adapters.attach import load_correction
from deepcorrect.adapters.file import read_header
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json, read_tensors, write_json, write_tensors
from deepcorrect.base.formats import KEY, VERSION, stamped
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.evaluation.answers import read_answers
from deepcorrect.pipeline.correct import correct
from deepcorrect.pipeline.job import Job
from deepcorrect.ranking.result import Ranking
from deepcorrect.runs.architecture import read_architecture
from deepcorrect.runs.penultimate import read_penultimate
from deepcorrect.runs.results import Run, read_results
from deepcorrect.runs.saved import read_sections
from deepcorrect.runs.stages import claim
from tests.conftest import TOYS, make_toy
from tests.corrections import EXAMPLE
from tests.stages import BLUR, LEVELS, OPTIONS, RECIPE

FIRST = Path(__file__).parent / "fixtures" / "first_version"
"""A run of ``correct`` that the first version made, and the network that it corrected."""
FINISHING = ("results.json", "correction.safetensors", "samples.json", "answers.safetensors")
NEWER = rf"made by a newer version of deepcorrect \(format {VERSION + 1}, known here up to {VERSION}\): update deepcorrect"


def network() -> nn.Module:
    toy = TOYS["batch-norm"]()
    toy.load_state_dict(load_file(FIRST / "network.safetensors"))
    return toy.eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the first version's run."""
    shutil.copytree(FIRST / "run", tmp_path / "run")
    return tmp_path / "run"


def job(data: Dataset, folder: Path) -> Job:
    return Job(network(), data, run=Run(folder, "correct", {"of": "mine"}))


def newer(file: Path) -> None:
    """The same file as a version to come would write it."""
    if file.suffix == ".json":
        file.write_text(json.dumps({**json.loads(file.read_text()), KEY: VERSION + 1}))
    elif file.suffix == ".pt":
        torch.save({**torch.load(file, weights_only=True), KEY: VERSION + 1}, file)
    else:
        with safe_open(file, "pt") as opened:
            header = json.loads((opened.metadata() or {}).get("deepcorrect", "{}"))
        save_file(load_file(file), file, metadata={"deepcorrect": json.dumps({**header, KEY: VERSION + 1})})


def test_a_run_of_the_first_version_is_read_as_ever(folder: Path) -> None:
    baseline, corrected = read_results(folder).records
    assert (baseline.kind, corrected.kind, corrected.random) == ("baseline", "correction", False)
    (run,), (section,) = read_sections([folder])
    assert section.records == [baseline, corrected]
    assert run.plan is not None
    assert run.ranking is not None
    assert set(run.plan.filters) == {"0", "3"} == set(run.ranking.scores)
    assert all(part is not None for part in (run.architecture, run.samples, run.penultimate))
    assert run.training
    assert run.kernels


def test_its_correction_is_loaded_with_an_example(folder: Path) -> None:
    before = network()
    correction = load_correction(folder / "correction.safetensors", network(), EXAMPLE)
    saved = load_file(folder / "correction.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in correction.state_dict().items())
    wrapped = nn.Sequential(nn.Identity(), before)
    assert list(load_correction(folder / "correction.safetensors", wrapped, EXAMPLE).plan.filters) == ["1.0", "1.3"]
    with pytest.raises(DeepcorrectError, match="an older version of deepcorrect, which did not note the images' shape"):
        load_correction(folder / "correction.safetensors", network())
    with pytest.raises(DeepcorrectError, match="made for another network: the layers fit, but the weights differ"):
        load_correction(folder / "correction.safetensors", make_toy("batch-norm", seed=1), EXAMPLE)
    with pytest.raises(DeepcorrectError, match="made for another network: unknown layer '0'"):
        load_correction(folder / "correction.safetensors", make_toy("residual"), EXAMPLE)


def test_what_it_began_is_continued(folder: Path, dataset: Dataset) -> None:
    finished = read_results(folder).records
    ranking = (folder / "ranking.json").read_bytes()
    for name in FINISHING:
        (folder / name).unlink()
    correction, records = correct(job(dataset, folder), BLUR, LEVELS, OPTIONS, RECIPE)
    assert records[0] == finished[0]
    assert [record.name for record in records] == [record.name for record in finished]
    assert (folder / "ranking.json").read_bytes() == ranking
    state = load_file(FIRST / "run" / "correction.safetensors")
    assert all(torch.equal(state[name], value) for name, value in correction.state_dict().items())
    assert read_json(folder / "stages.json") == json.loads((FIRST / "run" / "stages.json").read_text())


def test_every_file_of_a_run_tells_its_version(dataset: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    work = job(dataset, folder)
    correction, records = correct(work, BLUR, LEVELS, OPTIONS, RECIPE)
    correction.detach()
    assert work.run is not None
    work.run.finish(records, work.device)
    names = {file.name for file in (FIRST / "run").iterdir()}
    assert {file.name for file in folder.iterdir()} == names
    for file in folder.iterdir():
        if file.suffix == ".json":
            assert json.loads(file.read_text())[KEY] == VERSION
            assert KEY not in read_json(file)
        elif file.suffix == ".pt":
            assert torch.load(file, weights_only=True)[KEY] == VERSION
        else:
            with safe_open(file, "pt") as opened:
                assert json.loads(opened.metadata()["deepcorrect"])[KEY] == VERSION


READERS: dict[str, Callable[[Path], object]] = {
    "results.json": read_results,
    "config.json": lambda folder: Run(folder, "correct", {"of": "mine"}),
    "stages.json": lambda folder: claim(folder, {"ranking": {}}),
    "ranking.json": lambda folder: Ranking.load(folder / "ranking.json"),
    "architecture.json": read_architecture,
    "metrics.json": lambda folder: read_sections([folder])[0][0].training,
    "samples.json": lambda folder: read_sections([folder])[0][0].samples,
    "classes.json": lambda folder: read_sections([folder])[0][0].classes,
    "answers.safetensors": lambda folder: read_answers(folder, "blur", "baseline"),
    "features.safetensors": read_penultimate,
    "kernels.safetensors": lambda folder: read_sections([folder])[0][0].kernels,
    "correction.safetensors": lambda folder: read_header(folder / "correction.safetensors"),
}


@pytest.mark.parametrize("name", READERS)
def test_a_newer_file_is_refused(name: str, folder: Path) -> None:
    READERS[name](folder) if name != "stages.json" else None
    newer(folder / name)
    with pytest.raises(DeepcorrectError, match=f"{name}: {NEWER}"):
        READERS[name](folder)


@pytest.mark.parametrize("name", ["checkpoint.pt", "baseline.json", "ranking.json", "stages.json"])
def test_a_run_that_a_newer_version_began_is_not_continued(name: str, folder: Path, dataset: Dataset) -> None:
    newer(folder / name)
    work = job(dataset, folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir() if file.name not in ("architecture.json",)}
    with pytest.raises(DeepcorrectError, match=f"{name}: {NEWER}"):
        correct(work, BLUR, LEVELS, OPTIONS, RECIPE)
    after = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert {name for name in before if before[name] != after[name]} <= {"features.safetensors", "kernels.safetensors"}


@pytest.mark.parametrize("version", [0, -1, "two", None, True, 1.5, [2]])
def test_a_version_that_is_none_is_refused(version: object, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text(json.dumps({KEY: version}))
    with pytest.raises(DeepcorrectError, match=r"file.json: damaged, its deepcorrect_format is .* and no version$"):
        read_json(tmp_path / "file.json")


def test_the_version_is_no_part_of_the_content(tmp_path: Path) -> None:
    write_json(tmp_path / "file.json", {"a": 1})
    assert read_json(tmp_path / "file.json") == {"a": 1}
    write_json(tmp_path / "file.json", read_json(tmp_path / "file.json"))
    assert json.loads((tmp_path / "file.json").read_text()) == stamped({"a": 1})
    for _ in range(3):
        write_tensors(tmp_path / "one", {"a": torch.ones(2)}, header={"b": 1})
        write_tensors(tmp_path / "two", {"a": torch.ones(2)}, header={"b": 1})
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert list(read_tensors(tmp_path / "one")) == ["a"]
    save_file({"a": torch.ones(2)}, tmp_path / "foreign", metadata={"deepcorrect": "[" * 100_000})
    assert list(read_tensors(tmp_path / "foreign")) == ["a"]
