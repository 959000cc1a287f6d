"""The Python of CONTRIBUTING.md runs as it stands, and the commands there name what exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from deepcorrect.datasets.layouts import LAYOUTS
from deepcorrect.distortions import registry
from deepcorrect.models.libraries import LIBRARIES

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The current folder, with photographs of two birds; what a block registers is gone after the test."""
    for bird in ("001.Albatross", "002.Auk"):
        (tmp_path / "nature" / "images" / bird).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (8, 8), (20 * number, 0, 0)).save(tmp_path / "nature" / "images" / bird / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    tables: tuple[dict[str, Any], ...] = (LAYOUTS, LIBRARIES, registry._REGISTRY)
    before = [dict(table) for table in tables]
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)


@pytest.mark.parametrize("number", range(len(PYTHON)))
@pytest.mark.usefixtures("folder")
def test_a_block_of_python_runs(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    exec(PYTHON[number], {})
    if "birds" in PYTHON[number]:
        assert capsys.readouterr().out == "('Albatross', 'Auk') 14 4\n"


def test_commands_name_targets_and_files_that_exist() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    lines = [line for language, text in BLOCKS if language == "bash" for line in text.splitlines()]
    for line in lines:
        words = line.split()
        if words[0] == "make":
            assert words[1] in targets
        else:
            assert words[:3] == [".venv/bin/python", "-m", "pytest"]
            assert (ROOT / words[3]).is_file()
    assert len(lines) == 7


def test_links_and_files_named_in_the_text_exist() -> None:
    text = re.sub(r"```.*?```", "", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    files = re.findall(r"`(?:\w+/)+\w+\.\w+`", text)
    assert len(links) >= 4
    assert len(files) > 8
    for link in links:
        assert (ROOT / link).exists(), link
    for name in (file.strip("`") for file in files):
        assert (ROOT / name).exists() or (ROOT / "src" / "deepcorrect" / name).exists(), name
