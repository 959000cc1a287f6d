"""Images in folders, one or more a class."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from deepcorrect.datasets.decoding import Resize
from deepcorrect.datasets.images import Counts, Dataset
from deepcorrect.datasets.layouts import LAYOUTS, Classes, plain, tell_outside
from deepcorrect.datasets.listing import SUFFIXES
from deepcorrect.datasets.streaming import Stream, StreamedSet
from deepcorrect.errors import DeepcorrectError


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
        workers: processes that decode.
        counts: how a folder that is not divided already is to be.
        whole: whether such a folder is not divided, see ``Dataset.of_parts``; classes without images are then no mistake.

    Raises:
        DeepcorrectError: no such folder, another layout, or a class without images.
    """
    name = f"{layout}:{root}"
    if not root.is_dir():
        raise DeepcorrectError(f"--data {name}: no such folder")
    parts = plain(root, warn) if layout == "folder" else LAYOUTS[layout](root)
    tell_outside(root, parts, warn)

    def read(part: str, classes: Classes) -> StreamedSet:
        files, labels = _list_files(classes, part == "train" or (part == "all" and not whole))
        stream = Stream.of(files, Image.open, resize, grey, workers=workers)
        found = StreamedSet(stream, torch.tensor(labels), torch.arange(len(files)))
        return found.without_bad(warn) if skip_bad else found

    names = tuple(next(iter(parts.values())))
    if len(names) < 2 and not whole:
        folder = next(iter(next(iter(parts.values())).values())).parent
        raise DeepcorrectError(f"{folder}: 1 sub-folder(s); put the images of each class in a sub-folder of its own")
    images = {part: read(part, classes) for part, classes in parts.items()}
    return Dataset.of_parts(name, names, images, counts, whole=whole, warn=warn)


def _list_files(classes: Classes, all_needed: bool) -> tuple[np.ndarray, list[int]]:
    files: list[bytes] = []
    labels: list[int] = []
    for label, folder in enumerate(classes.values()):
        found = sorted(file for file in folder.glob("**/*") if file.suffix.lower() in SUFFIXES)
        if not found and all_needed:
            raise DeepcorrectError(f"{folder}: no images ({', '.join(sorted(SUFFIXES))}) in this class's folder")
        files += [os.fsencode(file) for file in found]
        labels += [label] * len(found)
    if not files:
        raise DeepcorrectError(
            f"{next(iter(classes.values())).parent}: no images in any of its {len(classes)} classes' folders"
        )
    return np.array(files), labels
