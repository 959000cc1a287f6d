"""The command line that runs a command again: its name, its arguments, and the options that differ from their defaults."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from enum import Enum
from typing import Any

from typer.models import ArgumentInfo, OptionInfo

current: ContextVar[str | None] = ContextVar("current", default=None)
"""The command line of the command that is running."""


def command_line(command: str, parameters: Iterable[inspect.Parameter], given: Mapping[str, Any]) -> str:
    """A command as a user would type it.

    Args:
        command: the name of the command.
        parameters: of the command, annotated for typer.
        given: the values of the parameters by name.
    """
    words = ["deepcorrect", command]
    options: list[str] = []
    for parameter in parameters:
        value, info = given[parameter.name], declaration(parameter)
        if isinstance(info, ArgumentInfo):
            words.append(str(value))
        elif value != parameter.default:
            name = str(info.default)  # where typer keeps the first name that an annotation gives
            options += [name] if value is True else [name, str(value.value if isinstance(value, Enum) else value)]
    return shlex.join(words + options)


def declaration(parameter: inspect.Parameter) -> ArgumentInfo | OptionInfo:
    """What a parameter's annotation declares for typer."""
    declared: ArgumentInfo | OptionInfo = next(
        info for info in parameter.annotation.__metadata__ if isinstance(info, ArgumentInfo | OptionInfo)
    )
    return declared
