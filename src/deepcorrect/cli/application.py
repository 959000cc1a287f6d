"""The application that the commands register with."""

from __future__ import annotations

from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from deepcorrect.cli.panels import OUTPUT

METHOD, RESULTS, PREPARATION, MORE = "Find and repair", "Look at results", "Prepare networks and data", "More"
"""The panels of the overview."""


class Overview(TyperGroup):
    """The commands, panel after panel."""

    def list_commands(self, ctx: Any) -> list[str]:
        order, commands = (METHOD, RESULTS, PREPARATION, MORE), cast(dict[str, Any], self.commands)
        return sorted(super().list_commands(ctx), key=lambda name: order.index(commands[name].rich_help_panel))


class Command(TyperCommand):
    """A command that lists its own --help last, among the options for output."""

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)
        if option is not None:
            option.rich_help_panel = OUTPUT
            option.metavar = ""
        return option


app = typer.Typer(
    cls=Overview,
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
        bool, typer.Option("--version", metavar="", is_eager=True, callback=_show_version, help="Print the version and exit.")
    ] = False,
) -> None:
    pass
