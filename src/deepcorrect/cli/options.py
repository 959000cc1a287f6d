"""The options of the commands, each defined once, and the decorator that gives a command whole groups of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, cast, get_type_hints

import typer

from deepcorrect.cli import invocation


class Precision(StrEnum):
    """Arithmetic of evaluation and ranking."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


class RankingScope(StrEnum):
    """Whether filters are chosen layer by layer, among all, or at random for comparison."""

    local = "local"
    all_layers = "global"
    random = "random"


class Method(StrEnum):
    """How priorities are found."""

    exact = "exact"
    attribution = "attribution"
    joint = "joint"


class Score(StrEnum):
    """What a filter's swap is to gain."""

    top1 = "top1"
    probability = "probability"
    margin = "margin"


class Layout(StrEnum):
    """Whose weights are converted."""

    caffe = "caffe"
    theano = "theano"
    tensorflow = "tensorflow"


NETWORK = (
    "A shipped name (allcnn-cifar100), a run folder of train-baseline, torchvision:NAME, timm:NAME, hf:NAME, file.py:factory, "
    "a program of torch.export (file.pt2, trusted like a Python file), or allcnn, alexnet, smallcnn."
)

DATA = (
    "cifar100, digits, hf:NAME, folder:DIR (one sub-folder a class, inside train, val and test or not), or as distributed: "
    "caltech101:DIR, caltech256:DIR, sun397:DIR."
)

Model = Annotated[str, typer.Argument(help=NETWORK, show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
Out = Annotated[Path | None, typer.Option("--out", help="Run folder; the same command continues it.")]
DistortionName = Annotated[str, typer.Option("--distortion", help="blur, noise, or file.py:name of your own.")]
Levels = Annotated[
    str | None,
    typer.Option("--levels", help="Severities (0.5,1,2) or a ladder: cifar, imagenet, digits. Default: the data's."),
]
Layers = Annotated[str, typer.Option("--layers", help="How many from the input on, names (conv1,conv3), or all.")]
Share = Annotated[str, typer.Option("--share", help="Of each layer's filters, in (0, 1]; or one a layer: 0.75,0.5.")]
Ideal = Annotated[
    str | None,
    typer.Option(
        "--ideal", help="Also measure what perfect corrections of these shares of each layer would give: 0.1,0.25,0.5."
    ),
]
Scope = Annotated[
    RankingScope, typer.Option("--ranking", help="Choose in each layer by itself, among all, or at random by --seed.")
]
Unit = Annotated[str, typer.Option("--unit", help="Shape of the correction units: cifar, wide, lite or bottleneck.")]
NoBatchNorm = Annotated[bool, typer.Option("--no-bn", help="Correction units without batch normalisation.")]
RetrainLast = Annotated[int, typer.Option("--retrain-last", min=0, help="Also train the last N layers (paper: 3).")]
RankedBy = Annotated[Path | None, typer.Option("--ranked-by", help="Run folder of rank, or its ranking.json, to choose by.")]
Restore = Annotated[
    str | None, typer.Option("--restore", help="Restore distorted images first: bm3d for noise, wiener for blur.")
]
CorrectionName = Annotated[
    str | None,
    typer.Option("--correction", help="A shipped name (deepcorr-6-blur), a file, or a run folder of correct or finetune."),
]

Corrections = Annotated[
    str | None,
    typer.Option("--correction", help="As for evaluate; several separated by commas, each against its own distortion."),
]
FeatureLayer = Annotated[
    str | None,
    typer.Option(
        "--layer",
        help="Convolution or dense layer whose input is the features, maps averaged over their positions. Default: the last.",
    ),
]


@dataclass(frozen=True)
class Images:
    """How every command on data can be told to read it."""

    root: Annotated[Path | None, typer.Option("--root", help="Folder that holds cifar-100-python.")] = None
    size: Annotated[
        int | None,
        typer.Option("--size", min=1, help="Pixels a side to bring images to. Default: the network's own."),
    ] = None
    grey: Annotated[bool, typer.Option("--grey", help="Read images with one channel.")] = False
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out images that cannot be read.")] = False
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="Images a class to use at most, of each of training, validation and test."),
    ] = None
    split: Annotated[
        str | None,
        typer.Option("--split", help="Images of each class to train and to validate on: 25,5. The rest is for testing."),
    ] = None
    split_seed: Annotated[int, typer.Option("--split-seed", min=0, help="Of --split.")] = 0
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that decode images. Default: one a core.")
    ] = None


@dataclass(frozen=True)
class Common(Images):
    """What every command on a network and data can be told."""

    data: Annotated[str, typer.Option("--data", help=DATA)] = "cifar100"
    classes: Annotated[
        Path | None,
        typer.Option(
            "--classes", help="Names of the network's outputs, one a line or JSON, where the data has some of its classes."
        ),
    ] = None
    weights: Annotated[
        Path | None, typer.Option("--weights", help="File of the network's state dict: safetensors, or torch.save's.")
    ] = None
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


@dataclass(frozen=True)
class Ranked:
    """How every command that ranks can be told to do so."""

    images: Annotated[int, typer.Option("--images", min=1, help="Images to rank on, drawn evenly over the classes.")] = 1000
    method: Annotated[
        Method,
        typer.Option("--method", help="Every swap measured, estimated from gradients, or chosen with those before swapped."),
    ] = Method.exact
    score: Annotated[
        Score | None, typer.Option("--score", help="What is to be gained. Default: top1 if exact, else probability.")
    ] = None
    steps: Annotated[int, typer.Option("--steps", min=1, help="Of attribution: gradients from distorted to clean.")] = 1
    verify: Annotated[int, typer.Option("--verify", min=0, help="Of attribution: filters around the cut to measure.")] = 0
    block: Annotated[int, typer.Option("--block", min=1, help="Of joint: filters that are chosen at once.")] = 8
    memory: Annotated[float | None, typer.Option("--memory", min=0.001, help="Of a pass, in GB.")] = None


@dataclass(frozen=True)
class Training:
    """What every command that trains can be told."""

    recipe: Annotated[
        str, typer.Option("--recipe", help="fast, paper or a .toml file; for corrections also long and imagenet.")
    ] = "fast"
    epochs: Annotated[int | None, typer.Option("--epochs", help="Instead of the recipe's.")] = None
    rate: Annotated[float | None, typer.Option("--rate", help="Learning rate, instead of the recipe's.")] = None
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="Instead of the recipe's.")] = None
    half: Annotated[bool, typer.Option("--half", help="Save weights in half precision, and measure them so.")] = False


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command that takes groups of options (the dataclasses above) have their fields as options of its own."""
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type[Any]] = {}
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if not is_dataclass(parameter.annotation):
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        groups[parameter.name] = cast(type[Any], parameter.annotation)
        hints = get_type_hints(parameter.annotation, include_extras=True)
        parameters += [
            inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name])
            for field in fields(parameter.annotation)
        ]

    @wraps(command)
    def run(**given: Any) -> None:
        invocation.current.set(invocation.command_line(command.__name__.replace("_", "-"), parameters, given))
        gathered = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)}) for name, group in groups.items()
        }
        command(**gathered, **given)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
