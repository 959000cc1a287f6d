"""The rooms of the package and what each may import (docs/architecture.md)."""

from __future__ import annotations

import ast
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
