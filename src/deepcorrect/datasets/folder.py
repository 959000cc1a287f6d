"""Images in folders, one or more a class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from deepcorrect.datasets.decoding import Resize
from deepcorrect.datasets.images import Counts, Dataset
from deepcorrect.datasets.layouts import LAYOUTS, Classes
from deepcorrect.datasets.listing import SUFFIXES, PassedOver, list_pictures, printable
from deepcorrect.datasets.streaming import Stream, StreamedSet
from deepcorrect.errors import DeepcorrectError

__all__ = ["SUFFIXES", "read_folder"]


def read_folder(
    root: Path,
    *,
    layout: str = "folder",
    resize: Resize | None = None,
    grey: bool = False,
    skip_bad: bool = False,
    workers: int = 0,
    counts: Counts | None = None,
    warn: Callable[[str], None] = lambda message: None,
) -> Dataset:
    """Find the images of every class; labels count up in the order of the classes.

    Args:
        root: the folder.
        layout: which folders in it are classes, one of ``deepcorrect.datasets.layouts.LAYOUTS``. Parts that it has are used as
            ``deepcorrect.datasets.images.divide`` says.
        resize: how images are brought to one size; needed where their sizes differ.
        grey: decode to one channel.
        skip_bad: decode every image once, leave out those that cannot be, and tell ``warn``.
        warn: is told of each image that is left out, and how many files of which kind are passed over.
        workers: processes that decode.
        counts: how a folder that is not divided already is to be.

    Raises:
        DeepcorrectError: no such folder, another layout, or a class without images.
    """
    name = f"{layout}:{root}"
    if not root.is_dir():
        raise DeepcorrectError(f"--data {name}: no such folder")
    parts = LAYOUTS[layout](root)
    passed = PassedOver()

    def read(classes: Classes) -> StreamedSet:
        files, labels = _list_files(classes, passed, warn if skip_bad else None)
        stream = Stream.of(files, Image.open, resize, grey, skip_bad=skip_bad, workers=workers)
        found = StreamedSet(stream, torch.tensor(labels), torch.arange(len(files)))
        return found.without_bad(warn) if skip_bad else found

    names = tuple(next(iter(parts.values())))
    found = {part: read(classes) for part, classes in parts.items()}
    for line in passed.lines():
        warn(f"{name}: {line}")
    return Dataset.of_parts(name, names, found, counts)


def _list_files(classes: Classes, passed: PassedOver, unreadable: Callable[[str], None] | None) -> tuple[np.ndarray, list[int]]:
    files: list[bytes] = []
    labels: list[int] = []
    for label, folder in enumerate(classes.values()):
        found, others = list_pictures(folder, unreadable)
        if not found:
            there = f" (there are {others.files()})" if others.suffixes else ""
            raise DeepcorrectError(f"{printable(str(folder))}: no images that can be read in this class's folder{there}")
        passed.add(others)
        files += found
        labels += [label] * len(found)
    return np.array(files, np.bytes_), labels
