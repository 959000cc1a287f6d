"""Which folders are classes: one sub-folder each, or as Caltech-101, Caltech-256 and SUN-397 are distributed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.parts import find_parts, holds_images, images_in, part_of, sub_folders

Classes = Mapping[str, Path]
"""The folder of each class."""


def plain(root: Path, warn: Callable[[str], None] = lambda message: None) -> dict[str, Classes]:
    """A sub-folder a class, in alphabetical order, with the parts that ``deepcorrect.datasets.parts.find_parts`` sees.

    Labels are those of the training images' classes, of which other parts may lack some; without training images, those of all
    parts together.

    Raises:
        DeepcorrectError: no classes, one that the training images do not have, or splits inside of classes.
    """
    parts = find_parts(root, warn)
    first = parts.get("train") or next(iter(parts.values()))
    named = sub_folders(first)
    if not named:
        raise DeepcorrectError(f"{first}: 0 sub-folder(s); put the images of each class in a sub-folder of its own")
    if len(named) == 1 and sub_folders(first / named[0]):
        raise DeepcorrectError(
            f"{first}: 1 sub-folder(s), of folders in turn; if those are the classes, give {first / named[0]}"
        )
    _require_distinct(first, named)
    for folder in parts.values():
        others = [name for name in sub_folders(folder) if name not in named and holds_images(folder / name)]
        if others and "train" in parts:
            raise DeepcorrectError(_unknown(folder / others[0], first, named))
        named = tuple(sorted({*named, *others}))
    if "all" in parts:
        _require_images_inside(first, named, warn)
    return {part: {label: folder / label for label in named} for part, folder in parts.items()}


def caltech101(root: Path) -> dict[str, Classes]:
    """``101_ObjectCategories/accordion/image_0001.jpg``; ``BACKGROUND_Google`` is no class.

    Raises:
        DeepcorrectError: not 101 classes.
    """
    folder = _inside(root, "101_ObjectCategories", "caltech-101/101_ObjectCategories")
    classes = {name: folder / name for name in sub_folders(folder) if name != "BACKGROUND_Google"}
    return _complete("Caltech-101", folder, classes, 101)


def caltech256(root: Path) -> dict[str, Classes]:
    """``256_ObjectCategories/001.ak47/001_0001.jpg``; ``257.clutter`` is no class.

    Raises:
        DeepcorrectError: not 256 classes.
    """
    folder = _inside(root, "256_ObjectCategories")
    numbered = [name for name in sub_folders(folder) if re.match(r"\d{3}\.", name) and name != "257.clutter"]
    return _complete("Caltech-256", folder, {name[4:]: folder / name for name in numbered}, 256)


def sun397(root: Path) -> dict[str, Classes]:
    """``SUN397/a/abbey/sun_aaalbzqrimafwbiv.jpg``, with scenes of two kinds a folder deeper (``a/apartment_building/outdoor``);
    ``SUN397/ClassName.txt`` lists the classes.

    Raises:
        DeepcorrectError: no such list, or not the folders of 397 classes.
    """
    folder = _inside(root, "SUN397")
    listed = folder / "ClassName.txt"
    if not listed.is_file():
        raise DeepcorrectError(f"{listed}: missing; give the folder in which SUN397.tar.gz was unpacked")
    places = [line.strip().strip("/") for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
    found = {place[2:]: folder / place for place in places if (folder / place).is_dir()}
    return _complete("SUN-397", folder, found, 397)


LAYOUTS: dict[str, Callable[[Path], dict[str, Classes]]] = {
    "folder": plain,
    "caltech101": caltech101,
    "caltech256": caltech256,
    "sun397": sun397,
}


def tell_outside(root: Path, parts: Mapping[str, Classes], warn: Callable[[str], None]) -> None:
    """Say which folders hold images directly that belong to no class."""
    for folder in sorted({root, *(place.parent for classes in parts.values() for place in classes.values())}):
        outside = sorted(image.name for image in images_in(folder))
        if outside:
            warn(f"{folder}: {len(outside)} image(s) directly in it, {outside[0]} the first, are of no class and left out")


def _inside(root: Path, *places: str) -> Path:
    """The first of some places in a folder that is there, else the folder itself."""
    return next((root / place for place in places if (root / place).is_dir()), root)


def _complete(name: str, folder: Path, classes: Classes, count: int) -> dict[str, Classes]:
    if len(classes) != count:
        raise DeepcorrectError(
            f"{folder}: {len(classes)} of the {count} classes of {name} are there; unpack it again, or read any folder of "
            "classes as folder:DIR"
        )
    return {"all": classes}


def _unknown(folder: Path, first: Path, named: Sequence[str]) -> str:
    """Why a class is refused that the training images do not have."""
    alike = next((name for name in named if _spelt(name).casefold() == _spelt(folder.name).casefold()), None)
    if alike is None:
        return f"{folder}: a class that the training images do not have; remove it, or add it there"
    if _spelt(alike) == _spelt(folder.name):
        return f"{folder} ({folder.name!a}) and {first / alike} ({alike!a}) differ in their Unicode alone; rename one"
    return f"{folder} and {first / alike} differ in upper and lower case; rename one of them"


def _require_distinct(folder: Path, named: Sequence[str]) -> None:
    """Refuse two names that look the same."""
    known: dict[str, str] = {}
    for name in named:
        if (other := known.setdefault(_spelt(name), name)) != name:
            raise DeepcorrectError(f"{folder}: {other!a} and {name!a} differ in their Unicode alone; keep one of them")


def _spelt(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _require_images_inside(root: Path, named: Sequence[str], warn: Callable[[str], None]) -> None:
    """Look at the folders inside of classes: none are splits, and where all have the same they may be the classes."""
    inside = [sub_folders(root / name) for name in named]
    for name, folders in zip(named, inside, strict=True):
        splits = {part: folder for folder in folders if (part := part_of(folder))}
        if len(splits) > 1:
            raise DeepcorrectError(
                f"{root / name}: {' and '.join(splits.values())} are splits inside of a class; put them above the classes, as "
                f"{next(iter(splits.values()))}/{name}"
            )
    if len(named) > 1 and len(inside[0]) > 1 and len(set(inside)) == 1:
        warn(
            f"{root}: {named[0]} and the {len(named) - 1} folder(s) beside it are taken for the classes, but each has folders "
            f"{', '.join(inside[0][:3])}{', ...' if len(inside[0]) > 3 else ''}; if these are, give folder:{root / named[0]}"
        )
