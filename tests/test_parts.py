"""Which folders are splits and which are classes, and what is said of those that are neither."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets import load_dataset
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.layouts import plain
from deepcorrect.datasets.parts import part_of

PETS = {"cat": 12, "dog": 12}


def fill(root: Path, sizes: Mapping[str, int]) -> None:
    """So many images in each folder; none make it empty."""
    for place, count in sizes.items():
        (root / place).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("L", (4, 4), number).save(root / place / f"{number:02}.png")


def below(**parts: Mapping[str, int]) -> dict[str, int]:
    """Folders of classes below those of parts."""
    return {f"{part}/{label}": count for part, classes in parts.items() for label, count in classes.items()}


def load(root: Path, sizes: Mapping[str, int]) -> tuple[Dataset, list[str]]:
    """The data of such a folder, and what was told."""
    fill(root, sizes)
    told: list[str] = []
    return load_dataset(f"folder:{root}", warn=told.append), told


def sizes_of(data: Dataset) -> tuple[int, int, int]:
    return len(data.train), len(data.validation), len(data.test)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train", "train"), ("Training", "train"), ("TRAIN_images", "train"), ("train2017", "train"), ("training_set", "train"),
        ("trainval", "train"), ("val", "val"), ("Valid", "val"), ("validation", "val"), ("dev", "val"), ("eval", "val"),
        ("images-val", "val"), ("test", "test"), ("Testing", "test"), ("test set", "test"), ("imgs_test", "test"),
        ("cat", None), ("trainer", None), ("steam_train", None), ("test_tube", None), ("contest", None), ("images", None),
        ("devil", None), ("tr\u00e4in", None), ("", None),
    ],
)  # fmt: skip
def test_names_of_parts(name: str, part: str | None) -> None:
    assert part_of(name) == part


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("Train", "Validation", "TEST"), (24, 24, 24)),
        (("training", "dev"), (22, 2, 24)),
        (("train_images", "test_images"), (22, 2, 24)),
        (("eval", "testing"), (0, 24, 24)),
        (("train",), (18, 2, 4)),
        (("test",), (18, 2, 4)),
    ],
)
def test_split_folders_are_no_classes(tmp_path: Path, parts: tuple[str, ...], expected: tuple[int, int, int]) -> None:
    data, _ = load(tmp_path, below(**dict.fromkeys(parts, PETS)))
    assert data.classes == ("cat", "dog")
    assert sizes_of(data) == expected


def test_a_folder_as_an_archive_is_unpacked(tmp_path: Path) -> None:
    data, _ = load(tmp_path, below(**{"training_set/training_set": PETS, "test_set/test_set": {"cat": 2, "dog": 3}}))
    assert (data.classes, len(data.test)) == (("cat", "dog"), 5)


def test_a_class_may_be_called_like_a_split(tmp_path: Path) -> None:
    data, told = load(tmp_path, {"train": 10, "car": 10, "plane": 10})
    assert data.classes == ("car", "plane", "train")
    assert len(told) == 1
    assert f"{tmp_path / 'train'}: taken as a class" in told[0]


def test_classes_inside_of_splits_may_be_called_anything(tmp_path: Path) -> None:
    data, told = load(tmp_path, below(train={"test": 5, "real": 5}, val={"test": 2, "real": 2}))
    assert data.classes == ("real", "test")
    assert not told


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (below(train=PETS, val=PETS, valid=PETS), "val and valid are both its val images"),
        (below(train=PETS, val=PETS) | {"emu": 3}, "train is a split .*, but emu beside it is not"),
        ({"train": 5, "test": 5}, "test and train hold images but no sub-folders of classes"),
        ({"train": 5, "test": 5, "cat": 5}, "test and train hold images but no sub-folders of classes"),
        ({"test": 5}, "test holds images but no sub-folders of classes"),
        (below(cat={"train": 5, "test": 5}, dog={"train": 5, "test": 5}), "test and train are splits inside of a class"),
        ({f"images/{place}": 3 for place in below(train=PETS, val=PETS)}, "if those are the classes, give .*images"),
        (below(train=PETS, val={"Cat": 2, "dog": 2}), "val/Cat and .*train/cat differ only in upper and lower case"),
        (below(train={"caf\u00e9": 3, "bar": 3}, val={"cafe\u0301": 3}), r"'cafe\\u0301'\) and .*'caf\\xe9'\) differ"),
        ({"caf\u00e9": 3, "cafe\u0301": 3}, r"'cafe\\u0301' and 'caf\\xe9' differ only in their Unicode form"),
        (below(train=PETS | {"emu": 0}, val=PETS | {"emu": 3}), "train/emu: no images"),
        (below(train=PETS, val=PETS | {"emu": 3}), "val/emu: a class that the training images do not have"),
        (below(train=PETS, val={"cat": 0, "dog": 0}), "val: no images that can be read in any of its 2 classes' folders"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_apart_is_refused(tmp_path: Path, sizes: dict[str, int], message: str) -> None:
    with pytest.raises(DeepcorrectError, match=message) as refused:
        load(tmp_path, sizes)
    assert len(str(refused.value).splitlines()) == 1


def test_letters_of_both_cases_are_classes(tmp_path: Path) -> None:
    assert load(tmp_path, below(train={"A": 3, "a": 3}, val={"A": 1, "a": 1}))[0].classes == ("A", "a")


@pytest.mark.parametrize("empty", [False, True])
def test_a_class_without_test_images_is_told_and_labels_stay(tmp_path: Path, empty: bool) -> None:
    sizes = below(train={"ant": 5, "bee": 5, "cat": 5}, val={"ant": 2, "cat": 3}) | ({"val/bee": 0} if empty else {})
    data, told = load(tmp_path, sizes)
    assert data.classes == ("ant", "bee", "cat")
    assert data.test.labels.tolist() == [0, 0, 2, 2, 2]
    assert told == [f"folder:{tmp_path}: no test images of 1 of the 3 classes (bee)"]


def test_classes_of_two_parts_without_training_images_are_taken_together(tmp_path: Path) -> None:
    data, _ = load(tmp_path, below(val={"bee": 2}, test={"ant": 1, "cat": 1}))
    assert data.classes == ("ant", "bee", "cat")
    assert (data.validation.labels.tolist(), data.test.labels.tolist()) == ([1, 1], [0, 2])


def test_images_outside_of_classes_are_told(tmp_path: Path) -> None:
    data, told = load(tmp_path, below(train=PETS | {"": 2}, val=PETS) | {"": 3, "annotations": 0, "test": 4})
    assert sizes_of(data) == (22, 2, 24)
    assert [line.removeprefix(str(tmp_path)) for line in told] == [
        "/test: left out, because it has no sub-folders of classes (4 images)",
        ": 3 image(s) directly in it, 00.png the first, belong to no class and are left out",
        "/train: 2 image(s) directly in it, 00.png the first, belong to no class and are left out",
    ]


def test_folders_of_programs_and_systems_are_no_classes(tmp_path: Path) -> None:
    fill(tmp_path, PETS | {".ipynb_checkpoints": 2, "__MACOSX": 2})
    assert list(plain(tmp_path)["all"]) == ["cat", "dog"]


def test_folds_that_look_like_classes_are_told(tmp_path: Path) -> None:
    _, told = load(tmp_path, below(first=PETS, second=PETS))
    assert len(told) == 1
    assert f"each has folders cat, dog; if these are, give folder:{tmp_path / 'first'}" in told[0]
