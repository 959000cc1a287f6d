"""Labelled images from a spec: ``cifar100``, ``folder:DIR`` or ``digits``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deepcorrect.datasets.decoding import Resize
from deepcorrect.datasets.images import Dataset, ImageSet
from deepcorrect.errors import DeepcorrectError

__all__ = ["Dataset", "ImageSet", "load_dataset"]


def load_dataset(
    spec: str,
    *,
    root: Path | None = None,
    resize: Resize | None = None,
    grey: bool = False,
    skip_bad: bool = False,
    warn: Callable[[str], None] = lambda message: None,
) -> Dataset:
    """Load a data set; its split into training, validation and test images is always the same.

    Args:
        spec: ``cifar100`` (its official files lie under ``root``), ``folder:DIR`` (one sub-folder a class), or ``digits``.
        resize, grey, skip_bad, warn: for folders, see ``deepcorrect.datasets.folder.read_folder``.

    Raises:
        DeepcorrectError: unknown spec, or files that are missing or unsound.
    """
    kind, _, place = spec.partition(":")
    if kind == "folder" and place:
        from deepcorrect.datasets.folder import read_folder

        return read_folder(Path(place).expanduser(), resize=resize, grey=grey, skip_bad=skip_bad, warn=warn)
    if spec == "cifar100":
        from deepcorrect.datasets.cifar100 import read_cifar100

        if root is None:
            raise DeepcorrectError("--data cifar100: give --root, the folder that holds cifar-100-python")
        return read_cifar100(root.expanduser())
    if spec == "digits":
        from deepcorrect.datasets.digits import read_digits

        return read_digits()
    raise DeepcorrectError(f"--data {spec}: unknown; use cifar100, folder:DIR or digits")
