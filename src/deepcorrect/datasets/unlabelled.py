"""Images without labels, in any folders: which folder an image is in says nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.names import readable
from deepcorrect.datasets.dataset import TESTED_ON, Dataset
from deepcorrect.datasets.decoding import Resize
from deepcorrect.datasets.division import Counts
from deepcorrect.datasets.images import UNLABELLED
from deepcorrect.datasets.layouts import LAYOUTS, plain
from deepcorrect.datasets.listing import list_pictures
from deepcorrect.datasets.streaming import Stream, StreamedSet


def read_unlabelled(
    root: Path,
    *,
    resize: Resize | None = None,
    grey: bool = False,
    skip_bad: bool = False,
    workers: int = 0,
    counts: Counts | None = None,
    whole: bool | None = None,
    warn: Callable[[str], None] = lambda message: None,
) -> Dataset:
    """All images in a folder and its sub-folders, without labels and classes.

    They are divided by a fixed seed: a fifth is for testing, a tenth for validation, unless ``counts`` say how many.

    Args:
        root: the folder; images may lie in it and in folders of it, nested in any way.
        resize, grey, skip_bad, workers, counts, whole, warn: as of ``deepcorrect.datasets.folder.read_folder``.

    Raises:
        DeepcorrectError: no such folder, no images in it, or too few of them to be divided.
    """
    name = f"images:{root}"
    if not root.is_dir():
        raise DeepcorrectError(f"{name}: no such folder")
    files, passed = list_pictures(root, warn if skip_bad else None)
    if not files:
        there = f" (there are {passed.files()})" if passed.suffixes else ""
        raise DeepcorrectError(f"{readable(name)}: no images that can be read, in it or in its sub-folders{there}")
    for line in passed.lines():
        warn(f"{name}: {line}")
    stream = Stream.of(np.array(files, np.bytes_), Image.open, resize, grey, skip_bad=skip_bad, workers=workers)
    images = StreamedSet(stream, torch.full((len(files),), UNLABELLED), torch.arange(len(files)))
    images = images.without_bad(warn) if skip_bad else images
    return replace(Dataset.of_parts(name, (), {"all": images}, counts, whole=whole, warn=warn), numbered=False)


def learn_from(unlabelled: Dataset, tested: Dataset) -> Dataset:
    """Training and validation images without labels, test images with.

    Raises:
        DeepcorrectError: the images of the two differ in size, or some of the unlabelled ones are tested on.
    """
    here, there = unlabelled.image_shape, tested.image_shape
    if here != there:
        shapes = ["x".join(map(str, shape)) for shape in (here, there)]
        raise DeepcorrectError(
            f"{unlabelled.name}: images of {shapes[0]}, those of {tested.name} are {shapes[1]} (channels, height, width); "
            "bring all to one size"
        )
    require_apart(unlabelled.name, tested.name)
    name = f"{unlabelled.name}{TESTED_ON}{tested.name}"
    return replace(tested, name=name, train=unlabelled.train, validation=unlabelled.validation)


def require_apart(unlabelled: str, tested: str) -> None:
    """Refuse unlabelled images that lie in the folders of the classes that are tested on.

    Args:
        unlabelled, tested: names of data sets.

    Raises:
        DeepcorrectError: one of them does; the message names it.
    """
    kind, _, place = tested.rpartition(TESTED_ON)[2].partition(":")
    if kind not in LAYOUTS:
        return
    parts = plain(Path(place).expanduser()) if kind == "folder" else LAYOUTS[kind](Path(place).expanduser())
    measured = parts.get("test") or parts.get("val") or next(iter(parts.values()))
    folders = {os.path.realpath(folder) for folder in measured.values()}
    for file in list_pictures(Path(unlabelled.partition(":")[2]))[0]:
        folder = os.path.realpath(os.path.dirname(os.fsdecode(file)))
        if any(folder == each or folder.startswith(f"{each}{os.sep}") for each in folders):
            raise DeepcorrectError(
                f"{unlabelled}: {readable(os.fsdecode(file))} is one of the images of {tested} that are tested on; "
                "keep those that are trained on in a folder of their own"
            )
