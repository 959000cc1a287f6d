"""Names from the user's disk and files, made safe to store and print.

A name may not be valid text (Python represents the bytes of a file name that is not UTF-8 as lone surrogates, which cannot be
encoded), or it may contain characters that move a terminal's cursor. Paths keep their bytes; whatever is stored or printed of
them goes through these functions.
"""

from __future__ import annotations

import re
from typing import Any

_NO_TEXT = re.compile("[\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""They would reverse the text after the name."""


def encodable(text: str) -> str:
    """The text with U+FFFD in place of bytes that were not UTF-8 and of control characters; tabs and line ends stay."""
    return _NO_TEXT.sub("\ufffd", text)


def readable(name: str) -> str:
    """The name on one line, safe to print, with single spaces in place of all white space."""
    return _DIRECTIONS.sub("\ufffd", encodable(" ".join(name.split())))


def encodable_json(content: Any) -> Any:
    """A value that JSON can hold, with its texts and keys made encodable."""
    if isinstance(content, str):
        return encodable(content)
    if isinstance(content, dict):
        return {encodable(name): encodable_json(value) for name, value in content.items()}
    return [encodable_json(value) for value in content] if isinstance(content, list) else content
