"""Docstrings may describe several parameters at once, ``device, precision: of ...``; the reference gives each its own line."""

from __future__ import annotations

import re
from typing import Any

import griffe

SHARED = re.compile(r"^( +)(\w+(?:, \w+)+): (.+(?:\n\1 +.+)*)", re.MULTILINE)


class SharedDescriptions(griffe.Extension):
    """Repeats a shared description for each of its names."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = SHARED.sub(_each, obj.docstring.value)


def _each(match: re.Match[str]) -> str:
    indent, names, text = match.groups()
    return "\n".join(f"{indent}{name}: {text}" for name in names.split(", "))
