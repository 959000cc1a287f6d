"""A folder to test on and nothing else is measured whole, but for what the network was trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from deepcorrect.adapters.attach import load_correction
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import write_tensors
from deepcorrect.datasets import Counts, load_dataset
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.pipeline.baselines import train_baseline, train_head
from deepcorrect.pipeline.correct import CorrectionOptions, correct, finetune
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.rank import RankingOptions, rank
from deepcorrect.runs.held_out import Training, hold_out, trainings
from deepcorrect.runs.results import Run
from deepcorrect.runs.samples import Samples
from deepcorrect.training.recipes import get_recipe
from tests.command_line import one_line, run
from tests.test_parts import fill

BLUR = get_distortion("blur")
CLASSES = "abcdefghij"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One image of each of ten classes."""
    fill(tmp_path / "val", dict.fromkeys(CLASSES, 1))
    return tmp_path / "val"


@pytest.fixture
def larger(tmp_path: Path) -> Path:
    """Twenty images of each of three classes."""
    fill(tmp_path / "many", dict.fromkeys("abc", 20))
    return tmp_path / "many"


def network(outputs: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, outputs))


def test_all_of_it_or_divided(larger: Path) -> None:
    spec = f"folder:{larger}"
    whole, divided = load_dataset(spec, whole=True), load_dataset(spec)
    assert [len(part) for part in (whole.train, whole.validation, whole.test)] == [0, 60, 60]
    assert whole.validation is whole.test
    assert len(load_dataset(spec, whole=True, limit=4).test) == 12
    assert [len(part) for part in (divided.train, divided.validation, divided.test)] == [42, 6, 12]
    assert whole.divided().fingerprint() == divided.fingerprint() != whole.fingerprint()
    counted = load_dataset(spec, whole=True, counts=Counts(10, 5))
    assert [len(part) for part in (counted.train, counted.validation, counted.test)] == [30, 15, 15]


def test_too_few_images_to_be_divided(folder: Path) -> None:
    told: list[str] = []
    data = load_dataset(f"folder:{folder}", warn=told.append)
    assert data.undivided
    assert len(data.test) == 10
    assert told == [f"folder:{folder}: too few images for a validation set; all of them are for measuring, none for training"]
    with pytest.raises(DeepcorrectError, match="too few images for a validation set"):
        load_dataset(f"folder:{folder}", whole=False)


def test_a_class_whose_training_images_are_all_unsound(tmp_path: Path) -> None:
    fill(tmp_path, {f"{part}/{name}": 3 for part in ("train", "val") for name in "ab"})
    for file in (tmp_path / "train" / "b").iterdir():
        file.write_bytes(b"nothing")
    spec = f"folder:{tmp_path}"
    assert len(load_dataset(spec, skip_bad=True, whole=True).test) == 6
    with pytest.raises(DeepcorrectError, match="no training images of class b, only some to test on"):
        load_dataset(spec, skip_bad=True, whole=False)


def test_whatever_trains_asks_for_training_images(folder: Path) -> None:
    job = Job(network(10), load_dataset(f"folder:{folder}", whole=True))
    before = {name: value.clone() for name, value in job.model.state_dict().items()}
    for start in (
        lambda: correct(job, BLUR, (1.0,), CorrectionOptions(("0",), (0.5,)), get_recipe("fast", "correct")),
        lambda: finetune(job, BLUR, (1.0,), ["0"], get_recipe("fast", "finetune")),
        lambda: train_baseline(job, get_recipe("fast", "baseline"), []),
        lambda: train_head(job, []),
    ):
        with pytest.raises(DeepcorrectError, match=f"folder:{folder}: no images to train on, all are for measuring"):
            start()
    assert all(torch.equal(value, before[name]) for name, value in job.model.state_dict().items())
    assert all(parameter.requires_grad for parameter in job.model.parameters())


def test_one_image_is_enough_to_measure(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 1})
    job = Job(network(2), load_dataset(f"folder:{tmp_path}", whole=True, outputs=["b", "a"]))
    assert torch.equal(job.example[0], job.example[1])
    ranking = rank(job, BLUR, (1.0,), job.layers[:1], RankingOptions(), {"0": 0.5})
    assert ranking.images == 1
    samples = Samples(job.data, BLUR, (1.0,), seed=0, device=job.device)
    samples.ask("baseline", job.model)
    assert samples.as_json()["labels"] == ["a"]


def test_samples_are_of_classes_that_are_there(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 40, "b": 40, "c": 40})
    data = load_dataset(f"folder:{tmp_path}", whole=True, outputs=[*CLASSES, *map(str, range(200))])
    labels = Samples(data, BLUR, (1.0,), seed=0, device=torch.device("cpu")).as_json()["labels"]
    assert isinstance(labels, list)
    assert sorted(labels) == ["a", "b", "c"]


def test_measuring_commands_use_all_of_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ("smallcnn", "--data", f"folder:{folder}", "--grey", "--size", "8", "--levels", "1")
    code, out, _ = run(capsys, "assess", *common, "--distortion", "blur", "--json")
    assert code == 0
    assert json.loads(out)["records"][0]["images"] == 10
    code, out, _ = run(capsys, "rank", *common, "--layers", "1", "--json")
    assert code == 0
    assert json.loads(out)["images"] == 10
    code, out, _ = run(capsys, "data", f"folder:{folder}", "--json")
    assert code == 0
    assert (json.loads(out)["test"], json.loads(out)["divided to train"]) == (10, None)
    for command in ("correct", "finetune"):
        code, _, error = run(capsys, command, *common)
        assert code == 2
        assert "too few images for a validation set" in one_line(error)


def recorded(
    place: Path, data: Dataset, command: str, model: str = "smallcnn", command_line: str = "deepcorrect train-head"
) -> Path:
    """A finished run that says what it was trained on."""
    run = Run(
        place, command, {"model": model, "data": data.name, "data_fingerprint": data.fingerprint()}, command_line=command_line
    )
    run.finish([], torch.device("cpu"))
    return place


def held(data: Dataset, *specs: Path, limit: int | None = None) -> tuple[Dataset, list[str]]:
    told: list[str] = []
    everything = lambda: load_dataset(data.name, whole=True)  # noqa: E731
    return hold_out(data, trainings(specs), everything, limit, told.append), told


def test_a_network_is_not_measured_on_what_it_was_trained_on(tmp_path: Path, larger: Path) -> None:
    spec = f"folder:{larger}"
    whole, divided = load_dataset(spec, whole=True), load_dataset(spec)
    run = recorded(tmp_path / "head", divided, "train-head")
    for place in (run, run / "config.json", recorded(tmp_path / "fix", load_dataset("digits", limit=1), "correct", str(run))):
        found, told = held(whole, place)
        assert found.fingerprint() == divided.fingerprint()
        assert told == [
            f"{spec}: {run} was trained on a part of these images, so the 12 test images that it has not seen are measured on"
        ]
    found, _ = held(load_dataset(spec, whole=True, limit=5), run, limit=5)
    assert found.fingerprint() == load_dataset(spec, limit=5).fingerprint()


def test_the_file_of_a_correction_says_what_it_was_trained_on(tmp_path: Path, larger: Path) -> None:
    """It may lie anywhere, and be loaded and saved again."""
    spec = f"folder:{larger}"
    whole, divided = load_dataset(spec, whole=True), load_dataset(spec)
    job = Job(network(3), divided)
    recipe = get_recipe("fast", "finetune", epochs=1, batch_size=21, precision="fp32")
    correction, _ = finetune(job, BLUR, (1.0,), ["0"], recipe)
    correction.save(tmp_path / "one.safetensors")
    correction.detach()
    load_correction(tmp_path / "one.safetensors", job.model, job.example).save(tmp_path / "two.safetensors")
    for place in (tmp_path / "one.safetensors", tmp_path / "two.safetensors"):
        found, told = held(whole, place)
        assert found.fingerprint() == divided.fingerprint()
        assert told[0].startswith(f"{spec}: {place} was trained on a part of these images, so the 12 test images")
    write_tensors(tmp_path / "weights.safetensors", network(3).state_dict())
    assert held(whole, tmp_path / "weights.safetensors") == (whole, [])


def test_the_same_images_by_another_path_are_known(tmp_path: Path, larger: Path) -> None:
    run = recorded(tmp_path / "head", load_dataset(f"folder:{larger}"), "train-head")
    (tmp_path / "link").symlink_to(larger)
    assert len(held(load_dataset(f"folder:{tmp_path / 'link'}", whole=True), run)[0].test) == 12


def test_another_division_is_refused(tmp_path: Path, larger: Path) -> None:
    spec = f"folder:{larger}"
    counted = load_dataset(spec, counts=Counts(10, 5))
    run = recorded(
        tmp_path / "head", counted, "train-head", command_line=f"deepcorrect train-head x --data {spec} --split 10,5"
    )
    with pytest.raises(DeepcorrectError, match="head was trained on a part of these images; give the counts and seed"):
        held(load_dataset(spec, whole=True), run)
    assert held(counted, run)[0] is counted


def test_other_images_and_networks_without_a_record_are_measured_whole(tmp_path: Path, larger: Path, folder: Path) -> None:
    whole = load_dataset(f"folder:{larger}", whole=True)
    run = recorded(tmp_path / "head", load_dataset(f"folder:{folder}"), "train-head")
    assessed = recorded(tmp_path / "assessed", load_dataset(f"folder:{larger}"), "assess")
    assert held(whole, run, assessed, tmp_path / "nowhere", Path("smallcnn")) == (whole, [])
    assert list(trainings([run])) == [Training(run, f"folder:{folder}", load_dataset(f"folder:{folder}").fingerprint(), False)]
