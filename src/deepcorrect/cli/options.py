"""The options of the commands, each defined once, and the decorator that gives a command those that all share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer


class Precision(StrEnum):
    """Arithmetic of evaluation and ranking."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


class RankingScope(StrEnum):
    """Whether filters are chosen layer by layer or among all."""

    local = "local"
    all_layers = "global"


NETWORK = "A shipped name (allcnn-cifar100), a run folder of train-baseline, file.py:factory, or allcnn, alexnet, smallcnn."

Model = Annotated[str, typer.Argument(help=NETWORK, show_default=False)]
Root = Annotated[Path | None, typer.Option("--root", help="Folder that holds cifar-100-python.")]
Size = Annotated[int | None, typer.Option("--size", min=1, help="Bring a folder's images to this many pixels a side.")]
Grey = Annotated[bool, typer.Option("--grey", help="Read a folder's images with one channel.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out images that cannot be read.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
Out = Annotated[Path | None, typer.Option("--out", help="Run folder; the same command continues it.")]
DistortionName = Annotated[str, typer.Option("--distortion", help="blur, noise, or file.py:name of your own.")]
Levels = Annotated[
    str | None,
    typer.Option("--levels", help="Severities (0.5,1,2) or a ladder: cifar, imagenet, digits. Default: the data's."),
]
Layers = Annotated[str, typer.Option("--layers", help="How many from the input on, names (conv1,conv3), or all.")]
Images = Annotated[int, typer.Option("--images", min=1, help="Images to rank on, drawn evenly over the classes.")]
Share = Annotated[str, typer.Option("--share", help="Of each layer's filters, in (0, 1]; or one a layer: 0.75,0.5.")]
Scope = Annotated[RankingScope, typer.Option("--ranking", help="Choose in each layer by itself, or among all.")]
Unit = Annotated[str, typer.Option("--unit", help="Shape of the correction units: cifar, wide, lite or bottleneck.")]
NoBatchNorm = Annotated[bool, typer.Option("--no-bn", help="Correction units without batch normalisation.")]
RetrainLast = Annotated[int, typer.Option("--retrain-last", min=0, help="Also train the last N layers (paper: 3).")]
RecipeName = Annotated[str, typer.Option("--recipe", help="fast, paper, or a .toml file.")]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Instead of the recipe's.")]
Rate = Annotated[float | None, typer.Option("--rate", help="Learning rate, instead of the recipe's.")]
BatchSize = Annotated[int | None, typer.Option("--batch-size", help="Instead of the recipe's.")]
RankedBy = Annotated[Path | None, typer.Option("--ranked-by", help="Run folder of rank, or its ranking.json, to choose by.")]
Half = Annotated[bool, typer.Option("--half", help="Save weights in half precision, and measure them so.")]
CorrectionName = Annotated[
    str | None,
    typer.Option("--correction", help="A shipped name (deepcorr-3-blur), a file, or a run folder of correct or finetune."),
]


@dataclass(frozen=True)
class Common:
    """What every command on a network and data can be told."""

    data: Annotated[str, typer.Option("--data", help="cifar100, folder:DIR (one sub-folder a class), or digits.")] = "cifar100"
    root: Root = None
    size: Size = None
    grey: Grey = False
    skip_bad: SkipBad = False
    weights: Annotated[Path | None, typer.Option("--weights", help="Safetensors file with the network's weights.")] = None
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**32 - 1, help="Of noise, image choice, initial weights and training.")
    ] = 0
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")] = "auto"
    precision: Annotated[
        Precision,
        typer.Option(
            "--precision",
            help="Of evaluation and ranking, and of training if given. auto: bf16 where the processor has it, else fp32.",
        ),
    ] = Precision.auto
    as_json: Json = False


def with_common_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command that takes ``common: Common`` have its fields as options of its own."""
    hints = get_type_hints(Common, include_extras=True)
    shared = [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name])
        for field in Common.__dataclass_fields__.values()
    ]
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if parameter.name != "common"
    ]

    @wraps(command)
    def run(**given: Any) -> None:
        common = Common(**{parameter.name: given.pop(parameter.name) for parameter in shared})
        command(common=common, **given)

    run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *shared]}
    return run
