"""How messages name what a caller gives: an argument in Python, an option on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_NOTHING = object()
_options = False


def argument(name: str, value: object = _NOTHING) -> str:
    """``share=1.5`` or ``share`` to a caller in Python; ``--share 1.5`` or ``--share`` to one on the command line.

    Args:
        name: as in Python, with underscores; the option has dashes in their place.
        value: as it was given; without it the name stands alone.
    """
    if _options:
        option = f"--{name.replace('_', '-')}"
        return option if value is _NOTHING else f"{option} {value}"
    return name if value is _NOTHING else f"{name}={value!r}"


@contextmanager
def speaking_of_options() -> Iterator[None]:
    """Inside the context messages name options: the caller is the command line."""
    global _options
    before, _options = _options, True
    try:
        yield
    finally:
        _options = before
