"""The application that the commands register with."""

from __future__ import annotations

import typer

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Find the filters of a convolutional network that blur and noise ruin, and repair just those (DeepCorrect).",
)
