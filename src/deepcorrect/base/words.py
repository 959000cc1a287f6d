"""How messages name what a caller gives: an argument in Python, an option on the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_NO_VALUE = object()
_options = False


def argument(name: str, value: object = _NO_VALUE, *, option: str | None = None) -> str:
    """``share=1.5`` or ``share`` to a caller in Python; ``--share 1.5`` or ``--share`` to one on the command line.

    Args:
        name: as in Python, with underscores; the option has dashes in their place.
        value: as it was given; without it the name stands alone. An option is a flag where it is True.
        option: its name without the dashes in front, where it is called otherwise than the argument.
    """
    if not _options:
        return name if value is _NO_VALUE else f"{name}={_in_python(value)}"
    flag = f"--{option or name.replace('_', '-')}"
    return flag if value is _NO_VALUE or value is True else f"{flag} {_as_typed(value)}"


def phrase(*, python: str, command_line: str) -> str:
    """Of two phrases the one for this caller, where more than a name differs."""
    return command_line if _options else python


def names_options() -> bool:
    """Whether messages name options at present; a process that is started afresh does not know it of itself."""
    return _options


@contextmanager
def speaking_of_options() -> Iterator[None]:
    """Inside the context messages name options: the caller is the command line."""
    before = _options
    set_options_named(True)
    try:
        yield
    finally:
        set_options_named(before)


def set_options_named(whether: bool) -> None:
    """From here on messages name options, or arguments."""
    global _options
    _options = whether


def _in_python(value: object) -> str:
    return repr(os.fspath(value)) if isinstance(value, os.PathLike) else repr(value)


def _as_typed(value: object) -> str:
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
