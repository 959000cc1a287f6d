from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets import load_dataset
from deepcorrect.datasets.cifar100 import read_cifar100, unpack_archive
from deepcorrect.datasets.decoding import Resize
from deepcorrect.datasets.division import split
from deepcorrect.datasets.folder import read_folder
from deepcorrect.datasets.images import ImageSet

Edit = Callable[[dict[bytes, object]], object]


def write_cifar(root: Path, edit: Edit = lambda content: None) -> Path:
    """Files laid out like the official ones, 10 training and 2 test images for each of 100 classes."""
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    random = np.random.RandomState(0)
    for name, count in (("train", 1000), ("test", 200)):
        labels = [int(label) for label in random.permutation(count) % 100]
        data = random.randint(0, 256, (count, 3072)).astype(np.uint8)
        content: dict[bytes, object] = {b"data": data, b"fine_labels": labels, b"coarse_labels": [0] * count}
        if name == "train":
            edit(content)
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    names = {b"fine_label_names": [f"class{i}".encode() for i in range(100)]}
    (folder / "meta").write_bytes(pickle.dumps(names, protocol=2))
    return root


def test_cifar_is_read_and_split(tmp_path: Path) -> None:
    data = load_dataset("cifar100", root=write_cifar(tmp_path))
    assert (len(data.train), len(data.validation), len(data.test)) == (900, 100, 200)
    assert data.image_shape == (3, 32, 32)
    assert data.classes[7] == "class7"
    with (tmp_path / "cifar-100-python" / "train").open("rb") as file:
        raw = pickle.load(file)
    index = int(data.validation.indices[3])
    picture = np.moveaxis(data.validation.held().images[3].numpy(), 0, -1)
    assert np.array_equal(picture[5, 9], raw[b"data"][index].reshape(3, 32, 32)[:, 5, 9])
    assert int(data.validation.labels[3]) == raw[b"fine_labels"][index]
    assert torch.bincount(data.validation.labels).tolist() == [1] * 100
    assert not set(data.validation.indices.tolist()) & set(data.train.indices.tolist())


class Hostile:
    """Runs a command when it is unpickled without care."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.target}",)


def test_a_hostile_pickle_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    target = tmp_path / "owned"
    root = write_cifar(tmp_path, lambda content: content.update({b"filenames": Hostile(target)}))
    with pytest.raises(DeepcorrectError, match=r"train: not a sound CIFAR-100 file \(it asks for posix.system"):
        read_cifar100(root)
    assert not target.exists()


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    file = write_cifar(tmp_path) / "cifar-100-python" / "train"
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(DeepcorrectError, match=r"train: not a sound CIFAR-100 file"):
        read_cifar100(tmp_path)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda content: content.update({b"fine_labels": [100] * 1000}), "label 100 lies outside the 100 classes"),
        (lambda content: content.update({b"fine_labels": [-1] * 1000}), "label -1 lies outside the 100 classes"),
        (lambda content: content.update({b"fine_labels": ["apple"] * 1000}), "its labels are no integers"),
        (lambda content: content.update({b"fine_labels": [[1], [1, 2]]}), "its labels are no integers"),
        (lambda content: content.update({b"fine_labels": [1] * 999}), "is not CIFAR-100"),
        (lambda content: content.pop(b"fine_labels"), "fine_labels is missing"),
        (lambda content: content.update({b"data": np.zeros((1000, 10), np.uint8)}), "is not CIFAR-100"),
    ],
)
def test_unsound_content_is_refused(tmp_path: Path, edit: Edit, reason: str) -> None:
    with pytest.raises(DeepcorrectError, match=reason):
        read_cifar100(write_cifar(tmp_path, edit))


def test_missing_files_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(DeepcorrectError, match=r"meta: missing; .*download_cifar100"):
        read_cifar100(tmp_path)
    with pytest.raises(DeepcorrectError, match=r"^cifar100: give root, the folder"):
        load_dataset("cifar100")


def test_an_archive_is_unpacked_only_if_its_checksum_is_right(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(write_cifar(tmp_path / "source") / "cifar-100-python", "cifar-100-python")
    archive, root = buffer.getvalue(), tmp_path / "root"
    root.mkdir()
    with pytest.raises(DeepcorrectError, match="nothing was unpacked"):
        unpack_archive(archive, "0" * 32, root)
    assert not list(root.iterdir())
    unpack_archive(archive, hashlib.md5(archive).hexdigest(), root)
    assert [path.name for path in root.iterdir()] == ["cifar-100-python"]
    assert len(read_cifar100(root).test) == 200


def test_the_real_cifar_100(data_root: Path) -> None:
    data = read_cifar100(data_root)
    assert (len(data.train), len(data.validation), len(data.test)) == (45_000, 5_000, 10_000)
    assert torch.bincount(data.validation.labels).tolist() == [50] * 100
    assert torch.bincount(data.test.labels).tolist() == [100] * 100
    assert data.classes[0] == "apple"


def write_pictures(folder: Path, count: int, size: tuple[int, int] = (12, 10)) -> None:
    folder.mkdir(parents=True)
    for place in range(count):
        Image.new("RGB", size, (place * 7 % 256, 10, 20)).save(folder / f"{place:03}.png")


def test_folders_of_classes_are_split(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        write_pictures(tmp_path / name, 20)
    data = load_dataset(f"folder:{tmp_path}")
    assert data.classes == ("cat", "dog")
    assert (len(data.train), len(data.validation), len(data.test)) == (28, 4, 8)
    assert data.image_shape == (3, 10, 12)
    assert torch.equal(load_dataset(f"folder:{tmp_path}").test.indices, data.test.indices)


def test_ready_made_splits_are_used(tmp_path: Path) -> None:
    for part, count in (("train", 20), ("val", 5), ("test", 6)):
        for name in ("cat", "dog"):
            write_pictures(tmp_path / part / name, count)
    data = read_folder(tmp_path)
    assert (len(data.train), len(data.validation), len(data.test)) == (40, 10, 12)
    write_pictures(tmp_path / "test" / "bird", 2)
    with pytest.raises(DeepcorrectError, match="bird: a class that the training images do not have"):
        read_folder(tmp_path)


def test_images_are_brought_to_one_size(tmp_path: Path) -> None:
    write_pictures(tmp_path / "cat", 12, (40, 20))
    write_pictures(tmp_path / "dog", 12, (15, 33))
    with pytest.raises(DeepcorrectError, match=r"15x33 pixels, .* 40x20; give resize to bring"):
        load_dataset(f"folder:{tmp_path}")
    assert read_folder(tmp_path, resize=Resize(16)).image_shape == (3, 16, 16)
    assert read_folder(tmp_path, resize=Resize(16), grey=True).image_shape == (1, 16, 16)


def test_a_corrupt_image_is_named_and_can_be_skipped(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        write_pictures(tmp_path / name, 20)
    bad = tmp_path / "cat" / "005.png"
    bad.write_bytes(bad.read_bytes()[:40])
    with pytest.raises(DeepcorrectError, match=r"005.png: not a readable image .* with skip_bad=True$"):
        load_dataset(f"folder:{tmp_path}")
    told: list[str] = []
    data = read_folder(tmp_path, skip_bad=True, warn=told.append)
    assert len(data.train) + len(data.validation) + len(data.test) == 39
    assert len(told) == 1
    assert str(bad) in told[0]


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DeepcorrectError, match="no such folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(DeepcorrectError, match=r"0 sub-folder\(s\)"):
        read_folder(tmp_path)
    write_pictures(tmp_path / "cat", 12)
    (tmp_path / "dog").mkdir()
    with pytest.raises(DeepcorrectError, match=r"dog: no images"):
        read_folder(tmp_path)
    with pytest.raises(DeepcorrectError, match=r"^data='folders': unknown; use cifar100, digits, hf:NAME, folder:DIR, "):
        load_dataset("folders")


def test_digits_are_the_real_scans() -> None:
    data = load_dataset("digits")
    assert len(data.train) + len(data.validation) + len(data.test) == 1797
    assert data.image_shape == (1, 8, 8)
    assert data.test.held().images.max() == 255


def test_splitting_sets_a_share_of_every_class_aside() -> None:
    labels = torch.tensor([0] * 50 + [1] * 20 + [2] * 2 + [3])
    source = ImageSet.whole(torch.zeros(73, 1, 2, 2, dtype=torch.uint8), labels)
    rest, aside = split(source, 0.1, seed=0)
    assert torch.bincount(aside.labels, minlength=4).tolist() == [5, 2, 1, 0]
    assert sorted([*rest.indices.tolist(), *aside.indices.tolist()]) == list(range(73))
