"""CIFAR-100 as its authors distribute it: the "python version", three pickles in one folder.

A pickle can run any code when it is opened. These files need only numbers, strings and NumPy arrays, so the reader resolves
nothing else, and refuses a hostile file.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import pickle
import shutil
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument, phrase
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.division import split
from deepcorrect.datasets.images import ImageSet

FOLDER = "cifar-100-python"
URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
MD5 = "eb9058c3a382ffc7106e4002c42a8d85"
VALIDATION_SHARE = 0.1

_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class _CifarUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR-100 file needs")
        return super().find_class(module, name)


def read_cifar100(root: Path, *, seed: int = 0) -> Dataset:
    """Read ``root/cifar-100-python``, or ``root`` itself, and set 5,000 of the 50,000 training images aside (50 a class).

    Raises:
        DeepcorrectError: a file is missing, truncated, hostile or not CIFAR-100.
    """
    folder = root if (root / "train").is_file() else root / FOLDER
    classes = _class_names(folder / "meta")
    training = _read_images(folder / "train", len(classes))
    train, validation = split(training, VALIDATION_SHARE, seed)
    return Dataset("cifar100", classes, "cifar", train, validation, _read_images(folder / "test", len(classes)))


def is_complete(root: Path) -> bool:
    """Whether the three files are there and intact."""
    try:
        read_cifar100(root)
    except DeepcorrectError:
        return False
    return True


def download_cifar100(root: Path) -> Path:
    """Fetch the official archive, check its MD5 and unpack it under ``root``, in place of what is there; returns the folder.

    Raises:
        DeepcorrectError: the download fails, or its checksum is wrong.
    """
    root.mkdir(parents=True, exist_ok=True)
    try:
        with urllib.request.urlopen(URL, timeout=60) as response:
            archive = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise DeepcorrectError(f"{URL}: download failed ({error}); fetch it by hand and unpack it under {root}") from error
    unpack_archive(archive, MD5, root)
    return root / FOLDER


def unpack_archive(archive: bytes, md5: str, root: Path) -> None:
    """Check an archive's MD5, then unpack it aside and move it into place.

    Raises:
        DeepcorrectError: the checksum differs; nothing is written.
    """
    digest = hashlib.md5(archive, usedforsecurity=False).hexdigest()
    if digest != md5:
        raise DeepcorrectError(f"{URL}: its MD5 is {digest}, not {md5}; nothing was unpacked, try again later")
    aside = root / f"{FOLDER}.partial"
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(aside, filter="data")
        shutil.rmtree(root / FOLDER, ignore_errors=True)
        (aside / FOLDER).replace(root / FOLDER)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _load(path: Path) -> dict[Any, Any]:
    if not path.is_file():
        raise DeepcorrectError(
            f"{path}: missing; let {argument('root')} be the folder that holds {FOLDER}, or fetch it: "
            + phrase(
                python="deepcorrect.datasets.cifar100.download_cifar100(root)",
                command_line="deepcorrect data cifar100 --root DIR --download",
            )
        )
    try:
        with path.open("rb") as file:
            content = _CifarUnpickler(file, encoding="bytes").load()
    except Exception as error:
        raise DeepcorrectError(f"{path}: not a sound CIFAR-100 file ({error}); download it again") from error
    if not isinstance(content, dict):
        raise DeepcorrectError(f"{path}: not a CIFAR-100 file (no dictionary inside)")
    return content


def _field(path: Path, content: dict[Any, Any], name: str) -> Any:
    for key in (name.encode(), name):
        if key in content:
            return content[key]
    raise DeepcorrectError(f"{path}: not a CIFAR-100 file ({name} is missing)")


def _read_images(path: Path, classes: int) -> ImageSet:
    content = _load(path)
    data = np.asarray(_field(path, content, "data"))
    try:
        labels = np.asarray(_field(path, content, "fine_labels"), dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        raise DeepcorrectError(f"{path}: not a CIFAR-100 file (its labels are no integers)") from None
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072 or labels.shape != (len(data),) or not len(data):
        raise DeepcorrectError(f"{path}: {data.shape} data with {labels.shape} labels is not CIFAR-100")
    outside = labels[(labels < 0) | (labels >= classes)]
    if len(outside):
        raise DeepcorrectError(f"{path}: label {outside[0]} lies outside the {classes} classes of the meta file")
    images = torch.from_numpy(data.reshape(-1, 3, 32, 32).copy())
    return ImageSet.whole(images, torch.from_numpy(labels))


def _class_names(path: Path) -> tuple[str, ...]:
    names = _field(path, _load(path), "fine_label_names")
    if not isinstance(names, list) or not all(isinstance(name, bytes | str) for name in names):
        raise DeepcorrectError(f"{path}: not a CIFAR-100 file (its class names are no list of texts)")
    return tuple(name.decode(errors="replace") if isinstance(name, bytes) else name for name in names)
