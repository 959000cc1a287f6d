"""Several processes at one ranking."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deepcorrect.cli import context
from deepcorrect.cli.options import Common
from deepcorrect.errors import DeepcorrectError
from deepcorrect.parallel import Processes

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


def test_a_command_that_cannot_be_shared_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Processes, "launched", lambda device: Processes(0, 2))
    with (
        pytest.raises(DeepcorrectError, match="2 processes were launched; only rank shares its work"),
        context.open_job("smallcnn", Common(data="digits")),
    ):
        pass


def test_one_process_shares_with_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Processes.launched("auto")
    assert alone.first
    assert list(alone.mine(range(3))) == [0, 1, 2]
    assert alone.total(torch.ones(2)).tolist() == [1, 1]
    assert alone.agreed("this") == "this"
    assert list(Processes(1, 3).mine(range(8))) == [1, 4, 7]
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(DeepcorrectError, match="--device cuda:0: several processes"):
        Processes.launched("cuda:0")
