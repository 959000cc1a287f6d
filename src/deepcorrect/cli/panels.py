"""The panels of a command's help, and how an option is declared in each."""

from __future__ import annotations

from functools import partial

import typer

DATA, NETWORK, DISTORTION, CORRECTION = "Data", "Network", "Distortion", "Layers and correction"
RANKING, TRAINING, MACHINE, OUTPUT = "Ranking", "Training", "Machine and seed", "Output"
PANELS = (DATA, NETWORK, DISTORTION, CORRECTION, RANKING, TRAINING, MACHINE, OUTPUT)
"""In the order in which their options are needed."""

data = partial(typer.Option, rich_help_panel=DATA)
network = partial(typer.Option, rich_help_panel=NETWORK)
distortion = partial(typer.Option, rich_help_panel=DISTORTION)
correction = partial(typer.Option, rich_help_panel=CORRECTION)
ranking = partial(typer.Option, rich_help_panel=RANKING)
training = partial(typer.Option, rich_help_panel=TRAINING)
machine = partial(typer.Option, rich_help_panel=MACHINE)
output = partial(typer.Option, rich_help_panel=OUTPUT)
