"""The names of the package."""

from __future__ import annotations

import ast
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import deepcorrect
from tests.command_line import run


def test_every_name_is_there_and_listed() -> None:
    assert set(deepcorrect.__all__) <= set(dir(deepcorrect))
    for name in deepcorrect.__all__:
        assert getattr(deepcorrect, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'deepcorrect' has no attribute 'corect'"):
        deepcorrect.corect  # type: ignore[attr-defined]  # noqa: B018


def test_a_type_checker_is_shown_the_names_that_are_there() -> None:
    (checked,) = [node for node in ast.parse(Path(deepcorrect.__file__).read_text()).body if isinstance(node, ast.If)]
    shown = {alias.asname: node.module for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert sorted(map(str, shown)) == deepcorrect.__all__
    for name, module in shown.items():
        assert getattr(import_module(str(module)), str(name)) is getattr(deepcorrect, str(name))


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"deepcorrect {version('deepcorrect')}\n", "")
