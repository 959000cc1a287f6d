"""Saved files say which version of their format they are of, so that an older deepcorrect never misreads a newer one's.

The first version did not: a file without a number is of that one, and is read as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepcorrect.base.errors import DeepcorrectError

VERSION = 2
"""Counted up when an older deepcorrect would misread what is saved."""
KEY = "deepcorrect_format"


def stamped(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with the version in front."""
    return {KEY: VERSION, **content}


def unstamped(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a file without the version.

    Raises:
        DeepcorrectError: the version is newer than what is known here.
    """
    known = dict(content)
    require_known(path, known.pop(KEY, 1))
    return known


def require_known(path: Path, version: object) -> None:
    """Refuse a file of a newer version.

    Args:
        version: a number, or its digits.

    Raises:
        DeepcorrectError: it is newer, or no number.
    """
    text = str(version)
    if not text.isdecimal() or not int(text):
        raise DeepcorrectError(f"{path}: damaged, its {KEY} is {text[:20]!r} and no version")
    if int(text) > VERSION:
        versions = f"format {int(text)}, known here up to {VERSION}"
        raise DeepcorrectError(f"{path}: made by a newer version of deepcorrect ({versions}): update deepcorrect")
