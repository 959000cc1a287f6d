"""Names as the user's disk and files have them, made fit to be shown.

A name may be no text at all (a folder's that is not UTF-8: Python holds its bytes as lone surrogates, which no encoding takes),
or move the cursor of a terminal. Paths keep their bytes; what is stored and shown of them goes through here.
"""

from __future__ import annotations

import re
from typing import Any

_NO_TEXT = re.compile("[\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""They would turn what stands behind the name."""


def encodable(text: str) -> str:
    """A text in which replacement characters stand for bytes that were none of UTF-8, and for what controls a terminal."""
    return _NO_TEXT.sub("\ufffd", text)


def readable(name: str) -> str:
    """A name on one line, encodable, with single spaces for any white space."""
    return _DIRECTIONS.sub("\ufffd", encodable(" ".join(name.split())))


def encodable_json(content: Any) -> Any:
    """What JSON holds, its texts and keys made encodable."""
    if isinstance(content, str):
        return encodable(content)
    if isinstance(content, dict):
        return {encodable(name): encodable_json(value) for name, value in content.items()}
    return [encodable_json(value) for value in content] if isinstance(content, list) else content
