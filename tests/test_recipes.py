"""Recipes and job files as people write and save them."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from deepcorrect.adapters.plan import Plan
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_text
from deepcorrect.base.progress import EpochMetrics
from deepcorrect.base.words import speaking_of_options
from deepcorrect.cli.jobfile import arguments_of
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.pipeline.correct import train_and_measure
from deepcorrect.pipeline.job import Job
from deepcorrect.runs.results import Run
from deepcorrect.training.loop import train
from deepcorrect.training.recipes import get_recipe
from tests.conftest import make_toy

RECIPE = 'base = "paper"  # für Grau\nepochs = 7\n'
JOB = 'command = "assess"  # größer\nmodel = "smallcnn"\nlevels = [1, 2.5]\nhalf = true\ngrey = false\n'
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32"]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_encoding_that_is_certain_is_read(tmp_path: Path, encoding: str, ends: str) -> None:
    recipe, job = tmp_path / "recipe.toml", tmp_path / "job.toml"
    recipe.write_bytes(RECIPE.replace("\n", ends).encode(encoding))
    job.write_bytes(JOB.replace("\n", ends).encode(encoding))
    assert read_text(recipe) == RECIPE
    assert get_recipe(str(recipe), "correct").epochs == 7
    assert arguments_of(job) == ["assess", "smallcnn", "--levels", "1,2.5", "--half"]


def test_big_endian_is_read_by_its_mark(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(codecs.BOM_UTF16_BE + "é".encode("utf-16-be"))
    (tmp_path / "b").write_bytes(codecs.BOM_UTF32_BE + "é".encode("utf-32-be"))
    assert (read_text(tmp_path / "a"), read_text(tmp_path / "b")) == ("é", "é")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("epochs = 1\n# für".encode("latin-1"), "line 2 is not UTF-8 text; save the file as UTF-8"),
        ("epochs = 1".encode("utf-16-le"), "neither UTF-8 text nor marked as another encoding; save the file as UTF-8"),
        ("epochs = 1".encode("utf-16")[:-1], "is not UTF-16 text; save the file as UTF-8"),
        (b"epochs = 1\nrate 3", "not TOML: Expected '=' after a key in a key/value pair (at line 2, column 6)"),
        (b"epochs = 1\nepochs = 2\n", "not TOML: Cannot overwrite a value (at line 2"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_its_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(content)
    for read in (lambda: get_recipe(str(file), "correct"), lambda: arguments_of(file)):
        with pytest.raises(DeepcorrectError) as told:
            read()
        assert str(told.value).startswith(f"{file}: ")
        assert reason in str(told.value)
        assert "\n" not in str(told.value)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DeepcorrectError, match=r"none\.toml: cannot be read \(No such file or directory\)"):
        get_recipe(str(tmp_path / "none.toml"), "correct")
    (tmp_path / "folder.TOML").mkdir()
    with pytest.raises(DeepcorrectError, match=r"folder\.TOML: cannot be read \(Is a directory\)"):
        get_recipe(str(tmp_path / "folder.TOML"), "correct")
    with pytest.raises(DeepcorrectError, match="Is a directory"):
        arguments_of(tmp_path / "folder.TOML")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("epoch = 3", "unknown field 'epoch'; a recipe has base, epochs, passes"),
        ('epochs = "3"', "epochs = '3': Input should be a valid integer"),
        ("epochs = true", "epochs = True: Input should be a valid integer"),
        ("flip = 1", "flip = 1: Input should be a valid boolean"),
        ("rate = nan", "rate = nan: "),
        ("rate = inf", "rate = inf: "),
        ("milestones = [1, 'a']", "milestones.1 = 'a'"),
        ("base = 3", "3 is unknown; use paper, imagenet, fast, long"),
        ("batch_size = 1", "batch_size = 1: Input should be greater than or equal to 2"),
    ],
)
def test_fields_are_checked_by_name_and_type(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(DeepcorrectError) as told:
        get_recipe(str(file), "correct")
    assert reason in str(told.value)
    assert "\n" not in str(told.value)


def test_an_empty_recipe_is_the_fast_one(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text("")
    assert get_recipe(str(tmp_path / "empty.toml"), "correct") == get_recipe("fast", "correct")
    with pytest.raises(DeepcorrectError, match="it must name a command"):
        arguments_of(tmp_path / "empty.toml")


def test_a_table_is_no_value_of_an_option(tmp_path: Path) -> None:
    file = tmp_path / "job.toml"
    for text in ("[recipe]\nepochs = 3", "levels = [[1], [2]]", "recipe = {epochs = 3}"):
        file.write_text(f'command = "correct"\n{text}\n')
        with pytest.raises(DeepcorrectError, match=r"job\.toml: (recipe|levels): no option takes a table"):
            arguments_of(file)


def rates(dataset: Dataset, folder: Path, layers: int) -> list[float]:
    """The last learning rate of each epoch of a published training of so many corrected layers."""
    torch.manual_seed(0)
    convolutions = [part for _ in range(6) for part in (nn.Conv2d(3, 3, 3, padding=1), nn.ReLU())]
    network = nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5))
    job = Job(network, dataset, run=Run(folder, "correct", {}))
    plan = Plan(distortion="noise", filters={str(2 * index): (0,) for index in range(layers)})
    recipe = get_recipe("paper", "correct", epochs=2, passes=1, batch_size=30)
    train_and_measure(job, "deepcorr", get_distortion("noise"), (20.0,), plan, recipe, half=False)
    return [epoch["rate"] for epoch in json.loads((folder / "metrics.json").read_text())["epochs"]]


def test_the_published_training_warms_up_from_five_corrected_layers_on(dataset: Dataset, tmp_path: Path) -> None:
    assert [rates(dataset, tmp_path / str(layers), layers) for layers in (4, 5)] == [[0.1, 0.1], [0.01, 0.1]]


def test_a_warm_up_is_of_the_first_epoch_of_any_training_alone(dataset: Dataset) -> None:
    recipe = get_recipe("paper", "baseline", epochs=3, batch_size=30, milestones=(2,), rate=0.02)
    for warm_up, expected in ((None, [0.02, 0.02, 0.002]), (1e-4, [1e-4, 0.02, 0.002])):
        network = make_toy("plain")
        history = train(network, network, dataset, recipe, distortion=None, levels=(), first_epoch_rate=warm_up)
        assert [epoch.rate for epoch in history] == pytest.approx(expected)


def test_an_epoch_is_stored_as_ever_and_read_again() -> None:
    stored = {
        "epoch": 1, "steps": 20, "loss": 0.5, "rate": 0.1, "validation_top1": (0.9, 0.6), "images_per_second": 7.0,
        "seconds": 3.0,
    }  # fmt: skip
    metrics = EpochMetrics.from_json(json.loads(json.dumps(stored)))
    assert list(metrics.as_json().items()) == list(stored.items())
    assert (metrics.metric, metrics.validation) == ("top1", (0.9, 0.6))
    other = EpochMetrics(1, 20, 0.5, 0.1, (0.4,), 7.0, 3.0, "mean_iou")
    assert other.as_json()["validation_mean_iou"] == (0.4,)
    assert EpochMetrics.from_json(other.as_json()) == other
    with pytest.raises(ValueError, match="unpack"):
        EpochMetrics.from_json({"epoch": 1})


def test_messages_name_the_recipe_as_its_caller_does() -> None:
    with pytest.raises(DeepcorrectError, match=r"^recipe='quick': 'quick' is unknown; use paper, "):
        get_recipe("quick", "correct")
    with speaking_of_options(), pytest.raises(DeepcorrectError, match=r"^--recipe quick: 'quick' is unknown; use paper, "):
        get_recipe("quick", "correct")
