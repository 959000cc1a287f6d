"""Images that are decoded when they are read give what images in memory give."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepcorrect import datasets
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets import load_dataset, streaming
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.decoding import Resize
from deepcorrect.datasets.images import ImageSet
from deepcorrect.datasets.streaming import StreamedSet
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.evaluation.sweep import evaluate
from deepcorrect.models.layers import find_layers
from deepcorrect.models.smallcnn import SmallCNN
from deepcorrect.ranking.gains import GainMeter
from deepcorrect.training.batches import TrainingBatches
from deepcorrect.training.recipes import get_recipe

NOISE = get_distortion("noise")
CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of 20 random JPEG images of several sizes."""
    random = np.random.RandomState(0)
    for name in ("ant", "bee", "cat"):
        (tmp_path / name).mkdir()
        for number in range(20):
            pixels = random.randint(0, 256, (random.randint(30, 60), random.randint(30, 60), 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number:02}.jpg")
    return tmp_path


def load(folder: Path, monkeypatch: pytest.MonkeyPatch, *, held: bool, workers: int = 0) -> Dataset:
    monkeypatch.setattr(datasets, "HELD_BYTES", 10**9 if held else 0)
    monkeypatch.setattr(streaming, "READ_AT_ONCE", 3)
    return load_dataset(f"folder:{folder}", resize=Resize(24), workers=workers)


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_images_are_evaluated_ranked_and_trained_on_as_held_ones(
    folder: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, streamed = (load(folder, monkeypatch, held=held, workers=workers) for held in (True, False))
    assert isinstance(held.test, ImageSet)
    assert isinstance(streamed.test, StreamedSet)
    assert streamed.image_shape == held.image_shape == (3, 24, 24)
    assert streamed.ladder == held.ladder
    groups = [torch.arange(1, 5), torch.arange(0), torch.tensor([4, 2, 4])]
    for one, other in zip(held.test.read(groups), streamed.test.read(groups), strict=True):
        assert torch.equal(one, other)
    torch.manual_seed(0)
    model = SmallCNN(classes=3, channels=3).eval()
    found = [evaluate(model, data.test, NOISE, (20, 90), classes=3, batch_size=5) for data in (held, streamed)]
    assert found[0] == found[1]
    layer = find_layers(model, as_float(held.test.images[:1]))[0]
    gains = [GainMeter(model, data.validation, NOISE).measure(layer, 60.0).each for data in (held, streamed)]
    assert torch.equal(*gains)
    recipe = get_recipe("fast", "correct", batch_size=8)
    sources = [
        TrainingBatches(data.train, recipe, distortion=NOISE, levels=(20, 90), seed=0, device=CPU) for data in (held, streamed)
    ]
    for one, other in zip(*(source.epoch(1) for source in sources), strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)


def test_a_limit_takes_as_many_of_each_class(folder: Path) -> None:
    data = load_dataset(f"folder:{folder}", resize=Resize(24), limit=3)
    assert torch.bincount(data.train.labels).tolist() == [3, 3, 3]
    assert torch.bincount(data.test.labels).tolist() == [3, 3, 3]
    assert torch.bincount(data.validation.labels).tolist() == [2, 2, 2]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_cannot_be_decoded_is_named(folder: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(folder, monkeypatch, held=False, workers=workers)
    assert isinstance(data.test, StreamedSet)
    bad = Path(os.fsdecode(data.test.stream.items[3]))
    bad.write_bytes(bad.read_bytes()[:300])
    groups = [torch.arange(place, place + 2) for place in range(0, 8, 2)]
    with pytest.raises(DeepcorrectError, match=rf"^{bad}: not a readable image .* with skip_bad=True$"):
        list(data.test.read(groups))


def test_a_group_comes_from_a_worker_by_one_open_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(folder, monkeypatch, held=False, workers=1)
    assert isinstance(data.train, StreamedSet)
    opened = []
    for size in (2, 40):
        group = next(data.train.stream.decoded([torch.arange(size)] * 2))
        assert len(group.pixels) == size
        opened.append(len(list(Path("/dev/fd").iterdir())))
    assert opened[1] - opened[0] < 10


def test_what_images_are_streamed_and_how_is_in_the_fingerprint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(folder, monkeypatch, held=False).fingerprint()
    assert load(folder, monkeypatch, held=False, workers=2).fingerprint() == first
    assert load_dataset(f"folder:{folder}", resize=Resize(25)).fingerprint() != first
    with monkeypatch.context() as others:
        others.setattr("deepcorrect.datasets.streaming.DECODING", -1)
        assert load(folder, monkeypatch, held=False).fingerprint() != first
    (folder / "ant" / "00.jpg").rename(folder / "ant" / "30.jpg")
    assert load(folder, monkeypatch, held=False).fingerprint() != first


def test_a_data_set_of_the_hub_is_read_as_the_folder_it_was_made_of(folder: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("datasets")
    plain = load_dataset(f"folder:{folder}", resize=Resize(24))
    files = sorted(folder.glob("*/*.jpg"))
    features = library.Features({"picture": library.Image(), "kind": library.ClassLabel(names=list(plain.classes))})
    rows = {"picture": [str(file) for file in files], "kind": [plain.classes.index(file.parent.name) for file in files]}
    hidden = rows | {"kind": [-1] * len(files)}
    for splits, left in (({"train": rows}, None), ({"train": rows, "test": hidden}, "its test split are not public")):
        tables = {name: library.Dataset.from_dict(content, features=features) for name, content in splits.items()}
        library.DatasetDict(tables).save_to_disk(tmp_path / "saved")
        told: list[str] = []
        found = load_dataset(f"hf:{tmp_path / 'saved'}", resize=Resize(24), warn=told.append)
        assert found.classes == plain.classes
        for part in ("train", "validation", "test"):
            mine, other = getattr(found, part).held(), getattr(plain, part).held()
            assert torch.equal(mine.images, other.images)
            assert torch.equal(mine.labels, other.labels)
        assert [message for message in told if left and left in message] == told
    library.DatasetDict({"train": library.Dataset.from_dict({"text": ["a"]})}).save_to_disk(tmp_path / "text")
    with pytest.raises(DeepcorrectError, match=r"needs a column of images and one of classes \(it has text\)"):
        load_dataset(f"hf:{tmp_path / 'text'}")
    with pytest.raises(DeepcorrectError, match=r"^hf:nowhere/nothing: "):
        load_dataset("hf:nowhere/nothing")
