"""What the functions of the front door share: from a user's network and images to a job, leaving the network as it was."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from operator import index
from pathlib import Path
from typing import Any, get_args

import torch
from torch import nn

from deepcorrect.base.device import Precision, device_of, memory_of, put_back
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.progress import Reporter, Silent
from deepcorrect.base.seeding import LARGEST_SEED, own_random_state
from deepcorrect.base.words import argument
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.door import Given
from deepcorrect.distortions.base import Distortion, as_levels
from deepcorrect.distortions.registry import get_distortion, get_distortions
from deepcorrect.models.admission import ask, plain
from deepcorrect.models.fingerprint import fingerprint
from deepcorrect.models.inspection import looking
from deepcorrect.models.layers import Layer, named
from deepcorrect.pipeline.job import Job, first_images
from deepcorrect.runs.results import Run
from deepcorrect.runs.stages import Ladders, distortion_traits

Levels = float | Sequence[float] | None
"""Severities above 0; None for those that suit the size of the images."""


def or_for_a_job(for_job: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A function of the front door that does what ``for_job`` does where its first argument is a ``Job``."""

    def either(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def called(*args: Any, **options: Any) -> Any:
            first = args[0] if args else options.get("job")
            return (for_job if isinstance(first, Job) else function)(*args, **options)

        return called

    return either


@contextmanager
def left_as_found(model: nn.Module) -> Iterator[nn.Module]:
    """The network without ``torch.compile`` around it, in eval mode.

    Afterwards its modes, buffers and memory layout and the global random states are as they were.
    """
    network = plain(model)
    memory = memory_of(network)
    try:
        with looking(network):
            yield network
    finally:
        put_back(memory)


@contextmanager
def restored_on_failure(model: nn.Module) -> Iterator[nn.Module]:
    """The network without ``torch.compile`` around it; if anything is raised, it gets its modes and memory layout back."""
    network = plain(model)
    modes = [(module, module.training) for module in network.modules()]
    memory = memory_of(network)
    try:
        yield network
    except BaseException:
        put_back(memory)
        for module, training in modes:
            module.training = training
        raise


@contextmanager
def reporting(progress: bool | None) -> Iterator[Reporter]:
    """Progress bars, if they are wanted; by default where somebody watches, in a terminal or a notebook."""
    if not (_is_watched() if progress is None else progress):
        yield Silent()
        return
    with own_random_state(0):  # which rich draws from as it is imported
        from deepcorrect.base.bars import Bars
    with Bars() as bars:
        yield bars


def _is_watched() -> bool:
    """Whether standard error is a terminal, or this runs in a notebook."""
    return "ipykernel" in sys.modules or sys.stderr.isatty()


def dataset_of(network: nn.Module, *, train: Given | None = None, validation: Given | None = None, test: Given) -> Dataset:
    """Images as they were given, put together for a job.

    The classes are called as the data names them if the network has as many outputs, else by the numbers of the outputs.

    Args:
        network: in eval mode; asked how many outputs it has.
        validation: the test images without it.

    Raises:
        DeepcorrectError: images of different sizes, or a network that does not take them, or whose outputs are not the classes.
    """
    validation = validation or test
    parts = {"training": train, "validation": validation, "test": test}
    for part, given in parts.items():
        if given is not None and given.images.shape[1:] != test.images.shape[1:]:
            here, there = ("x".join(map(str, each.images.shape[1:])) for each in (given, test))
            raise DeepcorrectError(f"the {part} images are {here}, the others {there}: give images of one size")
    first = train or validation
    example = first_images(test.images).to(device_of(network))
    outputs = ask(network, example, test.name).shape[1]
    known = [given for given in (train, validation, test) if given is not None]
    dataset = next((each.dataset for each in known if each.dataset is not None and each.dataset.classes), None)
    data = Dataset(
        first.name,
        dataset.classes if dataset is not None else _classes(known, outputs),
        test.ladder,
        train.images if train is not None else test.images.take(torch.arange(0)),
        validation.images,
        test.images,
        numbered=dataset is not None and dataset.numbered,
    )
    data.require_outputs(outputs)
    return data


def _classes(known: Sequence[Given], outputs: int) -> tuple[str, ...]:
    """Names of the classes of a user's data, one for each output.

    Raises:
        DeepcorrectError: the data names fewer classes, so which of the outputs they are cannot be told.
    """
    names = next((given.classes for given in known if given.classes is not None), None)
    if names is not None and len(names) < outputs:
        raise DeepcorrectError(
            f"{known[0].name} names {len(names)} classes, the network has {outputs} outputs, and nothing says which of them "
            "these are; map the labels to the outputs by a target_transform"
        )
    return names if names is not None and len(names) == outputs else tuple(str(output) for output in range(outputs))


def require_sound(seed: object, precision: object) -> None:
    """Refuse a seed or a precision that there is not.

    Raises:
        DeepcorrectError: a seed that is no integer from 0 to 2**32 - 1, or another precision than fp32 and bf16.
    """
    if not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
        raise DeepcorrectError(f"{argument('seed', seed)}: give an integer from 0 to {LARGEST_SEED}")
    if precision not in get_args(Precision):
        raise DeepcorrectError(f"{argument('precision', precision)}: unknown; use {' or '.join(get_args(Precision))}")


def distortion_of(given: object) -> Distortion:
    """A distortion, or that of a name, to rank or to train with.

    Raises:
        DeepcorrectError: it is neither, nothing of that name is registered, or its images come from files.
    """
    distortion = get_distortion(named_or_made(given))
    distortion.require_function()
    return distortion


def distortions_of(given: object) -> list[Distortion]:
    """A distortion, or those of a name, a group or several separated by commas, to measure under.

    Raises:
        DeepcorrectError: as ``distortion_of``.
    """
    checked = named_or_made(given)
    return get_distortions(checked) if isinstance(checked, str) else [checked]


def named_or_made(given: object) -> Distortion | str:
    """A distortion or a name as it was given.

    Raises:
        DeepcorrectError: it is neither.
    """
    if not isinstance(given, Distortion | str):
        kinds = "a distortion such as GaussianBlur(), a name, or 'file.py:name'"
        raise DeepcorrectError(f"a distortion of type {type(given).__name__}: give {kinds}")
    return given


def filters_of(given: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """The filters to be corrected of each layer, in ascending order.

    Raises:
        DeepcorrectError: they are no mapping from layers to numbers of filters.
    """
    try:
        return {str(layer): tuple(sorted(map(index, filters))) for layer, filters in given.items()}
    except (AttributeError, TypeError):
        raise DeepcorrectError(
            f"filters of type {type(given).__name__}: give the numbers of the filters by layer, {{'conv1': (0, 3)}}, as "
            "ranking.top(0.5) does"
        ) from None


def levels_of(distortion: Distortion, levels: Levels, ladder: str) -> tuple[float, ...]:
    """The severities that were asked for, or those of a ladder.

    Raises:
        DeepcorrectError: they are not finite numbers above 0, each once, or the distortion does not have them.
    """
    if levels is None:
        return distortion.levels(ladder)
    given = as_levels((levels,) if isinstance(levels, int | float) else levels, argument("levels", levels))
    distortion.require_levels(given)
    return given


def layers_of(layers: Sequence[Layer], wanted: int | str | Sequence[str] | None) -> list[Layer]:
    """Some of a network's layers: the first so many, those of some names, or all.

    Raises:
        DeepcorrectError: there are fewer, or none of that name.
    """
    if wanted is None:
        return list(layers)
    if isinstance(wanted, int):
        if not 1 <= wanted <= len(layers):
            raise DeepcorrectError(
                f"{argument('layers', wanted)}: the network has {len(layers)} such layers; give 1 to {len(layers)}, or names"
            )
        return list(layers[:wanted])
    names = [wanted] if isinstance(wanted, str) else wanted
    if not names:
        raise DeepcorrectError(f"{argument('layers', names)}: name one layer at least, or how many of the first")
    return [named(layers, name) for name in dict.fromkeys(names)]


def open_run(
    job: Job,
    out: Path | str | None,
    command: str,
    settings: dict[str, Any],
    ladders: Ladders = (),
    *,
    command_line: str | None = None,
) -> None:
    """Give the job its run folder, if there is one to be: made anew, or continued with the same settings.

    Args:
        ladders: the distortions that the network is measured under; what the user's own do is part of the settings.
        command_line: what a person typed for it.

    Raises:
        DeepcorrectError: the folder holds something else, or a run of other settings.
    """
    if out is None:
        return
    everything = {
        **settings,
        "data": job.data.name,
        "data_fingerprint": job.data_fingerprint(),
        "seed": job.seed,
        "precision": job.precision,
        "fingerprint": fingerprint(job.model),
    }
    for distortion, levels in ladders:
        everything |= {f"{name} of {distortion.name}": value for name, value in distortion.traits().items()}
        if not distortion.ours:
            traits = distortion_traits(distortion, levels, job.example[:1], job.seed)
            everything[f"function of {distortion.name}"] = traits["function"]
    job.run = Run(Path(out), command, everything, command_line=command_line)
