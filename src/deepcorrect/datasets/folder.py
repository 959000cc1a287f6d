"""Image folders: one sub-folder a class, or ``train``, ``val`` and ``test`` folders of such sub-folders."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from deepcorrect.datasets.decoding import Resize
from deepcorrect.datasets.images import Counts, Dataset
from deepcorrect.datasets.streaming import Stream, StreamedSet
from deepcorrect.errors import DeepcorrectError

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif"}


def read_folder(
    root: Path,
    *,
    resize: Resize | None = None,
    grey: bool = False,
    skip_bad: bool = False,
    workers: int = 0,
    counts: Counts | None = None,
    warn: Callable[[str], None] = lambda message: None,
) -> Dataset:
    """Find the images; classes are the sub-folders in alphabetical order.

    Folders ``train``, ``val`` and ``test`` of such sub-folders, or the first with one of the others, are used as
    ``deepcorrect.datasets.images.divide`` says.

    Args:
        root: the folder.
        resize: how images are brought to one size; needed where their sizes differ.
        grey: decode to one channel.
        skip_bad: decode every image once, leave out those that cannot be, and tell ``warn``.
        workers: processes that decode.
        counts: how a folder that is not divided already is to be.

    Raises:
        DeepcorrectError: no such folder, no classes, or no images.
    """
    if not root.is_dir():
        raise DeepcorrectError(f"--data folder:{root}: no such folder")
    parts = {name: root / name for name in ("train", "val", "test") if (root / name).is_dir()}
    is_split = "train" in parts and len(parts) > 1
    classes = _classes(parts["train"] if is_split else root)

    def read(folder: Path) -> StreamedSet:
        files, labels = _list_files(folder, classes)
        stream = Stream.of(files, Image.open, resize, grey, workers=workers)
        found = StreamedSet(stream, torch.tensor(labels), torch.arange(len(files)))
        return found.without_bad(warn) if skip_bad else found

    folders = parts if is_split else {"all": root}
    return Dataset.of_parts(f"folder:{root}", classes, {name: read(folder) for name, folder in folders.items()}, counts)


def _classes(folder: Path) -> tuple[str, ...]:
    found = _sub_folders(folder)
    if len(found) < 2:
        raise DeepcorrectError(f"{folder}: {len(found)} sub-folder(s); put the images of each class in a sub-folder of its own")
    return found


def _sub_folders(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(child.name for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")))


def _list_files(folder: Path, classes: tuple[str, ...]) -> tuple[np.ndarray, list[int]]:
    unknown = sorted(set(_sub_folders(folder)) - set(classes))
    if unknown:
        raise DeepcorrectError(
            f"{folder / unknown[0]}: a class that the training images do not have; remove it, or add it there"
        )
    files: list[bytes] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(file for file in (folder / name).glob("**/*") if file.suffix.lower() in SUFFIXES)
        if not found:
            raise DeepcorrectError(f"{folder / name}: no images ({', '.join(sorted(SUFFIXES))}) in this class's folder")
        files += [os.fsencode(file) for file in found]
        labels += [label] * len(found)
    return np.array(files), labels
