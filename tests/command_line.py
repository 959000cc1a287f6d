"""Commands run in this process."""

from __future__ import annotations

import sys

import pytest

from deepcorrect import cli

QUICK = ["--data", "digits", "--epochs", "2", "--batch-size", "64", "--device", "cpu", "--precision", "fp32"]


Output = tuple[int, str, str]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Output:
    """Exit code, standard output and standard error of ``deepcorrect ARGUMENTS``."""
    code = 0
    old, sys.argv = sys.argv, ["deepcorrect", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.argv = old
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def one_line(error: str) -> str:
    """The message, checked to be a single line that begins as one."""
    lines = [line for line in error.strip().splitlines() if line]
    assert len(lines) == 1, error
    assert lines[0].startswith("error: ")
    return lines[0]
