"""The command line: thin commands over ``deepcorrect.pipeline.correct``. Heavy modules are imported when a command runs."""

from __future__ import annotations

import errno
import sys
from io import TextIOWrapper
from typing import Any

import typer

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import speaking_of_options
from deepcorrect.cli import commands, evaluating, gating, networks, viewing  # noqa: F401  they register their commands
from deepcorrect.cli.application import app

__all__ = ["app", "main"]

# the base of all errors of options that do not parse; typer has no public name for it
_UsageError: type[Any] = typer.BadParameter.__mro__[2]


def main() -> None:
    """Run the command line; a mistake of the user's is one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name that the terminal cannot show is no reason to fail
    try:
        with speaking_of_options():
            sys.exit(app(sys.argv[1:] or ["--help"], standalone_mode=False))
    except DeepcorrectError as error:
        _fail(str(error))
    except _UsageError as error:
        _fail(f"{error.format_message()} (see --help)")
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        _fail(f"{error.filename or 'the disk'}: {error.strerror}")


def _fail(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
