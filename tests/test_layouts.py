"""Data sets in folders as they are distributed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets import Counts, load_dataset
from deepcorrect.datasets.dataset import Dataset


def fill(folder: Path, place: int, suffix: str = ".jpg") -> None:
    """Three 6x4 images of one grey, which tells the class."""
    buffer = io.BytesIO()
    Image.new("L", (6, 4), place % 256).save(buffer, "png")
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"image_{number:04}{suffix}").write_bytes(buffer.getvalue())


def greys(data: Dataset) -> list[int]:
    """The grey of each class's test image."""
    assert torch.equal(data.test.labels, torch.arange(len(data.classes)))
    return data.test.held().images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("above", ["101_ObjectCategories", "caltech-101/101_ObjectCategories", "."])
def test_caltech_101(tmp_path: Path, above: str) -> None:
    for place in range(101):
        fill(tmp_path / above / f"thing_{place:03}", place)
    fill(tmp_path / above / "BACKGROUND_Google", 200)
    data = load_dataset(f"caltech101:{tmp_path}", counts=Counts(1, 1))
    assert data.classes == tuple(f"thing_{place:03}" for place in range(101))
    assert (len(data.train), len(data.validation), data.ladder) == (101, 101, "cifar")
    assert greys(data) == list(range(101))


def test_caltech_256(tmp_path: Path) -> None:
    folder = tmp_path / "256_ObjectCategories"
    for place in range(256):
        fill(folder / f"{place + 1:03}.thing-{300 - place}", place)
    fill(folder / "257.clutter", 3)
    (folder / "056.thing-245" / "greg").mkdir()
    data = load_dataset(f"caltech256:{tmp_path}", counts=Counts(1, 1))
    assert data.classes[:2] == ("thing-300", "thing-299")
    assert greys(data) == list(range(256))
    assert load_dataset(f"caltech256:{folder}", counts=Counts(1, 1)).classes == data.classes


def test_sun_397(tmp_path: Path) -> None:
    folder = tmp_path / "SUN397"
    places = [f"a/scene_{place:03}" for place in range(200)]
    places += [f"b/building_{place:03}/{side}" for place in range(99) for side in ("indoor", "outdoor")]
    places = places[:397]
    for place, name in enumerate(places):
        fill(folder / name, place)
    with pytest.raises(DeepcorrectError, match=r"ClassName.txt: missing; give the folder in which SUN397.tar.gz was unpacked"):
        load_dataset(f"sun397:{tmp_path}")
    (folder / "ClassName.txt").write_text("".join(f"/{name}\n" for name in places))
    data = load_dataset(f"sun397:{tmp_path}", counts=Counts(1, 1))
    assert (data.classes[0], data.classes[200], data.classes[201]) == (
        "scene_000",
        "building_000/indoor",
        "building_000/outdoor",
    )
    assert greys(data) == [place % 256 for place in range(397)]


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        ("caltech101", "2 of the 101 classes of Caltech-101 are there; unpack it again"),
        ("caltech256", "0 of the 256 classes of Caltech-256 are there; unpack it again"),
        ("sun397", "ClassName.txt: missing"),
    ],
)
def test_another_folder_is_refused(tmp_path: Path, layout: str, reason: str) -> None:
    for place, name in enumerate(("cat", "dog")):
        fill(tmp_path / name, place)
    with pytest.raises(DeepcorrectError, match=reason):
        load_dataset(f"{layout}:{tmp_path}")
    with pytest.raises(DeepcorrectError, match=f"^{layout}:.*nowhere: no such folder"):
        load_dataset(f"{layout}:{tmp_path / 'nowhere'}")


def test_a_class_without_its_folder_is_missed(tmp_path: Path) -> None:
    fill(tmp_path / "a" / "abbey", 1)
    (tmp_path / "ClassName.txt").write_text("/a/abbey\n/a/airfield\n")
    with pytest.raises(DeepcorrectError, match="1 of the 397 classes of SUN-397 are there"):
        load_dataset(f"sun397:{tmp_path}")
