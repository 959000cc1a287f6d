"""The parts of a data set (training, validation, test): the names of their folders, and where they are in a folder of images.

A split folder has such a name, and a sub-folder for each class. A class may have such a name too (``train``, in images of
vehicles): a single folder of that name beside other classes, with images but without sub-folders, is taken as a class.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.listing import SUFFIXES, is_hidden, list_pictures

Part = Literal["train", "val", "test"]
Classes = Mapping[str, Path]
"""The folder of each class."""

NAMES: dict[Part, tuple[str, ...]] = {
    "train": ("train", "training", "trainval"),
    "val": ("val", "valid", "validation", "validate", "dev", "development", "eval", "evaluation"),
    "test": ("test", "testing"),
}
_BESIDE = "(?:set|sets|split|data|dataset|images?|imgs?|pictures|photos|folder)*"
_PATTERNS = {part: re.compile(f"{_BESIDE}(?:{'|'.join(names)}){_BESIDE}") for part, names in NAMES.items()}


def part_of(name: str) -> Part | None:
    """The part of a data set that a folder or split of this name holds, if any: ``Valid``, ``test_images``, ``train2017``."""
    letters = re.sub("[^a-z]", "", name.casefold()) if name.isascii() else ""
    return next((part for part, pattern in _PATTERNS.items() if pattern.fullmatch(letters)), None)


def find_parts(root: Path, warn: Callable[[str], None]) -> dict[str, Path]:
    """The split folders in a folder, training images first; ``{"all": folder}`` where there are none, or only one.

    Raises:
        DeepcorrectError: split folders beside folders of classes, two for the same part, or some without classes.
    """
    children = sub_folders(root)
    named = {child: part for child in children if (part := part_of(child))}
    splits = {child: part for child, part in named.items() if sub_folders(root / child)}
    flat = {child: sum(1 for _ in images_in(root / child)) for child in named if child not in splits}
    if not splits:
        _require_classes(root, children, [child for child, images in flat.items() if images], warn)
        return {"all": root}
    beside = next((child for child in children if child not in named and holds_images(root / child)), None)
    if beside is not None:
        raise DeepcorrectError(
            f"{root}: {next(iter(splits))} is a split (a folder of classes), but {beside} beside it is not; keep either splits "
            "or classes in one folder"
        )
    folders: dict[str, Path] = {}
    for part in NAMES:
        same = [child for child in splits if splits[child] == part]
        if len(same) > 1:
            raise DeepcorrectError(f"{root}: {same[0]} and {same[1]} are both its {part} images; keep one of them")
        if same:
            folders[part] = _innermost(root / same[0], part)
    for child, images in flat.items():
        warn(f"{root / child}: left out, because it has no sub-folders of classes ({images} images)")
    return folders if len(folders) > 1 else {"all": next(iter(folders.values()))}


def _require_classes(root: Path, children: tuple[str, ...], named: list[str], warn: Callable[[str], None]) -> None:
    """Of folders named like splits that have images but no sub-folders, accept one as a class beside other classes; no more."""
    if len(named) > 1 or (named and len(children) == 1):
        raise DeepcorrectError(
            f"{root}: {' and '.join(named)} hold{'s' if len(named) == 1 else ''} images but no sub-folders of classes; put the "
            "images of each class in a sub-folder of its own there"
        )
    for child in named:
        warn(f"{root / child}: taken as a class, like the folders beside it; a split would have sub-folders of classes")


def _innermost(folder: Path, part: Part) -> Path:
    """The folder, or the single folder of the same name inside it, as some archives are unpacked."""
    inside = sub_folders(folder)
    if len(inside) == 1 and part_of(inside[0]) == part and sub_folders(folder / inside[0]):
        return _innermost(folder / inside[0], part)
    return folder


def sub_folders(folder: Path) -> tuple[str, ...]:
    """The names of the folders directly inside a folder, sorted, without hidden ones.

    Raises:
        DeepcorrectError: it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return tuple(sorted(entry.name for entry in entries if entry.is_dir() and not is_hidden(Path(entry.name))))
    except OSError as error:
        raise DeepcorrectError(f"{folder}: cannot be read ({error.strerror})") from None


def images_in(folder: Path) -> Iterator[Path]:
    """The images that lie directly in a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            if path.suffix.lower() in SUFFIXES and not is_hidden(path) and entry.is_file():
                yield path


def holds_images(folder: Path) -> bool:
    """Whether a folder contains an image at any depth."""
    return bool(list_pictures(folder)[0])
