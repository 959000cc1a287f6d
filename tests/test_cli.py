"""The command line as a user meets it: results, and one clear line with exit code 2 for a mistake."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch import nn

from deepcorrect.base.files import write_tensors
from tests.command_line import QUICK, one_line, run
from tests.test_datasets import write_pictures


def test_the_whole_job_and_that_a_second_call_continues(
    baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (
        "correct",
        baseline,
        "--distortion",
        "noise",
        "--layers",
        "2",
        "--images",
        "20",
        "--out",
        tmp_path / "run",
        *QUICK,
    )
    code, out, _ = run(capsys, *arguments, "--json")
    assert code == 0
    records = json.loads(out)["records"]
    assert [record["name"] for record in records] == ["baseline", "deepcorr-2"]
    assert records[1]["mean_top1"] > records[0]["mean_top1"]
    saved = {path.name for path in (tmp_path / "run").iterdir()}
    assert saved >= {
        "config.json", "ranking.json", "checkpoint.pt", "metrics.json", "correction.safetensors",
        "results.json", "samples.json", "figures", "report.html",
    }  # fmt: skip
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()}
    code, again, _ = run(capsys, *arguments, "--json")
    assert (code, again) == (0, out)
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()}
    typed = json.loads((tmp_path / "run" / "results.json").read_text())["provenance"]["command_line"]
    assert typed.startswith(f"deepcorrect correct {baseline} --data digits --device cpu")
    assert run(capsys, *shlex.split(typed)[1:])[:2] == (0, out)
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()}

    code, out, _ = run(capsys, "evaluate", baseline, "--correction", tmp_path / "run", *QUICK[:2], *QUICK[6:], "--json")
    assert code == 0
    measured = json.loads(out)
    assert measured["top1"] == records[1]["top1"]
    assert measured["distortion"] == "noise"
    assert measured["levels"][0] == 0
    assert len(measured["top1"]) == len(measured["levels"]) == 7
    assert measured["mean_top1"] == pytest.approx(sum(measured["top1"]) / 7)
    assert measured["trainable_parameters"] == records[1]["trainable_parameters"]

    code, _, error = run(capsys, *arguments, "--share", "0.25")
    assert code == 2
    assert "holds a run with shares = [0.5, 0.5], not [0.25, 0.25]" in error
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()}


def test_a_killed_run_continues_to_the_same_bytes(baseline: Path, tmp_path: Path) -> None:
    options = [*QUICK, "--epochs", "4", "--layers", "1", "--images", "10", "--distortion", "noise", "--levels", "40"]
    command = [sys.executable, "-m", "deepcorrect.cli", "correct", str(baseline), *options, "--out"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    running = subprocess.Popen([*command, str(tmp_path / "killed")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (tmp_path / "killed" / "checkpoint.pt").exists() and running.poll() is None:
        time.sleep(0.01)
    running.kill()
    assert running.wait() != 0
    assert not (tmp_path / "killed" / "correction.safetensors").exists()
    subprocess.run([*command, str(tmp_path / "killed")], check=True, capture_output=True)
    whole, killed = ((tmp_path / name / "correction.safetensors").read_bytes() for name in ("whole", "killed"))
    assert whole == killed


@pytest.mark.usefixtures("no_page")
def test_finetune_and_the_c_variant(baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "finetune", baseline, "--layers", "all", "--out", tmp_path / "f", *QUICK, "--json")
    assert code == 0
    finetuned = json.loads(out)["records"][-1]
    assert (finetuned["name"], finetuned["trainable_parameters"]) == ("finetune-4", 21_754)
    code, out, _ = run(capsys, "correct", baseline, "--layers", "1", "--images", "10", "--retrain-last", "1", *QUICK, "--json")
    assert code == 0
    assert json.loads(out)["records"][-1]["name"] == "deepcorr-1c"


def test_rank_assess_and_data(baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, told = run(capsys, "rank", baseline, "--data", "digits", "--images", "20", "--layers", "conv2,conv1", "--json")
    assert code == 0
    assert "a whole pass a filter" not in told
    assert {layer: len(scores) for layer, scores in json.loads(out)["scores"].items()} == {"conv1": 24, "conv2": 32}
    code, out, _ = run(capsys, "assess", baseline, "--data", "digits", "--levels", "20,40", "--distortion", "noise")
    assert code == 0
    assert "Top-1 accuracy under noise (539 test images)" in out
    code, out, _ = run(capsys, "data", "digits", "--json")
    assert json.loads(out)["classes"] == 10


def test_rankings_by_other_methods(baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ("rank", baseline, "--data", "digits", "--images", "20", "--layers", "2", "--levels", "60")
    code, out, _ = run(capsys, *common, "--method", "attribution", "--verify", "6", "--steps", "2", "--json")
    assert code == 0
    estimated = json.loads(out)
    assert (estimated["method"], estimated["score"]) == ("attribution", "probability")
    assert {layer: len(order) for layer, order in estimated["order"].items()} == {"conv1": 24, "conv2": 32}
    code, out, _ = run(capsys, *common, "--method", "joint", "--block", "4", "--share", "0.25", "--score", "margin")
    assert code == 0
    assert "joint, 20 images a level" in out
    assert "Reliability" in out
    code, _, error = run(capsys, *common, "--verify", "6")
    assert code == 2
    assert "--verify 6: only for --method attribution" in one_line(error)
    code, _, error = run(capsys, *common, "--method", "attribution", "--score", "top1")
    assert code == 2
    assert "--score top1: has no gradient" in one_line(error)


def test_a_network_that_cannot_be_captured_is_ranked_by_hooks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv, self.linear = nn.Conv2d(1, 4, 3), nn.Linear(4, 10)\n"
        "    def forward(self, images):\n"
        "        values = self.conv(images)\n"
        "        if values.mean() > 0:\n"
        "            values = values.relu()\n"
        "        return self.linear(values.mean((2, 3)))\n"
    )
    common = ("rank", f"{file}:Net", "--data", "digits", "--images", "20", "--levels", "1")
    code, out, told = run(capsys, *common, "--json")
    assert code == 0
    assert "not captured by torch.export, so a whole pass a filter: conv" in told
    assert len(json.loads(out)["scores"]["conv"]) == 4
    code, _, error = run(capsys, *common, "--method", "attribution")
    assert code == 2
    assert "does not capture layer conv, so it has no gradients to estimate by; use --method exact" in one_line(error)


def test_a_factory_in_a_file_with_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))\n"
    )
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    write_tensors(tmp_path / "net.safetensors", network.state_dict())
    weights = ("--weights", tmp_path / "net.safetensors")
    code, out, _ = run(capsys, "evaluate", f"{file}:net", *weights, "--data", "digits", "--json")
    assert code == 0
    assert json.loads(out)["trainable_parameters"] == 90


def test_an_image_folder(baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "0123":
        write_pictures(tmp_path / name, 12, (8, 8))
    code, out, _ = run(capsys, "evaluate", baseline, "--data", f"folder:{tmp_path}", "--grey", "--json")
    assert code == 0
    assert json.loads(out)["images"] == 48


@pytest.mark.usefixtures("no_page")
def test_a_ranking_is_used_again(baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ranked = tmp_path / "rank"
    code, _, _ = run(capsys, "rank", baseline, "--data", "digits", "--images", "10", "--layers", "2", "--out", ranked)
    assert code == 0
    again = ("rank", baseline, "--data", "digits", "--images", "10", "--layers", "2", "--out", ranked)
    assert run(capsys, *again, "--memory", "0.01")[0] == 0
    correct = ("correct", baseline, "--ranked-by", ranked, *QUICK, "--out", tmp_path / "run")
    code, _, error = run(capsys, *correct, "--layers", "conv3")
    assert code == 2
    assert "it ranks 0 filters of layer conv3, which has 48" in one_line(error)
    code, _, error = run(capsys, *correct, "--layers", "2", "--distortion", "noise")
    assert code == 2
    assert "ranked under blur, not noise" in one_line(error)
    code, _, _ = run(capsys, *correct, "--layers", "conv2")
    assert code == 0
    assert (tmp_path / "run" / "ranking.json").read_text() == (ranked / "ranking.json").read_text()


def test_a_full_disk_is_said_and_leaves_nothing_half_written(baseline: Path, tmp_path: Path) -> None:
    """Every file above 20 kB fails, as on a full disk."""
    limited = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); from deepcorrect.cli import main; main()"
    arguments = ["correct", baseline, "--layers", "1", "--images", "10", "--levels", "0.8", "--out", tmp_path / "run", *QUICK]
    done = subprocess.run([sys.executable, "-c", limited, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    left = {path.name: path for path in (tmp_path / "run").iterdir()}
    assert left.keys() >= {"config.json", "baseline.json", "ranking.json"}
    assert not any(name.endswith(".partial") for name in left)
    assert all(path.stat().st_size < 20000 for path in left.values())


def test_an_interruption_says_how_to_go_on(
    baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("deepcorrect.pipeline.baselines.assess", interrupt)
    code, _, error = run(capsys, "assess", baseline, "--data", "digits")
    assert code == 130
    assert "the same command with the same --out continues" in error


def test_help_imports_nothing_heavy_and_shows_examples() -> None:
    script = "import sys; from deepcorrect.cli import app; app(['--help'], standalone_mode=False); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    modules = done.stdout.splitlines()[-1]
    assert not [heavy for heavy in ("torch", "numpy", "matplotlib", "sklearn", "pydantic") if f"'{heavy}'" in modules]


@pytest.mark.parametrize(
    "command", ["assess", "rank", "correct", "finetune", "evaluate", "train-baseline", "report", "compare", "app", "data"]
)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert f"Example: deepcorrect {command} " in out.replace("\n", " ")
