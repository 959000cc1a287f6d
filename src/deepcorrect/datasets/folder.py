"""Image folders: one sub-folder a class, or ``train``, ``val`` and ``test`` folders of such sub-folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from deepcorrect.datasets.decoding import Resize
from deepcorrect.datasets.images import Dataset, Images, split
from deepcorrect.datasets.streaming import Stream, StreamedSet
from deepcorrect.errors import DeepcorrectError

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif"}
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1
SMALL = 64
"""Images up to this many pixels wide take the CIFAR ladder, larger ones ImageNet's."""


def read_folder(
    root: Path,
    *,
    resize: Resize | None = None,
    grey: bool = False,
    skip_bad: bool = False,
    workers: int = 0,
    warn: Callable[[str], None] = lambda message: None,
) -> Dataset:
    """Find the images; classes are the sub-folders in alphabetical order.

    Without ``train`` and ``test`` (or ``val``) folders, a fifth of every class is set aside for testing and a tenth for
    validation, always the same ones. Where only one of ``val`` and ``test`` is there, it is tested on, and a tenth of
    the training images validates.

    Args:
        root: the folder.
        resize: how images are brought to one size; needed where their sizes differ.
        grey: decode to one channel.
        skip_bad: decode every image once, leave out those that cannot be, and tell ``warn``.
        workers: processes that decode.

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
        stream = Stream.of(files, Image.open, resize, grey, workers)
        found = StreamedSet(stream, torch.tensor(labels), torch.arange(len(files)))
        return _without_bad(found, warn) if skip_bad else found

    if is_split:
        train, test = read(parts["train"]), read(parts.get("test", parts.get("val", root)))
        if len(parts) == 3:
            validation = read(parts["val"])
        else:
            train, validation = split(train, VALIDATION_SHARE, seed=0)
    else:
        rest, test = split(read(root), TEST_SHARE, seed=0)
        train, validation = split(rest, VALIDATION_SHARE / (1 - TEST_SHARE), seed=0)
    _require_images(root, train=train, validation=validation, test=test)
    ladder = "cifar" if test.shape[-1] <= SMALL else "imagenet"
    return Dataset(f"folder:{root}", classes, ladder, train, validation, test)


def _classes(folder: Path) -> tuple[str, ...]:
    found = _sub_folders(folder)
    if len(found) < 2:
        raise DeepcorrectError(f"{folder}: {len(found)} sub-folder(s); put the images of each class in a sub-folder of its own")
    return found


def _sub_folders(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(child.name for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")))


def _require_images(root: Path, **parts: Images) -> None:
    for name, part in parts.items():
        if not len(part):
            raise DeepcorrectError(f"{root}: too few images for a {name} set; give every class ten or more")


def _list_files(folder: Path, classes: tuple[str, ...]) -> tuple[list[Path], list[int]]:
    unknown = sorted(set(_sub_folders(folder)) - set(classes))
    if unknown:
        raise DeepcorrectError(
            f"{folder / unknown[0]}: a class that the training images do not have; remove it, or add it there"
        )
    files, labels = [], []
    for label, name in enumerate(classes):
        found = sorted(file for file in (folder / name).glob("**/*") if file.suffix.lower() in SUFFIXES)
        if not found:
            raise DeepcorrectError(f"{folder / name}: no images ({', '.join(sorted(SUFFIXES))}) in this class's folder")
        files += found
        labels += [label] * len(found)
    return files, labels


def _without_bad(images: StreamedSet, warn: Callable[[str], None]) -> StreamedSet:
    good = torch.ones(len(images), dtype=torch.bool)
    for position, error in images.stream.bad():
        good[position] = False
        warn(f"skipped: {error}")
    return replace(images.take(good.nonzero()[:, 0]), indices=torch.arange(int(good.sum())))
