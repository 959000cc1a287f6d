"""Writes the reference of the command line from the commands themselves, as the site is built."""

from __future__ import annotations

import re
import textwrap
from dataclasses import fields
from enum import Enum
from typing import Any

import typer

from deepcorrect.cli import app
from deepcorrect.cli.groups import Common, Images, Ranked, Training

PAGE = "reference/command-line.md"
GROUPS = {
    "Image": [field.name for field in fields(Images)],
    "Network and machine": [field.name for field in fields(Common) if field not in fields(Images)],
    "Ranking": [field.name for field in fields(Ranked)],
    "Training": [field.name for field in fields(Training)],
}
"""Options that several commands share."""


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str | None:
    """Put the reference behind the page's own text."""
    return f"{markdown}\n\n{reference()}" if page.file.src_uri == PAGE else None


def reference() -> str:
    """A section for each command and for each group of options."""
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    known = {option.name: option for command in commands.values() for option in command.params}
    parts = [_command(name, command) for name, command in commands.items()]
    parts += [f"## {group} options\n\n{_table([known[name] for name in names])}" for group, names in GROUPS.items()]
    return "\n\n".join(parts)


def _command(name: str, command: Any) -> str:
    text, _, example = command.help.partition("Example: ")
    taken = {option.name: option for option in command.params}
    groups = [group for group, names in GROUPS.items() if taken.keys() >= set(names)]
    shared = {name for group in groups for name in GROUPS[group]}
    parts = [f"## {name}", text.strip(), f"```text\n{_broken(example)}\n```"]
    parts.append(_table([option for option in command.params if option.name not in shared]))
    if groups:
        links = [f"[{group.lower()} options](#{_anchor(group)})" for group in groups]
        parts.append(f"Also: {', '.join(links)}.")
    return "\n\n".join(parts)


def _broken(command: str) -> str:
    """A command on as many lines as it needs, an option's value beside it."""
    joined = re.sub(r"(--\S+) (?!--)", "\\1\N{NO-BREAK SPACE}", command.strip())
    lines = textwrap.wrap(joined, 72, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False)
    return " \\\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")


def _anchor(group: str) -> str:
    return f"{group.lower().replace(' ', '-')}-options"


def _table(options: list[Any]) -> str:
    rows = ["| | | default |", "| --- | --- | --- |"]
    for option in options:
        name = option.opts[0] if option.opts[0].startswith("-") else option.name.upper()
        default = option.default.value if isinstance(option.default, Enum) else option.default
        shown = "required" if option.required else "" if default is None or default is False else f"`{default}`"
        rows.append(f"| `{name}` | {option.help} | {shown} |")
    return "\n".join(rows)
