"""The paper's data sets for transfer (Tables 13 to 15) in the folders in which they are distributed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.parts import Classes, sub_folders


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
    paths = [line.strip().strip("/") for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
    classes = {path[2:]: folder / path for path in paths if (folder / path).is_dir()}
    return _complete("SUN-397", folder, classes, 397)


PAPER_LAYOUTS: dict[str, Callable[[Path], dict[str, Classes]]] = {
    "caltech101": caltech101,
    "caltech256": caltech256,
    "sun397": sun397,
}


def _inside(root: Path, *names: str) -> Path:
    """The first of some sub-folders that exists, else the folder itself."""
    return next((root / name for name in names if (root / name).is_dir()), root)


def _complete(name: str, folder: Path, classes: Classes, count: int) -> dict[str, Classes]:
    if len(classes) != count:
        raise DeepcorrectError(
            f"{folder}: {len(classes)} of the {count} classes of {name} are there; unpack it again, or read any folder of "
            "classes as folder:DIR"
        )
    return {"all": classes}
