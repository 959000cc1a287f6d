"""The application that the commands register with."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Find the filters of a convolutional network that blur and noise ruin, and repair just those (DeepCorrect).",
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"deepcorrect {version('deepcorrect')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and exit.")
    ] = False,
) -> None:
    pass
