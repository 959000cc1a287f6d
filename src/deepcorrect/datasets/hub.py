"""Data sets of the Hugging Face hub, or folders of ``save_to_disk``: rows with an image and a class, decoded when read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image

from deepcorrect.base.errors import DeepcorrectError, first_line
from deepcorrect.base.words import argument
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.decoding import Resize, eight_bits
from deepcorrect.datasets.division import Counts
from deepcorrect.datasets.parts import NAMES, part_of
from deepcorrect.datasets.streaming import Stream, StreamedSet

NO_CLASS = -1


@dataclass(frozen=True)
class Rows:
    """Opens the images of a table's rows by their numbers.

    Attributes:
        table: its images are encoded, as ``Image(decode=False)`` has them, or decoded.
        mode: of Pillow, in which the data set wants them.
    """

    table: Any
    column: str
    mode: str | None = None

    @classmethod
    def encoded(cls, table: Any, column: str) -> Rows:
        """Only the column of images is read, and its files as those of a folder are: each by the same rules."""
        import datasets

        only = table.with_format(None).select_columns([column]).cast_column(column, datasets.Image(decode=False))
        return cls(only, column, table.features[column].mode)

    def __call__(self, row: int) -> Image.Image:
        value = self.table[row][self.column]
        if value is None or value == {"bytes": None, "path": None}:
            raise DeepcorrectError("no image in this row")
        image = value if isinstance(value, Image.Image) else _open(value)
        return image if self.mode is None else eight_bits(image).convert(self.mode)


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
    """Read a data set's images and classes; its splits are used as ``deepcorrect.datasets.division.divide`` says.

    Classes are numbered as the first split numbers them, those of other splits by their names. Of several columns of images or
    of classes, ``image`` and ``label`` are taken, or the first, and ``warn`` is told.

    Args:
        name: on the hub, with a configuration behind a colon if it has several; or a folder.
        resize, grey, skip_bad, workers, counts, whole, warn: as for ``read_folder``. Rows without a class are bad too.

    Raises:
        DeepcorrectError: the library is not installed, the data set is missing, or it lacks a column of images or of classes.
    """
    tables = _parts(name, _load(name), warn)
    first, table = next(iter(tables.items()))
    images, labels = _columns(name, table.features, warn)
    classes = _names(table, labels)
    parts = {}
    for part, table in tables.items():
        if type(table.features.get(images)).__name__ != "Image":
            raise DeepcorrectError(f"hf:{name}: its {part} split has no column of images called {images}")
        numbers = _number(f"hf:{name}: its {part} split", table, labels, classes, first)
        rows = np.flatnonzero(numbers != NO_CLASS)
        source = f"hf:{name}, {part}, row "
        if not len(rows):
            warn(f"hf:{name}: the classes of its {part} split are not public; it is left out")
            continue
        if len(rows) < len(numbers):
            missing = f"{source}{int((numbers == NO_CLASS).argmax())}: no class"
            if not skip_bad:
                raise DeepcorrectError(
                    f"{missing}; repair or remove it, or leave such rows out with {argument('skip_bad', True)}"
                )
            warn(f"skipped: {missing} (rows without a class: {len(numbers) - len(rows)})")
        stream = Stream.of(rows, Rows.encoded(table, images), resize, grey, source=source, skip_bad=skip_bad, workers=workers)
        read = StreamedSet(stream, torch.from_numpy(numbers[rows]), torch.arange(len(rows)))
        parts[part] = read.without_bad(warn) if skip_bad else read
    if first not in parts:
        raise DeepcorrectError(f"hf:{name}: no row of its {first} split has a class")
    return Dataset.of_parts(f"hf:{name}", classes, parts, counts, whole=whole, warn=warn)


def _parts(name: str, tables: Mapping[str, Any], warn: Callable[[str], None]) -> dict[str, Any]:
    """The splits that are used, by part (train, val, test, or all); ``warn`` is told of the others."""
    used: dict[str, str] = {part: split for part in NAMES for split in reversed(list(tables)) if part_of(split) == part}
    if len(used) < 2:
        used = {"all": next(iter(used.values()), next(iter(tables)))}
    unused = [split for split in tables if split not in used.values()]
    if unused:
        warn(f"hf:{name}: splits that are not used: {', '.join(unused)}")
    return {part: tables[split] for part, split in used.items()}


def _columns(name: str, features: Mapping[str, Any], warn: Callable[[str], None]) -> tuple[str, str]:
    """The columns of the images and of their classes.

    Raises:
        DeepcorrectError: one is missing.
    """
    types = {column: type(feature).__name__ for column, feature in features.items()}
    images = [column for column, name_of_type in types.items() if name_of_type == "Image"]
    labels = [column for column, name_of_type in types.items() if name_of_type == "ClassLabel"]
    texts = [column for column in ("label", "labels") if str(getattr(features.get(column), "dtype", "")).endswith("string")]
    if not labels and texts:
        warn(f"hf:{name}: its classes are the texts of its column {texts[0]}, in alphabetical order")
        labels = texts
    if not images or not labels:
        raise DeepcorrectError(
            f"hf:{name}: it needs a column of images and one of classes (it has {', '.join(features)}); "
            "cast_column(..., datasets.Image()) and cast_column(..., datasets.ClassLabel(names=[...])) make them"
        )
    for columns, usual in ((images, ("image", "img")), (labels, ("label", "labels"))):
        columns.sort(key=lambda column: column not in usual)
        if len(columns) > 1:
            warn(f"hf:{name}: of its columns {', '.join(columns)} the first is used; remove it (remove_columns) to use another")
    return images[0], labels[0]


def _names(table: Any, column: str) -> tuple[str, ...]:
    """The names of a split's classes, in their own order, or alphabetically if they are text."""
    feature = table.features[column]
    if type(feature).__name__ == "ClassLabel":
        return tuple(feature.names)
    return tuple(sorted({value for value in _values(table, column) if value is not None}))


def _number(split: str, table: Any, column: str, classes: Sequence[str], first: str) -> np.ndarray:
    """The position of each row's class among ``classes``, (N,) int64; ``NO_CLASS`` where it is missing.

    Raises:
        DeepcorrectError: a class that the first split does not have.
    """
    feature = table.features.get(column)
    values = _values(table, column) if feature is not None else [None] * len(table)
    names = dict(enumerate(getattr(feature, "names", ())))
    positions = {name: position for position, name in enumerate(classes)}
    numbers: dict[Any, int] = {None: NO_CLASS, -1: NO_CLASS}
    for value in sorted(set(values) - numbers.keys(), key=str):
        called = names.get(value, value)
        if called not in positions:
            raise DeepcorrectError(f"{split} has a class that its {first} split does not: {called}; remove its rows")
        numbers[value] = positions[called]
    return np.array([numbers[value] for value in values], np.int64)


def _values(table: Any, column: str) -> list[Any]:
    return list(table.with_format(None)[column])


def _open(value: Mapping[str, Any]) -> Image.Image:
    """Open an encoded image: the bytes of its file, or the path."""
    if value["bytes"] is not None:
        return Image.open(BytesIO(value["bytes"]))
    if os.path.isfile(value["path"]):
        return Image.open(value["path"])
    import datasets

    return cast(Image.Image, datasets.Image().decode_example(value))


def _load(name: str) -> Mapping[str, Any]:
    try:
        import datasets
    except ModuleNotFoundError:
        raise DeepcorrectError(f"hf:{name}: datasets is not installed; pip install datasets") from None
    folder = Path(name).expanduser()
    try:
        if (folder / "dataset_dict.json").is_file():
            return cast(Mapping[str, Any], datasets.load_from_disk(folder))
        if (folder / "state.json").is_file():
            return {"train": datasets.load_from_disk(folder)}
        path, _, configuration = (str(folder), "", "") if folder.is_dir() else name.partition(":")
        return cast(Mapping[str, Any], datasets.load_dataset(path, configuration or None))
    except Exception as error:  # the hub, the network and every file format have errors of their own
        reason = first_line(error)
        raise DeepcorrectError(f"hf:{name}: {reason}") from error
