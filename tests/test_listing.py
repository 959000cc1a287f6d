"""Which files of a folder are read, in which order, and what is said of the others; against pathlib and torchvision."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets import load_dataset
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.decoding import Resize
from deepcorrect.datasets.listing import PassedOver, is_hidden, list_pictures


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def names(root: Path) -> list[str]:
    return [os.path.relpath(os.fsdecode(file), root) for file in list_pictures(root)[0]]


def lines(root: Path) -> list[str]:
    return list(list_pictures(root)[1].lines())


def draw(folder: Path, count: int, suffix: str = ".png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = np.random.RandomState([number, *folder.name.encode()]).randint(0, 256, (9, 9, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}{suffix}")


def size(data: Dataset) -> int:
    return len(data.train) + len(data.validation) + len(data.test)


def test_files_are_in_the_order_of_sorted_paths(tmp_path: Path) -> None:
    generator = random.Random(0)
    letters = [*"aBé-_ 1", "ab", "a.b"]
    for _ in range(150):
        deep = "/".join(generator.choices(letters, k=generator.randint(0, 3)))
        touch(
            tmp_path, f"{deep}/{''.join(generator.choices(letters, k=3))}.{generator.choice(['jpg', 'PNG', 'bmp'])}".strip("/")
        )
    wanted = sorted(path for path in tmp_path.glob("**/*") if path.is_file())
    assert names(tmp_path) == [str(path.relative_to(tmp_path)) for path in wanted]


def test_the_usual_files_are_those_of_torchvision(tmp_path: Path) -> None:
    folders = pytest.importorskip("torchvision.datasets.folder")
    suffixes = [*folders.IMG_EXTENSIONS, ".JPEG", ".Png", ".txt", ""]
    touch(tmp_path, *(f"cat/{place}{suffix}" for place, suffix in enumerate(suffixes)))
    theirs = folders.make_dataset(str(tmp_path), {"cat": 0}, folders.IMG_EXTENSIONS)
    assert {str(tmp_path / name) for name in names(tmp_path)} == {file for file, _ in theirs}


def test_every_kind_of_picture_is_read_and_others_are_told(tmp_path: Path) -> None:
    pictures = ["1.jfif", "2.JPE", "3.jp2", "4.tga", "5.dib", "6.pnm", "7.apng", "8.mpo", "9.webp", "a.tar.jpg"]
    touch(tmp_path, *pictures, *(f"{place}.cr2" for place in range(3)), "b.MOV", "README", "notes.txt", "labels.csv", "x.psd")
    assert names(tmp_path) == pictures
    assert lines(tmp_path) == ["skipped, because Pillow cannot read them here: 3 .cr2, 1 without a suffix, 1 .mov, 1 .psd"]
    assert lines(touch(tmp_path / "plain", "1.jpg", "notes.TXT", "Thumbs.db", "desktop.ini", ".DS_Store")) == []


def test_only_the_most_frequent_suffixes_are_told() -> None:
    passed = PassedOver()
    passed.suffixes.update({f".{number:04}": 1 for number in range(500)} | {".raw": 7, ".a\nb": 5})
    (line,) = passed.lines()
    assert line.endswith("7 .raw, 5 .a b, 1 .0000, 1 .0001, 1 .0002, 1 .0003, 496 of other suffixes")


@pytest.mark.parametrize("name", [".ipynb_checkpoints", "__MACOSX", ".git", "@eaDir", "$RECYCLE.BIN", ".thumbnails"])
def test_hidden_copies_are_left_out_and_counted(name: str, tmp_path: Path) -> None:
    root = touch(
        tmp_path / ".cache" / name / "data", "1.jpg", "in/2.jpg", f"{name}/1.jpg", f"in/{name}/deep/2.jpg", "in/._2.jpg"
    )
    assert is_hidden(root / name)
    assert not is_hidden(root)
    assert names(root) == ["1.jpg", "in/2.jpg"]
    assert lines(root) == ["skipped: 3 hidden image(s), such as those in .ipynb_checkpoints"]


def test_linked_files_and_folders_are_read_once(tmp_path: Path) -> None:
    root = touch(tmp_path / "data", "1.jpg", "in/2.jpg")
    touch(tmp_path / "more", "3.jpg")
    (root / "second").symlink_to(tmp_path / "more")
    (root / "third").symlink_to(tmp_path / "more")
    (root / "in" / "up").symlink_to(root)
    (root / "4.jpg").symlink_to(root / "1.jpg")
    (root / "broken.jpg").symlink_to(tmp_path / "nowhere")
    (root / "itself.jpg").symlink_to("itself.jpg")
    os.mkfifo(root / "pipe.jpg")
    assert names(root) == ["1.jpg", "4.jpg", "broken.jpg", "in/2.jpg", "itself.jpg", "second/3.jpg"]
    assert lines(root) == [
        "skipped, because Pillow cannot read them here: 1 .jpg",
        "skipped: 2 link(s) to folders that have been read already",
    ]


def test_a_folder_that_cannot_be_listed_is_refused_or_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = touch(tmp_path, "1.jpg", "closed/2.jpg") / "closed"

    def scandir(place: str) -> os._ScandirIterator[str]:
        if place == str(closed):
            raise PermissionError(13, "Permission denied", place)
        return entries(place)

    entries = os.scandir
    monkeypatch.setattr("deepcorrect.datasets.listing.os.scandir", scandir)
    with pytest.raises(DeepcorrectError, match=r"closed: this folder cannot be listed \(Permission denied\); .*skip_bad=True"):
        list_pictures(tmp_path)
    told: list[str] = []
    assert list_pictures(tmp_path, told.append)[0] == [os.fsencode(tmp_path / "1.jpg")]
    assert told == [f"skipped: {closed}: this folder cannot be listed (Permission denied)"]


def test_what_a_whole_folder_passes_over_is_one_line(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        draw(tmp_path / name, 12)
        draw(tmp_path / name / ".ipynb_checkpoints", 12)
        draw(tmp_path / name, 3, ".jfif")
        touch(tmp_path / name, "film.mov")
    told: list[str] = []
    data = load_dataset(f"folder:{tmp_path}", warn=told.append)
    assert size(data) == 30
    assert told == [
        f"folder:{tmp_path}: skipped, because Pillow cannot read them here: 2 .mov",
        f"folder:{tmp_path}: skipped: 24 hidden image(s), such as those in .ipynb_checkpoints",
    ]
    images = [image.numpy().tobytes() for part in (data.train, data.validation, data.test) for image in part.held().images]
    assert len(set(images)) == 24 + 6


def test_a_class_of_other_files_says_which(tmp_path: Path) -> None:
    draw(tmp_path / "cat", 12)
    touch(tmp_path / "dog", "1.cr2", "2.mov", "3.mov")
    with pytest.raises(DeepcorrectError, match=r"dog: no images .*in this class's folder \(there are 2 \.mov, 1 \.cr2\)$"):
        load_dataset(f"folder:{tmp_path}")


@pytest.mark.parametrize("workers", [0, 1])
def test_names_that_are_no_text_are_read_and_told_in_one_line(workers: int, tmp_path: Path) -> None:
    for name in (b"cat", b"dog\xff\n"):
        folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
        folder.mkdir()
        for number in range(12):
            Image.new("RGB", (9, 9), (number, 0, 0)).save(folder / f"{number}.png")
    assert size(load_dataset(f"folder:{tmp_path}", workers=workers)) == 24
    (folder / "3.png").write_bytes(b"")
    with pytest.raises(DeepcorrectError, match=r"dog\ufffd /3.png: not a readable image .*skip_bad=True$"):
        load_dataset(f"folder:{tmp_path}", workers=workers)


@pytest.mark.parametrize("resize", [None, Resize(8)])
def test_the_first_image_may_be_skipped_too(resize: Resize | None, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        draw(tmp_path / name, 12)
    (tmp_path / "cat" / "00.png").write_bytes(b"")
    with pytest.raises(DeepcorrectError, match=r"00.png: not a readable image .*skip_bad=True$"):
        load_dataset(f"folder:{tmp_path}", resize=resize)
    assert size(load_dataset(f"folder:{tmp_path}", resize=resize, skip_bad=True)) == 23
