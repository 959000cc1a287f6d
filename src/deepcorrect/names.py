"""Names as the user's disk and files have them, made fit to be shown.

A name may be no text at all (a folder's that is not UTF-8: Python holds its bytes as lone surrogates, which no encoding takes),
or move the cursor of a terminal. Paths keep their bytes; what is stored and shown of them goes through here.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

_SURROGATES = re.compile("[\ud800-\udfff]")
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""They would turn what stands behind the name."""


def encodable(text: str) -> str:
    """A text in which a replacement character stands for every byte that was none of UTF-8."""
    return _SURROGATES.sub("\ufffd", text)


def readable(name: str) -> str:
    """A name on one line: white space as single spaces, nothing that controls a terminal."""
    shown = _DIRECTIONS.sub("\ufffd", encodable(" ".join(name.split())))
    return "".join("\ufffd" if unicodedata.category(letter) == "Cc" else letter for letter in shown)


def encodable_json(content: Any) -> Any:
    """What JSON holds, its texts and keys made encodable."""
    if isinstance(content, str):
        return encodable(content)
    if isinstance(content, dict):
        return {encodable(name): encodable_json(value) for name, value in content.items()}
    return [encodable_json(value) for value in content] if isinstance(content, list) else content
