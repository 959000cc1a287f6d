"""The help of the command line: whole words at any width, options in panels, examples that work, completion."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from deepcorrect.cli import app
from deepcorrect.cli.panels import PANELS
from tests.command_line import run

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
PANEL = re.compile(r"╭─ (.+?) ─+╮")


def help_of(*command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, _ = run(capsys, *command, "--help")
    assert code == 0
    return out


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_every_option_in_its_panel_with_whole_words(
    command: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = help_of(command, capsys=capsys, monkeypatch=monkeypatch, width=width)
    assert max(map(len, shown.splitlines())) == width
    words = set(shown.replace("│", " ").split())
    for parameter in COMMANDS[command].params:
        assert (parameter.opts[0] if parameter.opts[0].startswith("--") else parameter.metavar) in words
        assert not set(parameter.help.split()) - words
        assert (getattr(parameter, "rich_help_panel", None) in PANELS) is parameter.opts[0].startswith("--")
    panels = PANEL.findall(shown)
    assert panels == [panel for panel in ("Arguments", *PANELS) if panel in panels]
    assert "--help" in shown.split("╭─ Output")[1]


@pytest.mark.parametrize("width", [80, 120])
def test_the_overview_lists_the_commands_in_the_order_in_which_they_are_needed(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = help_of(capsys=capsys, monkeypatch=monkeypatch, width=width)
    assert PANEL.findall(shown) == ["Options", "Find and repair", "Look at results", "Prepare networks and data", "More"]
    listed = re.findall(r"^│ ([a-z][a-z-]*) {2,}\S", shown, re.MULTILINE)
    assert listed[:5] == ["assess", "rank", "correct", "finetune", "evaluate"]
    assert sorted(listed) == sorted(COMMANDS)
    words = set(shown.replace("│", " ").split())
    for command in COMMANDS.values():
        assert not set(command.help.partition("\n\n")[0].split()) - words


@pytest.mark.usefixtures("no_page")
def test_the_examples_of_the_help_run_one_after_the_other(
    baseline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the digits, and shortened where they train or rank."""
    monkeypatch.chdir(tmp_path)
    short = dict.fromkeys(("train-baseline", "finetune", "correct"), "--epochs 1") | {"rank": "--images 10"}
    ours = {
        "allcnn-cifar100": str(baseline),
        "cifar100 --root data": "digits",
        "deepcorr-6-blur": "runs/fix",
        "allcnn ": "smallcnn ",
    }
    for name in ("assess", "rank", "correct", "finetune", "evaluate", "compare", "report", "train-baseline"):
        here = COMMANDS[name].help.partition("Example: deepcorrect ")[2]
        for shipped, own in ours.items():
            here = here.replace(shipped, own)
        code, out, error = run(capsys, *shlex.split(f"{here} {short.get(name, '')}"))
        assert code == 0, error
        assert out
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"rank", "fix", "finetune", "baseline"}
    assert (tmp_path / "report.html").is_file()


@pytest.mark.parametrize(
    ("typed", "completions"),
    [
        ("deepcorrect ra", ["rank"]),
        ("deepcorrect train-", ["train-baseline", "train-head"]),
        ("deepcorrect rank --sp", ["--split", "--split-seed"]),
        ("deepcorrect correct net --method ", ["exact", "attribution", "joint"]),
    ],
)
def test_completion_in_bash(typed: str, completions: list[str]) -> None:
    assert completed("bash", {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}).split() == completions


def test_completion_in_zsh() -> None:
    shown = completed("zsh", {"_TYPER_COMPLETE_ARGS": "deepcorrect tra"})
    assert re.findall(r'"([a-z-]+)":', shown) == ["train-baseline", "train-head", "transfer"]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_script_for_completion_asks_this_command(shell: str) -> None:
    assert f"_DEEPCORRECT_COMPLETE=complete_{shell}" in called({"_DEEPCORRECT_COMPLETE": f"source_{shell}"})


def completed(shell: str, asked: dict[str, str]) -> str:
    return called(asked | {"_DEEPCORRECT_COMPLETE": f"complete_{shell}"})


def called(environment: dict[str, str]) -> str:
    """What the installed command prints with some variables set."""
    script = "import sys; sys.argv[0] = 'deepcorrect'; from deepcorrect.cli import main; main()"
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=os.environ | environment, check=True, capture_output=True, text=True).stdout
