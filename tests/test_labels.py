"""Classes find the network's outputs by name, never by their place in an alphabetical list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets import load_dataset
from deepcorrect.datasets.class_names import read_class_names
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.images import ImageSet
from deepcorrect.datasets.labels import match_classes
from deepcorrect.models.labels import SYNSETS, output_names, with_ids
from deepcorrect.pipeline.job import Job
from tests.command_line import one_line, run
from tests.test_parts import fill

IMAGENET = tuple(SYNSETS.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize(
    ("classes", "outputs"),
    [
        (["n01443537", "n01440764"], [1, 0]),
        (["goldfish", "tench"], [1, 0]),
        (["Tinca_tinca", "great_white_shark", "man eater"], [0, 2, 2]),
        (["tench, Tinca tinca", "n02085620-Chihuahua"], [0, 151]),
        (["t-SHIRT"], [610]),
        (["tank suit", "tub"], [639, 876]),
        (["maillot, tank suit"], [639]),
    ],
)
def test_names_of_imagenet(classes: list[str], outputs: list[int]) -> None:
    assert [place for name in classes for place in match_classes([name], IMAGENET) or ()] == outputs


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["crane", "tench"], r"class crane may be the network's output 134 \(n02012849 crane\) or 517 \(n03126707 crane\)"),
        (["maillot"], "class maillot may be the network's output 638 .* or 639 "),
        (["panda"], "class panda may be the network's output 387 .* or 388 "),
        (
            ["tench", "unicorn"],
            "class unicorn matches none of the network's 1000 outputs by name; .* as load_dataset's outputs$",
        ),
        (["n01440764", "tench"], "classes n01440764 and tench are both output 0 "),
    ],
)
def test_names_that_are_unknown_or_ambiguous_are_refused(classes: list[str], message: str) -> None:
    with pytest.raises(DeepcorrectError, match=message):
        match_classes(classes, IMAGENET)


def test_as_many_names() -> None:
    assert match_classes(["b", "a"], ["a", "b"]) == (1, 0)
    assert match_classes(["0", "1"], ["cat", "dog"]) is None
    assert match_classes(["crane", "crane"], ["crane", "crane"]) == (0, 1)
    assert match_classes(["crane", "crane"], ["background", "crane", "crane"]) == (1, 2)
    with pytest.raises(DeepcorrectError, match="class crane may be"):
        match_classes(["emu", "crane"], ["emu", "crane", "crane"])
    with pytest.raises(DeepcorrectError, match="class emu matches none of the network's 2 outputs"):
        match_classes(["cat", "emu"], ["dog", "cat"])


@pytest.mark.parametrize(("classes", "outputs"), [("-1", "1"), ("C#", "C++"), ("1.5", "15"), ("", " ")])
def test_signs_are_no_spelling(classes: str, outputs: str) -> None:
    with pytest.raises(DeepcorrectError, match="by name"):
        match_classes([classes], [outputs, "other"])


def test_labels_number_outputs(tmp_path: Path) -> None:
    fill(tmp_path, {"bee": 2, "dog": 3})
    data = load_dataset(f"folder:{tmp_path}", whole=True, outputs=["dog", "ant", "bee", "cat"])
    assert data.classes == ("dog", "ant", "bee", "cat")
    assert data.test.labels.tolist() == [2, 2, 0, 0, 0]
    assert data.undivided
    told: list[str] = []
    ordered = load_dataset(f"folder:{tmp_path}", whole=True, outputs=["0", "1"], warn=told.append)
    assert (ordered.classes, ordered.test.labels.tolist()) == (("bee", "dog"), [0, 0, 1, 1, 1])
    assert "none of its 2 classes has the name of one of the network's outputs (bee; 0)" in told[0]


def network(outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, outputs))


def test_a_job_refuses_outputs_that_nobody_named(tmp_path: Path) -> None:
    fill(tmp_path, {"bee": 2, "dog": 3})
    data = load_dataset(f"folder:{tmp_path}", whole=True)
    with pytest.raises(
        DeepcorrectError, match="has 2 classes, the network 4 outputs, and nothing says which of them are bee, dog"
    ):
        Job(network(4), data)
    assert Job(network(2), data).data is data
    named = load_dataset(f"folder:{tmp_path}", whole=True, outputs=["dog", "ant", "bee", "cat"])
    assert Job(network(4), named).data is named


def test_a_job_refuses_labels_beyond_the_classes() -> None:
    images = ImageSet.whole(torch.zeros(3, 3, 4, 4, dtype=torch.uint8), torch.tensor([0, 1, 5]))
    with pytest.raises(DeepcorrectError, match="own: label 5 lies outside its 4 classes"):
        Job(network(6), Dataset("own", tuple("abcd"), "cifar", images, images, images))


@pytest.mark.parametrize(
    "content",
    [
        "cat\ndog, hound\n",
        "\ufeffcat\r\ndog, hound\r\n\r\n",
        "0 cat\n1 dog, hound\n",
        "1: cat\n2: dog, hound",
        "cat 0\ndog, hound 1\n",
        '["cat", "dog, hound"]',
        '{"1": "dog, hound", "0": "cat"}',
        '{"dog, hound": 1, "cat": 0}',
        '{"id2label": {"0": "cat", "1": "dog, hound"}, "hidden_size": 768}',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_files_of_names(tmp_path: Path, content: str, encoding: str) -> None:
    file = tmp_path / "names"
    file.write_bytes(content.removeprefix("\ufeff" if encoding == "utf-16" else "").encode(encoding))
    assert read_class_names(file) == ("cat", "dog, hound")


def test_files_of_wordnet_ids(tmp_path: Path) -> None:
    file = tmp_path / "index.json"
    file.write_text('{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}')
    assert read_class_names(file) == ("n01440764 tench", "n01443537 goldfish")
    assert read_class_names(SYNSETS) == IMAGENET


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cat\n\ndog\n", "line 2 is empty"),
        (b"\n", "it is empty"),
        (b"cat\ndog\ncat\n", "outputs 0 and 2 are both called cat"),
        (b"caf\xe9\n", "line 1 is not UTF-8 text"),
        (b'{"0": "cat", "2": "dog"}', "its numbers are not 0 to 1, each"),
        (b'{"a": "cat"}', "neither all of its keys nor all of its values"),
        (b'["cat", 3]', "not all of its 2 names are text"),
        (b'["cat"', "not sound JSON"),
    ],
)
def test_unsound_files_of_names(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "names"
    file.write_bytes(content)
    with pytest.raises(DeepcorrectError, match=f"names: {message}"):
        read_class_names(file)
    with pytest.raises(DeepcorrectError, match="cannot be read"):
        read_class_names(tmp_path / "nowhere")


def test_what_libraries_know() -> None:
    pytest.importorskip("timm")
    found = output_names("torchvision:resnet18")
    assert found is not None
    assert found == output_names("torchvision:alexnet")
    assert match_classes(["n02012849", "crane bird", "n01440764"][::2], found) == (134, 0)
    assert match_classes(["crane bird"], found) == (134,)
    assert output_names("timm:resnet18.a1_in1k") == IMAGENET
    assert output_names("smallcnn") is None


def test_a_background_in_front_shifts_imagenet() -> None:
    plain = [line.split(" ", 1)[1] for line in IMAGENET]
    assert with_ids(["background", *plain]) == ("background", *IMAGENET)
    assert with_ids(plain[::-1]) == tuple(plain[::-1])


def test_a_folder_of_save_pretrained(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    config = {
        "model_type": "resnet",
        "id2label": {"0": "cat", "1": "dog", "10": "emu"} | {str(n): f"x{n}" for n in range(2, 10)},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert output_names(f"hf:{tmp_path}") == ("cat", "dog", *(f"x{n}" for n in range(2, 10)), "emu")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "resnet", "num_labels": 4}))
    assert output_names(f"hf:{tmp_path}") is None


NET = """
import torch
from torch import nn
class Third(nn.Module):
    '''Whatever it sees is output 2.'''
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
    def forward(self, images):
        return self.conv(images).mean((2, 3)) * 0 + torch.tensor([0., 1., 9., 2.])
"""


def test_the_command_line_maps_by_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.py").write_text(NET)
    fill(tmp_path / "data", {"bee": 3, "dog": 1})
    common = ("evaluate", f"{tmp_path / 'net.py'}:Third", "--data", f"folder:{tmp_path / 'data'}", "--grey", "--levels", "1")
    code, _, error = run(capsys, *common)
    assert code == 2
    assert "nothing says which of them are bee, dog" in one_line(error)
    names = tmp_path / "names.txt"
    names.write_text("dog\nant\nbee\ncat\n")
    code, out, _ = run(capsys, *common, "--classes", names, "--json")
    assert code == 0
    assert json.loads(out)["top1"] == [0.75, 0.75]
    assert json.loads(out)["per_class"][0] == [0, None, 1, None]
    names.write_text("dog\nant\nbee\n")
    code, _, error = run(capsys, *common, "--classes", names)
    assert code == 2
    assert "names.txt: 3 names for a network of 4 outputs" in one_line(error)
    code, _, error = run(capsys, "train-head", *common[1:-2], "--classes", names)
    assert code == 2
    assert "this command takes the data's classes as they are" in one_line(error)
