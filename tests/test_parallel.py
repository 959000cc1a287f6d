"""Several processes at one job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json
from deepcorrect.base.processes import Processes

RANK = "rank smallcnn --data digits --images 110 --layers 2 --levels 40,80 --distortion noise --precision fp32 --device cpu"
PAIR = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def launch(*command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, env=environment, check=False)


def test_two_processes_give_the_ranking_of_one_to_the_last_count(tmp_path: Path) -> None:
    command = ("-m", "deepcorrect.cli", *RANK.split(), "--out")
    alone = launch(*command, tmp_path / "one")
    assert alone.returncode == 0, alone.stderr
    together = launch(*PAIR, *command, tmp_path / "two")
    assert together.returncode == 0, together.stderr
    assert together.stdout == alone.stdout
    assert (tmp_path / "two" / "ranking.json").read_text() == (tmp_path / "one" / "ranking.json").read_text()
    assert not (tmp_path / "two" / "parts").exists()


NETWORK = """
from torch import nn

def make():
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 12, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48, 10),
    )
"""
RECIPE = 'base = "paper"\nepochs = 2\npasses = 1\nbatch_size = 60\nrate = 0.05\nmilestones = []\nshift = 0.1\n'
CORRECT = "--data digits --images 20 --layers 2 --levels 40,80 --distortion noise --precision fp32 --device cpu --no-bn --json"


def launch_and_kill(checkpoint: Path, *given: str | Path) -> None:
    """Start two processes and kill both after the first epoch."""
    command = [sys.executable, *map(str, (*PAIR, *given))]
    started = psutil.Popen(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )  # fmt: skip
    while not checkpoint.exists() and started.poll() is None:
        time.sleep(0.01)
    family = [started, *started.children(recursive=True)]  # torchrun's workers are sessions of their own
    for process in family:
        process.kill()
    psutil.wait_procs(family)


@pytest.mark.verify
def test_two_processes_train_and_evaluate_as_one_does(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NETWORK)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    command = ("-m", "deepcorrect.cli", "correct", f"{tmp_path / 'net.py'}:make", *CORRECT.split())
    command = (*command, "--recipe", str(tmp_path / "recipe.toml"), "--out")
    alone = launch(*command, tmp_path / "one")
    assert alone.returncode == 0, alone.stderr
    together = launch(*PAIR, *command, tmp_path / "two")
    assert together.returncode == 0, together.stderr
    first, second = (json.loads(done.stdout)["records"] for done in (alone, together))
    assert first[0] == second[0]
    assert first[1]["top1"] == pytest.approx(second[1]["top1"], abs=0.01)
    one, two = (load_file(tmp_path / name / "correction.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)
    losses = [[epoch["loss"] for epoch in read_json(tmp_path / name / "metrics.json")["epochs"]] for name in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    launch_and_kill(tmp_path / "killed" / "checkpoint.pt", *command, tmp_path / "killed")
    assert not (tmp_path / "killed" / "correction.safetensors").exists()
    continued = launch(*command, tmp_path / "killed")
    assert continued.returncode == 0, continued.stderr
    assert "epoch 1:" not in continued.stderr
    after = load_file(tmp_path / "killed" / "correction.safetensors")
    assert all(torch.allclose(one[name], after[name], atol=1e-4) for name in one)


def test_one_process_shares_with_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Processes.launched("auto")
    assert alone.first
    assert list(alone.mine(range(3))) == [0, 1, 2]
    assert alone.total(torch.ones(2)).tolist() == [1, 1]
    assert alone.agreed("this") == "this"
    assert list(Processes(1, 3).mine(range(8))) == [1, 4, 7]
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(DeepcorrectError, match=r"^device='cuda:0': several processes"):
        Processes.launched("cuda:0")
