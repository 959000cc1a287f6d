"""Groups of options that several commands take, and the decorator by which a command takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, cast, get_type_hints

from deepcorrect.cli import invocation, panels
from deepcorrect.cli.options import DATA_SPECS, Half, Json, Method, Precision, Score


@dataclass(frozen=True)
class Source:
    """Where images come from."""

    data: Annotated[str | None, panels.data("--data", metavar="DATA", help=f"{DATA_SPECS} Default: cifar100.")] = None

    @property
    def spec(self) -> str:
        """The data that are asked for, or the default ones."""
        return self.data or "cifar100"


@dataclass(frozen=True)
class Images:
    """How to read images."""

    root: Annotated[Path | None, panels.data("--root", metavar="FOLDER", help="The folder that contains cifar-100-python.")] = (
        None
    )
    size: Annotated[
        int | None,
        panels.data("--size", metavar="N", min=1, help="Bring images to N pixels a side. Default: what the network expects."),
    ] = None
    grey: Annotated[bool, panels.data("--grey", metavar="", help="Read images with one channel (greyscale).")] = False
    skip_bad: Annotated[bool, panels.data("--skip-bad", metavar="", help="Leave out images that cannot be read.")] = False
    limit: Annotated[
        int | None,
        panels.data(
            "--limit", metavar="N", min=1, help="At most N images of each class in each of training, validation and test."
        ),
    ] = None
    split: Annotated[
        str | None,
        panels.data(
            "--split", metavar="N,N", help="Images of each class to train and to validate on: 25,5. The rest is for testing."
        ),
    ] = None
    split_seed: Annotated[int, panels.data("--split-seed", metavar="N", min=0, help="Seed of --split.")] = 0
    workers: Annotated[
        int | None, panels.data("--workers", metavar="N", min=0, help="Processes that decode images. Default: one per core.")
    ] = None


@dataclass(frozen=True)
class Common(Images, Source):
    """What every command on a network and data takes."""

    classes: Annotated[
        Path | None,
        panels.network(
            "--classes",
            metavar="FILE",
            help="Names of the network's outputs, one a line or JSON, for data with only some of its classes.",
        ),
    ] = None
    weights: Annotated[
        Path | None,
        panels.network("--weights", metavar="FILE", help="The network's state dict: safetensors, or saved by torch.save."),
    ] = None
    seed: Annotated[
        int,
        panels.machine(
            "--seed", metavar="N", min=0, max=2**32 - 1, help="Seed of noise, choice of images, initial weights and training."
        ),
    ] = 0
    device: Annotated[str, panels.machine("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")] = "auto"
    precision: Annotated[
        Precision,
        panels.machine(
            "--precision",
            help="Of evaluation and ranking; if given, of training too. auto: bf16 where the processor supports it, else fp32.",
        ),
    ] = Precision.auto
    as_json: Json = False


@dataclass(frozen=True)
class Ranked:
    """How to rank filters."""

    images: Annotated[
        int, panels.ranking("--images", metavar="N", min=1, help="Images to rank on, drawn evenly from the classes.")
    ] = 1000
    method: Annotated[
        Method,
        panels.ranking(
            "--method",
            help="exact: measure the swap of every filter. attribution: estimate from gradients. joint: choose one block after "
            "another, with all before it swapped.",
        ),
    ] = Method.exact
    score: Annotated[
        Score | None,
        panels.ranking("--score", help="What the swap of a filter is to gain. Default: top1 if exact, else probability."),
    ] = None
    steps: Annotated[
        int,
        panels.ranking("--steps", metavar="N", min=1, help="For attribution: gradients at N points from distorted to clean."),
    ] = 1
    verify: Annotated[
        int, panels.ranking("--verify", metavar="N", min=0, help="For attribution: measure the N filters around the cut.")
    ] = 0
    block: Annotated[int, panels.ranking("--block", metavar="N", min=1, help="For joint: choose N filters at once.")] = 8
    memory: Annotated[
        float | None,
        panels.ranking(
            "--memory",
            metavar="GB",
            min=0.001,
            help="Memory for a pass. Default: half of what a GPU has free; 0.08 on a CPU.",
        ),
    ] = None


@dataclass(frozen=True)
class Training:
    """How to train."""

    recipe: Annotated[
        str,
        panels.training(
            "--recipe",
            metavar="NAME",
            help="fast, paper or a .toml file; for corrections and fine-tuning also long and imagenet.",
        ),
    ] = "fast"
    epochs: Annotated[int | None, panels.training("--epochs", metavar="N", help="Number of epochs. Default: the recipe's.")] = (
        None
    )
    rate: Annotated[float | None, panels.training("--rate", metavar="RATE", help="Learning rate. Default: the recipe's.")] = (
        None
    )
    batch_size: Annotated[
        int | None, panels.training("--batch-size", metavar="N", help="Images in a batch. Default: the recipe's.")
    ] = None
    half: Half = False


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command that takes groups of options have their fields as options of its own.

    The options are in the order of their panels in the help; what arguments there are comes first.
    """
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

    shown = sorted(parameters, key=_place)
    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return run


def _place(parameter: inspect.Parameter) -> int:
    """The position of an option's panel; arguments, which have none, come first."""
    panel = invocation.declaration(parameter).rich_help_panel
    return panels.PANELS.index(panel) if panel else -1
