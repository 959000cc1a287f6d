"""Every command and code block of the documentation runs, page after page in one folder.

Blocks of ``bash`` are run line by line, those of ``python`` as they stand, after the blocks before them on their page; one with
a title is written to that file. ``text`` is not run: what needs the web, several GPUs or several machines. Blocks on CIFAR-100
are skipped without its files.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from docs.hooks import command_line
from markdown_it import MarkdownIt

import deepcorrect
from deepcorrect import get_distortion
from deepcorrect.cli import app

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = (
    "index",
    "getting-started",
    "method",
    "corruptions",
    "how-to/own-dataloader",
    "how-to/own-network",
    "how-to/own-distortion",
    "how-to/own-data",
    "how-to/gate",
    "how-to/no-labels",
    "how-to/robustness",
    "how-to/one-for-many",
    "how-to/reading-the-report",
    "how-to/try-an-image",
    "how-to/many-gpus",
    "reference/command-line",
    "reference/python",
    "corruptions-differences",
    "results",
    "caltech",
    "photographs",
    "benchmarks",
    "architecture",
)
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
Block = tuple[str, str]
"""Its language, with a title if it has one, and its text."""


def blocks(page: str) -> list[Block]:
    tokens = MarkdownIt().parse((DOCS / f"{page}.md").read_text())
    return [(token.info, token.content) for token in tokens if token.type in ("fence", "code_block")]


def needs_cifar(block: Block) -> bool:
    return block[0] == "bash" and "cifar100" in block[1] and "experiments" not in block[1]


def run_block(block: Block, names: dict[str, Any]) -> None:
    """Run a block of a page in the current folder; ``names`` are those of the page's Python."""
    language, _, title = block[0].partition(" ")
    if title:
        Path(title.removeprefix('title="').removesuffix('"')).write_text(block[1])
    elif language == "python":
        exec(block[1], names)
    elif language == "bash":
        for line in whole_lines(block[1]):
            run_line(line)


def whole_lines(text: str) -> list[str]:
    """Commands, those broken by a backslash put together."""
    return text.replace("\\\n", " ").splitlines()


def run_line(line: str) -> None:
    """Run a command as a shell does; our own in this process, as torch takes seconds to import."""
    words = shlex.split(line, comments=True)
    if words[:1] == ["deepcorrect"]:
        assert not app(words[1:], standalone_mode=False)
        return
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    modules = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    subprocess.run(["bash", "-euc", line], check=True, env=os.environ | {"PATH": path, "PYTHONPATH": modules})


@pytest.fixture(scope="module")
def run_page(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Runs a page after all before it, each once, and returns the folder."""
    folder = tmp_path_factory.mktemp("docs")
    left = list(PAGES)

    def run(page: str) -> Path:
        with contextlib.chdir(folder):
            while page in left:
                names: dict[str, Any] = {}
                for block in blocks(left.pop(0)):
                    if not needs_cifar(block):
                        run_block(block, names)
        return folder

    return run


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_runs(page: str, run_page: Callable[[str], Path]) -> None:
    run_page(page)


def test_blocks_on_cifar100_run(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").symlink_to(data_root.resolve())
    monkeypatch.chdir(tmp_path)
    waiting = [block for page in PAGES for block in blocks(page) if needs_cifar(block)]
    assert len(waiting) == 2
    for block in waiting:
        run_block(block, {})


def test_pages_show_blocks_that_are_run_or_plain_text() -> None:
    assert sorted(PAGES) == sorted(file.relative_to(DOCS).with_suffix("").as_posix() for file in DOCS.rglob("*.md"))
    for page in PAGES:
        for language, content in blocks(page):
            name, _, title = language.partition(" ")
            assert name in ("bash", "python", "text"), f"{page}: {content}"
            assert not title or (name == "python" and title.startswith('title="')), f"{page}: {language}"


def test_a_block_that_errs_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block, error in (
        (("bash", "deepcorrect data folder:nowhere"), "nowhere: no such folder"),
        (("bash", "false"), "non-zero exit status 1"),
        (("python", "1 / 0"), "division by zero"),
    ):
        with pytest.raises(Exception, match=error):
            run_block(block, {})


def test_what_is_not_run_on_the_pages_parses() -> None:
    """Examples of the commands' help, which the reference shows, and the commands in plain text."""
    shown = [command.help.partition("Example: ")[2] for command in COMMANDS.values()]
    lines = [line for page in PAGES for language, text in blocks(page) if language == "text" for line in whole_lines(text)]
    shown += [
        line.replace("...", "allcnn-cifar100")
        for line in lines
        if "deepcorrect" in line.replace("deepcorrect.cli", "deepcorrect").split()
    ]
    assert len(shown) > len(COMMANDS)
    for line in shown:
        words = line.replace("-m deepcorrect.cli", "deepcorrect").split()
        name, *options = words[words.index("deepcorrect") + 1 :]
        COMMANDS[name].make_context(name, options)


def test_the_haze_is_haze(run_page: Callable[[str], Path]) -> None:
    haze = get_distortion(f"{run_page('how-to/own-distortion') / 'haze.py'}:haze")
    assert haze.levels("cifar") == (0.2, 0.4, 0.6)
    assert torch.allclose(haze.at(torch.zeros(1, 3, 2, 2), 0.2, torch.tensor([0]), seed=0), torch.tensor(0.2))


def test_the_python_reference_has_every_public_name() -> None:
    shown = (DOCS / "reference" / "python.md").read_text().splitlines()
    homes = {name: getattr(deepcorrect, name).__module__ for name in deepcorrect.__all__}
    assert {f"::: {home}.{name}" for name, home in homes.items()} <= set(shown)


def test_the_reference_of_the_command_line_has_every_command_and_option() -> None:
    sections = {text.partition("\n")[0]: text for text in command_line.reference().split("## ")}
    for name, command in COMMANDS.items():
        own = sections[name]
        shared = [
            text for heading, text in sections.items() if f"[{heading.lower()}](#{heading.lower().replace(' ', '-')})" in own
        ]
        for option in command.params:
            (section,) = [text for text in (own, *shared) if option.help in text]
            assert option.opts[0] in section or option.name.upper() in section


def test_the_changelog_tells_where_modules_are() -> None:
    rows = re.findall(r"^\| (`.+) \| (.+) \|$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert len(rows) > 60
    for old, new in rows:
        modules = [name for name in re.findall(r"`([a-z_.0-9]+)`", new) if "." in name]
        assert modules or new.startswith("the same"), old
        assert all(find_spec(f"deepcorrect.{module}") for module in modules), new


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_links_to_files_of_the_project_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", (ROOT / name).read_text())
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]
