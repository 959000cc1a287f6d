"""A mistake on the command line is one line that says what to do, and nothing half-written."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.command_line import QUICK, one_line, run
from tests.test_datasets import Hostile, write_cifar, write_pictures


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "nonsense"], "nonsense: unknown network"),
        (["evaluate", "smallcnn", "--data", "folder:/nowhere"], "folder:/nowhere: no such folder"),
        (["evaluate", "smallcnn", "--device", "tpux"], "--device tpux: unknown device"),
        (["evaluate", "smallcnn", "--distortion", "rain"], "unknown distortion 'rain'"),
        (["evaluate", "smallcnn", "--levels", "0,1"], "--levels 0,1"),
        (["evaluate", "smallcnn", "--correction", "nothing"], "--correction nothing: no such file"),
        (["evaluate", "smallcnn", "--weights", "nothing.safetensors"], "--weights nothing.safetensors: no such file"),
        (["evaluate", "missing.py:net"], "missing.py: no such Python file"),
        (["evaluate", "alexnet"], "the network does not take the 1x8x8 images of digits"),
        (["correct", "smallcnn", "--share", "1.5"], "--share 1.5: outside (0, 1]"),
        (["correct", "smallcnn", "--share", "half"], "--share half"),
        (["correct", "smallcnn", "--share", "0.5,0.5"], "2 shares for 3 layers"),
        (["correct", "smallcnn", "--share", "0.01"], "layer conv1 has 24 filter(s), of which this is none"),
        (["rank", "smallcnn", "--ideal", "0.5,2"], "--ideal 2: outside (0, 1]"),
        (["rank", "smallcnn", "--ideal", "0.01"], "--ideal 0.01: layer conv1 has 24 filter(s)"),
        (["evaluate", "smellcnn", "--data", "folder:nowhere"], "smellcnn: unknown network"),
        (["correct", "smallcnn", "--layers", "conv7"], "unknown layer 'conv7'; the network has conv1, conv2, conv3, conv4"),
        (["correct", "smallcnn", "--layers", "9"], "--layers 9: the network has 4"),
        (["correct", "smallcnn", "--unit", "huge"], "--unit huge: unknown"),
        (["correct", "smallcnn", "--retrain-last", "2"], "cannot be corrected and retrained at once"),
        (["correct", "smallcnn", "--recipe", "slow"], "'slow' is unknown; use paper, imagenet, fast, long"),
        (["correct", "smallcnn", "--images", "0"], "Invalid value for '--images'"),
        (["finetune", "smallcnn", "--epochs", "0"], "epochs"),
        (["finetune", "smallcnn", "--seed", "x"], "Invalid value for '--seed'"),
        (["finetune", "smallcnn", "--speed", "3"], "No such option: --speed"),
        (["finetune"], "Missing argument 'MODEL'"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments if any("folder:" in argument for argument in arguments) else [*arguments, "--data", "digits"]
    out = [] if arguments[0] == "evaluate" else ["--out", str(tmp_path / "run")]
    code, _, error = run(capsys, *given, *out)
    assert code == 2
    assert message in one_line(error)
    assert not list(tmp_path.iterdir())


def test_no_gpu_where_one_is_asked_for(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, _, error = run(capsys, "evaluate", "smallcnn", "--data", "digits", "--device", "cuda")
    assert code == 2
    assert "--device cuda: no CUDA GPU is available here" in one_line(error)


def test_a_loss_that_is_not_finite_says_what_to_try(baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--layers", "1", "--images", "10", "--rate", "1e30", "--out", tmp_path / "run")
    code, _, error = run(capsys, "correct", baseline, *options, *QUICK)
    assert code == 2
    assert "try a lower --rate or --precision fp32, with another --out" in error.splitlines()[-1]


@pytest.mark.usefixtures("no_page")
def test_other_images_are_another_configuration(baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "0123":
        write_pictures(tmp_path / "data" / name, 12, (8, 8))
    arguments = ("assess", baseline, "--data", f"folder:{tmp_path / 'data'}", "--grey", "--out", tmp_path / "run")
    assert run(capsys, *arguments)[0] == 0
    Image.new("L", (8, 8), 200).save(tmp_path / "data" / "0" / "003.png")
    code, _, error = run(capsys, *arguments)
    assert code == 2
    assert "holds a run with data_fingerprint" in one_line(error)


def test_more_classes_than_outputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(1, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
        "def broken():\n"
        "    raise ValueError('no weights')\n"
    )
    code, _, error = run(capsys, "evaluate", f"{file}:net", "--data", "digits")
    assert code == 2
    assert "digits has 10 classes, the network only 5 outputs: label 5 (5) lies outside" in one_line(error)
    code, _, error = run(capsys, "evaluate", f"{file}:broken", "--data", "digits")
    assert code == 2
    assert "the factory failed: ValueError: no weights" in one_line(error)


def test_a_hostile_or_truncated_pickle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    owned = tmp_path / "owned"
    write_cifar(tmp_path / "hostile", lambda content: content.update({b"x": Hostile(owned)}))
    code, _, error = run(capsys, "data", "cifar100", "--root", tmp_path / "hostile")
    assert code == 2
    assert "not a sound CIFAR-100 file" in one_line(error)
    assert not owned.exists()
    file = write_cifar(tmp_path / "truncated") / "cifar-100-python" / "test"
    file.write_bytes(file.read_bytes()[:1000])
    code, _, error = run(capsys, "data", "cifar100", "--root", tmp_path / "truncated")
    assert code == 2
    assert "test: not a sound CIFAR-100 file" in one_line(error)


@pytest.mark.usefixtures("no_page")
def test_a_correction_of_another_network(baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "correct", baseline, "--layers", "1", "--images", "10", "--levels", "0.8", "--out", tmp_path / "run", *QUICK)
    code, _, error = run(capsys, "evaluate", "smallcnn", "--correction", tmp_path / "run", "--data", "digits")
    assert code == 2
    assert "made for another network: the layers fit, but the weights of layer conv1" in one_line(error)


def test_an_out_folder_that_is_no_run_or_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    code, _, error = run(capsys, "assess", "smallcnn", "--data", "digits", "--out", tmp_path)
    assert code == 2
    assert "not empty, and no run of deepcorrect" in one_line(error)
    code, _, error = run(capsys, "assess", "smallcnn", "--data", "digits", "--out", tmp_path / "precious.txt" / "run")
    assert code == 2
    assert "cannot be made" in one_line(error)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
