"""The rooms of the package and what each may import (docs/architecture.md)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import deepcorrect

HOUSE = Path(deepcorrect.__file__).parent
MODULES = {
    ".".join(file.relative_to(HOUSE).with_suffix("").parts).removesuffix(".__init__"): file for file in HOUSE.rglob("*.py")
}
ROOMS = [
    "base", "tasks", "datasets", "distortions", "models", "swapping", "adapters", "evaluation", "ranking", "training", "runs",
    "pipeline", "report", "app", "cli",
]  # fmt: skip
"""A room imports only from rooms in front of it."""
ONLY = {"tasks": {"base"}, "report": {"base", "runs"}}
"""What some import and nothing else."""
NEVER = {"ranking": {"adapters"}, "training": {"ranking"}}
LONGEST = 300
"""Lines of a file."""
ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
SOURCES = [
    file
    for folder in ("src", "tests", "experiments", "benchmarks", "examples", "docs")
    for file in (ROOT / folder).rglob("*.py")
]


def imports(file: Path) -> Iterator[str]:
    """The modules of the package that a file imports, anywhere in it, without the package's own name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.removeprefix("deepcorrect.") for name in node.names if name.name.startswith("deepcorrect."))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            package, _, module = (node.module or "").partition(".")
            if package == "deepcorrect":
                for name in node.names:
                    inner = f"{module}.{name.name}".removeprefix(".")
                    yield inner if inner in MODULES else module


def table() -> dict[str, str]:
    """The rooms of the architecture page in their order, each with what is said of it."""
    rows: list[tuple[str, str]] = re.findall(
        r"^\| `(\w+)(?:/|\.py)` \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    return dict(rows)


FILES = {
    room: [HOUSE / f"{room}.py"] if (HOUSE / f"{room}.py").is_file() else sorted((HOUSE / room).rglob("*.py")) for room in ROOMS
}


def test_every_module_is_in_a_room() -> None:
    known = {file for files in FILES.values() for file in files}
    assert set(HOUSE.rglob("*.py")) - known == {HOUSE / "__init__.py"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    allowed = ONLY.get(room, set(ROOMS[: ROOMS.index(room)]) - NEVER.get(room, set())) | {room}
    wrong = {
        f"{file.relative_to(HOUSE)} imports {module}"
        for file in FILES[room]
        for module in imports(file)
        if module.partition(".")[0] not in allowed
    }
    assert not wrong


def test_no_module_needs_itself() -> None:
    """Round trips of imports, those inside functions and for type checkers included, have no order to be read in."""
    needs = {name: {module for module in imports(file) if module not in (name, "")} for name, file in MODULES.items()}
    TopologicalSorter(needs).prepare()


@pytest.mark.parametrize("room", [room for room in ROOMS if room not in ("pipeline", "app", "cli")])
def test_only_the_pipeline_takes_a_job(room: str) -> None:
    takers = {
        f"{file.relative_to(HOUSE)}: {node.name}"
        for file in FILES[room]
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        for argument in ast.walk(node.args)
        if isinstance(argument, ast.arg) and argument.annotation is not None
        if "Job" in re.findall(r"\w+", ast.unparse(argument.annotation))
    }
    assert not takers


def test_no_file_is_longer_than_300_lines() -> None:
    lengths = {file.relative_to(ROOT): len(file.read_text(encoding="utf-8").splitlines()) for file in SOURCES}
    assert len(lengths) > 200
    assert not {file: lines for file, lines in lengths.items() if lines > LONGEST}


def test_the_architecture_page_has_the_rooms_in_their_order() -> None:
    assert list(table()) == ROOMS


@pytest.mark.parametrize("room", [room for room in ROOMS if FILES[room]])
def test_the_architecture_page_names_modules_that_exist(room: str) -> None:
    named = re.findall(r"`([a-z]\w*)`", table()[room])
    known = {part for file in FILES[room] for part in (file.stem, file.parent.name)}
    assert set(named) <= known
