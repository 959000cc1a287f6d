"""The parts of a data set: what their folders and splits are called, and which folders of an image folder they are.

A split folder is one that is called so and has sub-folders, those of the classes. A class may be called ``train`` too, in
pictures of vehicles: beside other classes, a single folder of such a name that has images and no sub-folders is one.
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
    """Which part of a data set a folder or split of this name is, if any; ``Valid``, ``test_images``, ``train2017`` are."""
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
            f"{root}: {next(iter(splits))} is a split, a folder of classes, and {beside} beside it is none; keep either splits "
            "or classes in one folder"
        )
    found: dict[str, Path] = {}
    for part in NAMES:
        same = [child for child in splits if splits[child] == part]
        if len(same) > 1:
            raise DeepcorrectError(f"{root}: {same[0]} and {same[1]} are both its {part} images; keep one of them")
        if same:
            found[part] = _innermost(root / same[0], part)
    for child, images in flat.items():
        warn(f"{root / child}: left out, for it has no sub-folders of classes ({images} images)")
    return found if len(found) > 1 else {"all": next(iter(found.values()))}


def _require_classes(root: Path, children: tuple[str, ...], named: list[str], warn: Callable[[str], None]) -> None:
    """Of folders with images that are called like splits and have no sub-folders, at most one is a class, beside others."""
    if len(named) > 1 or (named and len(children) == 1):
        raise DeepcorrectError(
            f"{root}: {' and '.join(named)} hold{'s' if len(named) == 1 else ''} images but no sub-folders of classes; put the "
            "images of each class in a sub-folder of its own there"
        )
    for child in named:
        warn(f"{root / child}: taken for a class, like the folders beside it; as a split it would have sub-folders of classes")


def _innermost(folder: Path, part: Part) -> Path:
    """The same folder, or the one inside it if that is all there is and has its name again, as archives are unpacked."""
    inside = sub_folders(folder)
    if len(inside) == 1 and part_of(inside[0]) == part and sub_folders(folder / inside[0]):
        return _innermost(folder / inside[0], part)
    return folder


def sub_folders(folder: Path) -> tuple[str, ...]:
    """Names of the folders directly inside one, hidden ones apart, sorted.

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
    """Whether there is an image in a folder, at any depth."""
    return bool(list_pictures(folder)[0])
