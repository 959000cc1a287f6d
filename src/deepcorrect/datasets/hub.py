"""Data sets of the Hugging Face hub, or folders of ``save_to_disk``: rows of an image and a class, decoded as they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image

from deepcorrect.datasets.decoding import Resize
from deepcorrect.datasets.images import Counts, Dataset
from deepcorrect.datasets.streaming import Stream, StreamedSet
from deepcorrect.errors import DeepcorrectError

PARTS = {"train": ("train",), "val": ("validation", "val", "valid", "dev"), "test": ("test",)}


@dataclass(frozen=True)
class Rows:
    """Opens the images of a table's rows by their numbers."""

    table: Any
    column: str

    def __call__(self, row: int) -> Image.Image:
        return cast(Image.Image, self.table[row][self.column])


def read_hub(
    name: str,
    *,
    resize: Resize | None = None,
    grey: bool = False,
    skip_bad: bool = False,
    workers: int = 0,
    counts: Counts | None = None,
    whole: bool | None = None,
    warn: Callable[[str], None] = lambda message: None,
) -> Dataset:
    """Find the images; their splits are used as ``deepcorrect.datasets.images.divide`` says.

    Args:
        name: on the hub, with a configuration behind a colon if it has several; or a folder.
        resize, grey, skip_bad, workers, counts, whole, warn: as for ``read_folder``.

    Raises:
        DeepcorrectError: the library or the data is not there, or it has no column of images and none of classes.
    """
    tables = _load(name)
    found = {part: tables[split] for part, splits in PARTS.items() for split in splits if split in tables}
    if "train" not in found or len(found) == 1:
        found = {"all": next(iter(tables.values()))}
    features = next(iter(found.values())).features
    images, labels = (
        next((column for column, feature in features.items() if type(feature).__name__ == kind), None)
        for kind in ("Image", "ClassLabel")
    )
    if images is None or labels is None:
        raise DeepcorrectError(
            f"--data hf:{name}: it needs a column of images and one of classes (it has {', '.join(features)})"
        )
    parts = {}
    for part, table in found.items():
        classes = torch.tensor(table[labels])
        if bool((classes < 0).any()):
            warn(f"hf:{name}: the classes of its {part} split are not public; it is left out")
            continue
        source = f"hf:{name}, {part}, row "
        stream = Stream.of(np.arange(len(table)), Rows(table, images), resize, grey, source=source, workers=workers)
        read = StreamedSet(stream, classes, torch.arange(len(table)))
        parts[part] = read.without_bad(warn) if skip_bad else read
    return Dataset.of_parts(f"hf:{name}", tuple(features[labels].names), parts, counts, whole=whole, warn=warn)


def _load(name: str) -> Mapping[str, Any]:
    try:
        import datasets
    except ModuleNotFoundError:
        raise DeepcorrectError(f"--data hf:{name}: datasets is not installed; pip install datasets") from None
    try:
        if (Path(name) / "dataset_dict.json").is_file():
            return cast(Mapping[str, Any], datasets.load_from_disk(name))
        place, _, configuration = name.partition(":")
        return cast(Mapping[str, Any], datasets.load_dataset(place, configuration or None))
    except Exception as error:  # the hub, the network and every file format have errors of their own
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DeepcorrectError(f"--data hf:{name}: {reason}") from error
