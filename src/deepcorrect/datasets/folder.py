"""Images in folders, one or more a class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.names import readable
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.decoding import Resize
from deepcorrect.datasets.division import Counts
from deepcorrect.datasets.layouts import LAYOUTS, plain, tell_outside
from deepcorrect.datasets.listing import SUFFIXES, PassedOver, list_pictures
from deepcorrect.datasets.parts import Classes
from deepcorrect.datasets.streaming import Stream, StreamedSet

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
    whole: bool | None = None,
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
        whole: whether such a folder is not divided, see ``Dataset.of_parts``; classes without images are then no mistake.

    Raises:
        DeepcorrectError: no such folder, another layout, or a class without images.
    """
    name = f"{layout}:{root}"
    if not root.is_dir():
        raise DeepcorrectError(f"{name}: no such folder")
    parts = plain(root, warn) if layout == "folder" else LAYOUTS[layout](root)
    tell_outside(root, parts, warn)
    passed = PassedOver()

    def read(part: str, classes: Classes) -> StreamedSet:
        all_needed = part == "train" or (part == "all" and not whole)
        files, labels = _list_files(classes, all_needed, passed, warn if skip_bad else None)
        stream = Stream.of(files, Image.open, resize, grey, skip_bad=skip_bad, workers=workers)
        images = StreamedSet(stream, torch.tensor(labels), torch.arange(len(files)))
        return images.without_bad(warn) if skip_bad else images

    names = tuple(next(iter(parts.values())))
    if len(names) < 2 and not whole:
        folder = next(iter(next(iter(parts.values())).values())).parent
        raise DeepcorrectError(f"{folder}: 1 sub-folder(s); put the images of each class in a sub-folder of its own")
    images = {part: read(part, classes) for part, classes in parts.items()}
    for line in passed.lines():
        warn(f"{name}: {line}")
    return Dataset.of_parts(name, names, images, counts, whole=whole, warn=warn)


def _list_files(
    classes: Classes, all_needed: bool, passed: PassedOver, unreadable: Callable[[str], None] | None
) -> tuple[np.ndarray, list[int]]:
    files: list[bytes] = []
    labels: list[int] = []
    here = PassedOver()
    for label, folder in enumerate(classes.values()):
        images, others = list_pictures(folder, unreadable)
        if not images and all_needed:
            there = f" (there are {others.files()})" if others.suffixes else ""
            raise DeepcorrectError(f"{readable(str(folder))}: no images that can be read in this class's folder{there}")
        here.add(others)
        files += images
        labels += [label] * len(images)
    if not files:
        there = f" (there are {here.files()})" if here.suffixes else ""
        folder = next(iter(classes.values())).parent
        raise DeepcorrectError(
            f"{readable(str(folder))}: no images that can be read in any of its {len(classes)} classes' folders{there}"
        )
    passed.add(here)
    return np.array(files, np.bytes_), labels
