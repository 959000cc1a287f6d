"""Tables of images and classes: splits, columns and rows as they come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets import load_dataset
from deepcorrect.datasets.dataset import Dataset

library: Any = pytest.importorskip("datasets")

CLASSES = ["cat", "dog"]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Twelve random pictures of each of two classes, all different."""
    random = np.random.RandomState(0)
    for name in CLASSES:
        (tmp_path / name).mkdir()
        for number in range(12):
            Image.fromarray(random.randint(0, 256, (6, 9, 3)).astype(np.uint8)).save(tmp_path / name / f"{number:02}.png")
    return [str(file) for file in sorted(tmp_path.glob("*/*.png"))]


def kinds(files: Sequence[str]) -> list[str]:
    return [Path(file).parent.name for file in files]


def table(images: Sequence[Any], labels: Sequence[Any], *, names: Sequence[str] = CLASSES, **options: Any) -> Any:
    features = library.Features({"image": library.Image(**options), "label": library.ClassLabel(names=list(names))})
    return library.Dataset.from_dict({"image": list(images), "label": list(labels)}, features=features)


def saved(folder: Path, **splits: Any) -> str:
    library.DatasetDict(splits).save_to_disk(folder / "rows")
    return f"hf:{folder / 'rows'}"


def size(data: Dataset) -> int:
    return len(data.train) + len(data.validation) + len(data.test)


def contents(data: Dataset) -> dict[bytes, str]:
    """The class of each image, by its pixels."""
    parts = (part.held() for part in (data.train, data.validation, data.test))
    return {
        image.numpy().tobytes(): data.classes[label]
        for part in parts
        for image, label in zip(part.images, part.labels.tolist(), strict=True)
    }


def truth(files: Sequence[str]) -> dict[bytes, str]:
    return {
        np.moveaxis(np.asarray(Image.open(file)), -1, 0).tobytes(): kind for file, kind in zip(files, kinds(files), strict=True)
    }


def test_splits_that_number_their_classes_differently_are_mapped_by_name(files: list[str], tmp_path: Path) -> None:
    half = slice(0, None, 2)
    spec = saved(tmp_path, train=table(files, kinds(files)), test=table(files[half], kinds(files[half]), names=["dog", "cat"]))
    data = load_dataset(spec)
    assert data.classes == ("cat", "dog")
    assert contents(data) == truth(files)
    assert data.test.labels.tolist() == [0] * 6 + [1] * 6
    spec = saved(tmp_path / "less", train=table(files, kinds(files)), test=table(files[12:], ["dog"] * 12, names=["dog"]))
    assert load_dataset(spec).test.labels.tolist() == [1] * 12
    unused = table(files, kinds(files), names=["bird", "dog", "cat"])
    assert contents(load_dataset(saved(tmp_path / "unused", train=table(files, kinds(files)), test=unused))) == truth(files)


def test_a_class_that_the_first_split_lacks_is_refused(files: list[str], tmp_path: Path) -> None:
    other = table(files, ["bird", *kinds(files)[1:]], names=["bird", "cat", "dog"])
    with pytest.raises(
        DeepcorrectError, match="its test split has a class that its train split does not: bird; remove its rows"
    ):
        load_dataset(saved(tmp_path, train=table(files, kinds(files)), test=other))


@pytest.mark.parametrize("decode", [True, False])
def test_images_are_read_whether_the_table_decodes_them_or_not(files: list[str], tmp_path: Path, *, decode: bool) -> None:
    encoded = [Path(file).read_bytes() for file in files]
    for images in (files, encoded):
        spec = saved(tmp_path, train=table(images, kinds(files), decode=decode))
        assert contents(load_dataset(spec)) == truth(files)


@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.parametrize("lost", [0, 23])
def test_a_row_without_its_image_is_refused_or_skipped(files: list[str], tmp_path: Path, lost: int, *, decode: bool) -> None:
    images: list[str | None] = [*files]
    images[lost] = None
    spec = saved(tmp_path, train=table(images, kinds(files), decode=decode))
    with pytest.raises(DeepcorrectError, match=rf"row {lost}: no image in this row; repair or remove it, .*skip_bad=True$"):
        load_dataset(spec)
    told: list[str] = []
    assert size(load_dataset(spec, skip_bad=True, warn=told.append)) == 23
    assert told == [f"skipped: {spec}, all, row {lost}: no image in this row"]


@pytest.mark.parametrize("lost", [[3], [0, 20]])
@pytest.mark.parametrize("missing", [None, -1])
def test_rows_without_their_class_are_refused_or_skipped(
    files: list[str], tmp_path: Path, lost: list[int], missing: int | None
) -> None:
    labels = [missing if row in lost else CLASSES.index(kind) for row, kind in enumerate(kinds(files))]
    spec = saved(tmp_path, train=table(files, labels))
    with pytest.raises(DeepcorrectError, match=rf"row {lost[0]}: no class; .*skip_bad=True$"):
        load_dataset(spec)
    told: list[str] = []
    data = load_dataset(spec, skip_bad=True, warn=told.append)
    assert contents(data) == truth([file for row, file in enumerate(files) if row not in lost])
    assert told == [f"skipped: {spec}, all, row {lost[0]}: no class (rows without a class: {len(lost)})"]


def test_a_split_without_any_class_is_left_out(files: list[str], tmp_path: Path) -> None:
    train, told = table(files, kinds(files)), list[str]()
    bare = table(files, kinds(files)).remove_columns("label")
    for number, hidden in enumerate((table(files, [None] * 24), bare)):
        assert size(load_dataset(saved(tmp_path / str(number), train=train, test=hidden), warn=told.append)) == 24
        assert told.pop().endswith("the classes of its test split are not public; it is left out")
    with pytest.raises(DeepcorrectError, match="no row of its all split has a class"):
        load_dataset(saved(tmp_path / "none", train=table(files, [-1] * 24)))


def test_classes_that_are_text_are_named_by_it(files: list[str], tmp_path: Path) -> None:
    rows = table(files, kinds(files)).cast_column("label", library.Value("int64")).remove_columns("label")
    spec = saved(tmp_path, train=rows.add_column("label", kinds(files)))
    told: list[str] = []
    data = load_dataset(spec, warn=told.append)
    assert data.classes == ("cat", "dog")
    assert contents(data) == truth(files)
    assert told == [f"{spec}: its classes are the texts of its column label, in alphabetical order"]


def test_columns_that_are_no_images_or_classes_are_refused_with_the_remedy(files: list[str], tmp_path: Path) -> None:
    rows = table(files, kinds(files))
    plain = rows.cast_column("label", library.Value("int64"))
    encoded = library.Dataset.from_dict({"image": [Path(file).read_bytes() for file in files], "label": kinds(files)})
    arrays = library.Dataset.from_dict({"image": [[[1, 2], [3, 4]]] * 4, "label": ["cat"] * 4})
    for number, train in enumerate((plain, encoded, arrays)):
        with pytest.raises(DeepcorrectError, match=r"\(it has image, label\); cast_column\(\.\.\., datasets\.Image\(\)\)"):
            load_dataset(saved(tmp_path / str(number), train=train))
    other = rows.rename_column("image", "picture")
    with pytest.raises(DeepcorrectError, match="its test split has no column of images called image"):
        load_dataset(saved(tmp_path / "named", train=rows, test=other))


def test_which_of_several_columns_is_used_is_told(files: list[str], tmp_path: Path) -> None:
    rows = table(files, kinds(files))
    features = library.Features({"mask": library.Image(), **rows.features, "coarse": library.ClassLabel(names=["animal"])})
    columns = {"mask": files[::-1], "image": files, "label": kinds(files), "coarse": ["animal"] * 24}
    spec = saved(tmp_path, train=library.Dataset.from_dict(columns, features=features))
    told: list[str] = []
    assert contents(load_dataset(spec, warn=told.append)) == truth(files)
    used = "the first is used; remove it (remove_columns) to use another"
    assert told == [f"{spec}: of its columns image, mask {used}", f"{spec}: of its columns label, coarse {used}"]


def test_splits_that_are_not_used_are_told(files: list[str], tmp_path: Path) -> None:
    rows = table(files, kinds(files))
    told: list[str] = []
    data = load_dataset(saved(tmp_path, extra=rows.select(range(2)), train=rows), warn=told.append)
    assert contents(data) == truth(files)
    assert [message.split(": ", 1)[1] for message in told] == ["splits that are not used: extra"]


def test_a_single_table_of_save_to_disk_is_read(files: list[str], tmp_path: Path) -> None:
    table(files, kinds(files)).with_format("torch").save_to_disk(tmp_path / "single")
    assert contents(load_dataset(f"hf:{tmp_path / 'single'}")) == truth(files)


@pytest.mark.parametrize("mode", [None, "RGB", "L"])
def test_photographs_are_turned_and_scaled_as_files_are(tmp_path: Path, mode: str | None) -> None:
    tag = Image.Exif()
    tag[0x0112] = 6
    for kind in CLASSES:
        (tmp_path / "data" / kind).mkdir(parents=True)
        for number in range(12):
            pixels = np.random.RandomState(number).randint(0, 256, (6, 9)).astype(np.uint16) * 257
            Image.fromarray(pixels).save(tmp_path / "data" / kind / f"{number:02}.png", exif=tag)
    files = [str(file) for file in sorted(tmp_path.glob("data/*/*.png"))]
    plain, rows = (
        load_dataset(spec, grey=True)
        for spec in (f"folder:{tmp_path / 'data'}", saved(tmp_path, train=table(files, kinds(files), mode=mode)))
    )
    assert rows.image_shape == (1, 9, 6)
    assert torch.equal(rows.train.held().images, plain.train.held().images)
