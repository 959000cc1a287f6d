"""Images from a spec: ``cifar100``, ``digits``, ``folder:DIR``, a data set's own layout, ``hf:NAME``, or ``images:DIR``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.decoding import Resize
from deepcorrect.datasets.division import Counts
from deepcorrect.datasets.images import HELD_BYTES, Images, ImageSet
from deepcorrect.datasets.labels import label_by_outputs
from deepcorrect.datasets.layouts import LAYOUTS

__all__ = ["Counts", "Dataset", "ImageSet", "Images", "load_dataset"]


def load_dataset(
    spec: str,
    *,
    root: Path | None = None,
    resize: Resize | None = None,
    grey: bool = False,
    skip_bad: bool = False,
    limit: int | None = None,
    workers: int = 0,
    counts: Counts | None = None,
    whole: bool | None = None,
    outputs: Sequence[str] | None = None,
    warn: Callable[[str], None] = lambda message: None,
) -> Dataset:
    """Load a data set; its split into training, validation and test images is always the same.

    Args:
        spec: ``cifar100`` (its official files lie under ``root``), ``digits``, ``folder:DIR`` (one sub-folder a class),
            ``caltech101:DIR``, ``caltech256:DIR`` or ``sun397:DIR`` (as they are distributed, unpacked in DIR), ``hf:NAME``
            (a data set of the Hugging Face hub, or a folder of ``save_to_disk``), or ``images:DIR`` (all images in a folder and
            its sub-folders, without labels).
        limit: images of each class to take at most, of each of the three parts.
        resize, grey, skip_bad, workers, counts, warn: for images in files, see ``deepcorrect.datasets.folder.read_folder``.
        whole: whether images that come undivided stay so, to be measured on: validation and test images are then all of them,
            and there are none to train on. If None, too few to be divided stay so, with a warning; if False, they are an error.
        outputs: names of a network's outputs in their order, to which classes are mapped by name; see
            ``deepcorrect.datasets.labels``.

    Raises:
        DeepcorrectError: unknown spec, files that are missing or unsound, or classes that are not among the outputs.
    """
    found = _read(spec, root, resize, grey, skip_bad, workers, counts, whole, warn)
    if outputs is not None:
        found = label_by_outputs(found, outputs, warn)
    if limit is not None:
        found = found.each(lambda part: part.limited(limit, seed=0))
    distinct = {id(part): part for part in (found.train, found.validation, found.test)}
    if sum(math.prod(part.shape) for part in distinct.values()) <= HELD_BYTES:
        found = found.each(lambda part: part.held())
    return found


def _read(
    spec: str,
    root: Path | None,
    resize: Resize | None,
    grey: bool,
    skip_bad: bool,
    workers: int,
    counts: Counts | None,
    whole: bool | None,
    warn: Callable[[str], None],
) -> Dataset:
    kind, _, place = spec.partition(":")
    if kind in LAYOUTS and place:
        from deepcorrect.datasets.folder import read_folder

        return read_folder(
            Path(place).expanduser(), layout=kind,
            resize=resize, grey=grey, skip_bad=skip_bad, workers=workers, counts=counts, whole=whole, warn=warn,
        )  # fmt: skip
    if kind == "images" and place:
        from deepcorrect.datasets.unlabelled import read_unlabelled

        return read_unlabelled(
            Path(place).expanduser(),
            resize=resize, grey=grey, skip_bad=skip_bad, workers=workers, counts=counts, whole=whole, warn=warn,
        )  # fmt: skip
    if kind == "hf" and place:
        from deepcorrect.datasets.hub import read_hub

        return read_hub(
            place, resize=resize, grey=grey, skip_bad=skip_bad, workers=workers, counts=counts, whole=whole, warn=warn
        )  # fmt: skip
    if spec == "cifar100":
        from deepcorrect.datasets.cifar100 import read_cifar100

        if root is None:
            raise DeepcorrectError(f"{spec}: give {argument('root')}, the folder that holds cifar-100-python")
        return read_cifar100(root.expanduser())
    if spec == "digits":
        from deepcorrect.datasets.digits import read_digits

        return read_digits()
    folders = ", ".join(f"{name}:DIR" for name in LAYOUTS)
    raise DeepcorrectError(f"{argument('data', spec)}: unknown; use cifar100, digits, hf:NAME, {folders}, or images:DIR")
