"""Image folders: one sub-folder a class, or ``train``, ``val`` and ``test`` folders of such sub-folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from deepcorrect.datasets.decoding import Resize, decode
from deepcorrect.datasets.images import Dataset, ImageSet, split
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
    warn: Callable[[str], None] = lambda message: None,
) -> Dataset:
    """Decode every image into memory; classes are the sub-folders in alphabetical order.

    Without ``train`` and ``test`` (or ``val``) folders, a fifth of every class is set aside for testing and a tenth for
    validation, always the same ones. Where only one of ``val`` and ``test`` is there, it is tested on, and a tenth of
    the training images validates.

    Args:
        root: the folder.
        resize: how images are brought to one size; needed where their sizes differ.
        grey: decode to one channel.
        skip_bad: leave out files that cannot be decoded, and tell ``warn``.

    Raises:
        DeepcorrectError: no such folder, no classes, no images, a corrupt image, or sizes that differ.
    """
    if not root.is_dir():
        raise DeepcorrectError(f"--data folder:{root}: no such folder")
    parts = {name: root / name for name in ("train", "val", "test") if (root / name).is_dir()}
    is_split = "train" in parts and len(parts) > 1
    classes = _classes(parts["train"] if is_split else root)

    def read(folder: Path) -> ImageSet:
        return _read_images(folder, classes, resize=resize, grey=grey, skip_bad=skip_bad, warn=warn)

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
    ladder = "cifar" if test.images.shape[-1] <= SMALL else "imagenet"
    return Dataset(f"folder:{root}", classes, ladder, train, validation, test)


def _classes(folder: Path) -> tuple[str, ...]:
    found = _sub_folders(folder)
    if len(found) < 2:
        raise DeepcorrectError(f"{folder}: {len(found)} sub-folder(s); put the images of each class in a sub-folder of its own")
    return found


def _sub_folders(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(child.name for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")))


def _require_images(root: Path, **parts: ImageSet) -> None:
    for name, part in parts.items():
        if not len(part):
            raise DeepcorrectError(f"{root}: too few images for a {name} set; give every class ten or more")


def _read_images(
    folder: Path, classes: tuple[str, ...], *, resize: Resize | None, grey: bool, skip_bad: bool, warn: Callable[[str], None]
) -> ImageSet:
    unknown = sorted(set(_sub_folders(folder)) - set(classes))
    if unknown:
        raise DeepcorrectError(
            f"{folder / unknown[0]}: a class that the training images do not have; remove it, or add it there"
        )
    images, labels = [], []
    for label, name in enumerate(classes):
        files = sorted(file for file in (folder / name).glob("**/*") if file.suffix.lower() in SUFFIXES)
        if not files:
            raise DeepcorrectError(f"{folder / name}: no images ({', '.join(sorted(SUFFIXES))}) in this class's folder")
        for file in files:
            try:
                images.append(decode(file, resize, grey))
                labels.append(label)
            except DeepcorrectError as error:
                if not skip_bad:
                    raise DeepcorrectError(f"{error}; repair or remove it, or go on without it with --skip-bad") from None
                warn(f"skipped: {error}")
            if images[-1:] and images[-1].shape != images[0].shape:
                raise DeepcorrectError(
                    f"{file}: {images[-1].shape[1]}x{images[-1].shape[0]} pixels, the images before it "
                    f"{images[0].shape[1]}x{images[0].shape[0]}; give --size to bring all to one size"
                )
    if not images:
        raise DeepcorrectError(f"{folder}: none of its images can be read")
    return ImageSet.whole(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels))
