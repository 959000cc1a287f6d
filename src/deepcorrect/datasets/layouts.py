"""Which folders are classes: one sub-folder each, or as a data set is distributed."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.paper_layouts import PAPER_LAYOUTS
from deepcorrect.datasets.parts import Classes, find_parts, holds_images, images_in, part_of, sub_folders


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
            f"{first}: its only sub-folder contains folders; if those are the classes, give {first / named[0]}"
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


LAYOUTS: dict[str, Callable[[Path], dict[str, Classes]]] = {
    "folder": plain,
    **PAPER_LAYOUTS,
}


def tell_outside(root: Path, parts: Mapping[str, Classes], warn: Callable[[str], None]) -> None:
    """Warn of folders with images that lie beside the classes' folders, and so belong to no class."""
    for folder in sorted({root, *(path.parent for classes in parts.values() for path in classes.values())}):
        outside = sorted(image.name for image in images_in(folder))
        if outside:
            warn(
                f"{folder}: {len(outside)} image(s) directly in it, {outside[0]} the first, belong to no class and are left out"
            )


def _unknown(folder: Path, first: Path, named: Sequence[str]) -> str:
    """Why a class that the training images do not have is refused: perhaps another spelling."""
    alike = next((name for name in named if _spelt(name).casefold() == _spelt(folder.name).casefold()), None)
    if alike is None:
        return f"{folder}: a class that the training images do not have; remove it, or add it there"
    if _spelt(alike) == _spelt(folder.name):
        return f"{folder} ({folder.name!a}) and {first / alike} ({alike!a}) differ only in their Unicode form; rename one"
    return f"{folder} and {first / alike} differ only in upper and lower case; rename one of them"


def _require_distinct(folder: Path, named: Sequence[str]) -> None:
    """Refuse two class names that differ only in their Unicode form."""
    known: dict[str, str] = {}
    for name in named:
        if (other := known.setdefault(_spelt(name), name)) != name:
            raise DeepcorrectError(f"{folder}: {other!a} and {name!a} differ only in their Unicode form; keep one of them")


def _spelt(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _require_images_inside(root: Path, named: Sequence[str], warn: Callable[[str], None]) -> None:
    """Refuse splits inside of classes; warn if all classes have the same sub-folders, which may be the real classes."""
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
            f"{root}: {named[0]} and the {len(named) - 1} folder(s) beside it are taken as the classes, but each has folders "
            f"{', '.join(inside[0][:3])}{', ...' if len(inside[0]) > 3 else ''}; if these are, give folder:{root / named[0]}"
        )
