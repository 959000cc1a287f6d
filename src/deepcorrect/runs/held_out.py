"""Which images a network has not been trained on, as the run folders of its training and files of corrections say."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from deepcorrect.adapters.file import TrainedOn, read_trained_on
from deepcorrect.adapters.gate_file import read_gate
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json
from deepcorrect.base.words import argument
from deepcorrect.datasets.dataset import TESTED_ON, Dataset

COMMANDS = ("correct", "finetune", "gate", "train-baseline", "train-head")


class Training(NamedTuple):
    """A run that trained.

    Attributes:
        folder: of the run, or the file of a correction that lies elsewhere.
        data: name of what it was trained on.
        fingerprint: of that, as it was divided.
        split: whether ``--split`` said how.
    """

    folder: Path
    data: str
    fingerprint: str
    split: bool


def trainings(specs: Iterable[str | Path | None]) -> Iterator[Training]:
    """The runs that networks, weights or corrections come from, and those that these began with.

    Args:
        specs: run folders, files in them, or files of corrections and gates; what else there is is passed over.
    """
    seen: set[Path] = set()
    left = [Path(spec) for spec in specs if spec is not None]
    while left:
        place = left.pop(0)
        folder = place if place.is_dir() else place.parent
        if not place.exists() or folder in seen:
            continue
        if not (folder / "config.json").is_file():
            with suppress(DeepcorrectError):  # weights of a network, say, are no correction
                if trained_on := _trained_on(place):
                    yield Training(place, trained_on.data, trained_on.fingerprint, split=False)
            continue
        seen.add(folder)
        config = read_json(folder / "config.json")
        settings = config.get("settings", {})
        if config.get("command") in COMMANDS and "data_fingerprint" in settings:
            yield Training(folder, settings["data"], settings["data_fingerprint"], "--split" in _typed(folder))
            left += [Path(settings["model"])] if settings.get("model") else []


def _trained_on(file: Path) -> TrainedOn | None:
    """What the file of a correction or of a gate tells.

    Raises:
        DeepcorrectError: it is neither.
    """
    try:
        return read_trained_on(file)
    except DeepcorrectError:
        return read_gate(file)[1].trained_on


def hold_out(
    data: Dataset, known: Iterable[Training], everything: Callable[[], Dataset], limit: int | None, tell: Callable[[str], None]
) -> Dataset:
    """An undivided source as it is; divided, if a network that is measured on it was trained on a part of it.

    Args:
        data: all of it, or ``limit`` images a class.
        known: how the network was trained.
        everything: loads the source without a limit.
        limit: images of each class to take at most, of each part.
        tell: told that the test images alone are measured on.

    Raises:
        DeepcorrectError: it was trained on another division, which cannot be known here.
    """
    known = list(known)
    if not known or not data.undivided:
        return data
    divided = (data if limit is None else everything()).divided()
    limited = divided if limit is None else divided.each(lambda part: part.limited(limit, seed=0))
    prints = {divided.fingerprint(), limited.fingerprint()}
    for training in known:
        same = training.fingerprint in prints
        if not same and _resolved(training.data) != _resolved(data.name):
            continue
        if (training.split and not same) or not len(limited.test) or not len(limited.validation):
            raise DeepcorrectError(
                f"{data.name}: {training.folder} was trained on a part of these images; give the "
                f"{argument('counts', option='split')} and {argument('seed', option='split-seed')} of its training, so that "
                "others are measured on"
            )
        changed = "" if same else "; other options than there, or files that have changed, may make a difference"
        tell(
            f"{data.name}: {training.folder} was trained on a part of these images, so the {len(limited.test)} test images "
            f"that it has not seen are measured on{changed}"
        )
        return limited
    return data


def _resolved(name: str) -> tuple[str, Path]:
    """The spec of what is trained on, its folder the same however it is reached."""
    kind, _, place = name.partition(TESTED_ON)[0].partition(":")
    return kind, Path(place).expanduser().resolve()


def _typed(folder: Path) -> list[str]:
    """The words of the command line of a finished run."""
    file = folder / "results.json"
    line = read_json(file).get("provenance", {}).get("command_line") if file.is_file() else None
    return shlex.split(line) if line else []
