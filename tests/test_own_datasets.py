"""A user's own data set, in every form that the front door takes: the same images, bit for bit, with their labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler, Subset, TensorDataset, WeightedRandomSampler

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets import ImageSet, load_dataset
from deepcorrect.datasets.door import as_images, example_images, given_as
from deepcorrect.datasets.own import ItemSet

COUNT = 70
FLOATS = torch.rand(COUNT, 3, 6, 8, generator=torch.Generator().manual_seed(0))
EIGHT_BITS = (FLOATS * 255).byte()
LABELS = torch.arange(COUNT) % 5


class Own(Dataset[Any]):
    """What ``make`` gives for each index."""

    def __init__(self, make: Any, count: int = COUNT, **attributes: Any) -> None:
        self.make = make
        self.count = count
        self.read: list[int] = []
        vars(self).update(attributes)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        self.read.append(index)
        return self.make(index)


def picture(index: int) -> Image.Image:
    return Image.fromarray(EIGHT_BITS[index].permute(1, 2, 0).numpy())


def pair(index: int) -> tuple[Tensor, int]:
    return FLOATS[index], int(LABELS[index])


def first_two_reversed(batch: list[Any]) -> tuple[Tensor, Tensor]:
    """A ``collate_fn`` for items (label, image)."""
    return torch.stack([image for _, image in batch]), torch.tensor([label for label, _ in batch])


FORMS: dict[str, tuple[Any, Tensor]] = {
    "tensors": ((FLOATS, LABELS), FLOATS),
    "eight bits": ((EIGHT_BITS, LABELS), EIGHT_BITS),
    "doubles": ((FLOATS.double(), LABELS.int()), FLOATS),
    "arrays, channels last": ((EIGHT_BITS.permute(0, 2, 3, 1).numpy(), LABELS.numpy()), EIGHT_BITS),
    "a list of labels": ((FLOATS.numpy(), LABELS.tolist()), FLOATS),
    "a column of labels": ((FLOATS, LABELS[:, None]), FLOATS),
    "TensorDataset": (TensorDataset(FLOATS, LABELS), FLOATS),
    "pairs": (Own(pair), FLOATS),
    "lists": (Own(lambda index: list(pair(index))), FLOATS),
    "a list of pairs": ([pair(index) for index in range(COUNT)], FLOATS),
    "NumPy's labels": (Own(lambda index: (FLOATS[index], np.int32(LABELS[index]))), FLOATS),
    "labels of one element": (Own(lambda index: (FLOATS[index], LABELS[index : index + 1])), FLOATS),
    "Pillow": (Own(lambda index: (picture(index), int(LABELS[index]))), EIGHT_BITS),
    "items with channels last": (Own(lambda index: (np.asarray(picture(index)), int(LABELS[index]))), EIGHT_BITS),
    "mappings": (Own(lambda index: {"img": picture(index), "fine_label": int(LABELS[index]), "id": index}), EIGHT_BITS),
    "pixel values": (Own(lambda index: {"pixel_values": FLOATS[index], "labels": LABELS[index]}), FLOATS),
    "targets": (Own(pair, targets=LABELS.tolist()), FLOATS),
    "loader": (DataLoader(Own(pair), 7, shuffle=True), FLOATS),
    "loader with workers": (DataLoader(Own(pair), 7, num_workers=2, drop_last=True), FLOATS),
    "loader without batches": (DataLoader(Own(pair), batch_size=None), FLOATS),
    "loader with a collate_fn": (DataLoader(Own(lambda i: pair(i)[::-1]), 7, collate_fn=first_two_reversed), FLOATS),
    "loader of mappings": (
        DataLoader(
            Own(pair),
            collate_fn=lambda batch: {"image": torch.stack([b[0] for b in batch]), "label": [b[1] for b in batch]},
        ),
        FLOATS,
    ),
    "loader that zips": (DataLoader(Own(pair), 3, collate_fn=lambda batch: tuple(zip(*batch, strict=True))), FLOATS),
    "loader of lists": (DataLoader(Own(pair), 3, collate_fn=lambda batch: batch), FLOATS),
}  # fmt: skip


@pytest.mark.parametrize("hold", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_images_and_labels(form: str, hold: bool) -> None:
    data, wanted = FORMS[form]
    images = as_images(data, hold=hold)
    assert images.shape == (COUNT, 3, 6, 8)
    held = images.held()
    assert held.images.dtype == wanted.dtype
    assert torch.equal(held.images, wanted)
    assert torch.equal(images.labels, LABELS)
    assert torch.equal(images.indices, torch.arange(COUNT))
    assert torch.equal(next(images.read([torch.tensor([66, 1, 1])])), wanted[[66, 1, 1]])
    assert torch.equal(images.take(torch.tensor([5, 68])).held().images, wanted[[5, 68]])


def test_images_alone_have_no_labels_and_are_refused_where_labels_are_needed() -> None:
    for data in (FLOATS, FLOATS.numpy(), TensorDataset(FLOATS), Own(lambda index: FLOATS[index]), Own(picture)):
        images = as_images(data)
        assert images.labels.tolist() == [-1] * COUNT
        assert len(images.balanced(10, seed=0)) == 10
        with pytest.raises(DeepcorrectError, match=r"^the images have no labels, which ranking needs: give pairs"):
            images.require_labels("ranking")
    some = as_images(Own(lambda index: (FLOATS[index], -1 if index == 3 else 0)))
    with pytest.raises(DeepcorrectError, match=r"^1 of 70 images have no label, which training needs"):
        some.require_labels("training")
    as_images((FLOATS, LABELS)).require_labels("ranking")


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_images_of_any_shape_are_understood(channels: int) -> None:
    images = FLOATS[:, :channels]
    for data in (images, Own(lambda index: images[index])):
        assert torch.equal(as_images(data).held().images, images)
    grey = EIGHT_BITS[:, 0]
    arrays = Own(lambda index: grey[index].numpy())
    for each in (grey.numpy(), Own(lambda index: Image.fromarray(grey[index].numpy())), arrays):
        assert torch.equal(as_images(each).held().images, grey[:, None])
    palette = Own(lambda index: picture(index).convert("P"))
    assert as_images(palette).shape == (COUNT, 3, 6, 8)


def test_a_large_set_is_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Own(pair, targets=LABELS.tolist())
    assert isinstance(as_images(own), ImageSet)
    monkeypatch.setattr("deepcorrect.datasets.first_look.HELD_BYTES", FLOATS.nbytes - 1)
    own.read.clear()
    images = as_images(own)
    assert isinstance(images, ItemSet)
    assert set(own.read) != set(range(COUNT))  # the labels are listed, so only some are compared
    own.read.clear()
    next(images.read([torch.tensor([11, 60])]))
    assert own.read == [11, 60]
    assert images.signature() == as_images(own).signature() != as_images(Own(lambda index: pair(COUNT - 1 - index))).signature()


def test_listed_labels_are_not_relied_on() -> None:
    mapped = Own(lambda index: (FLOATS[index], 4 - int(LABELS[index])), targets=LABELS.tolist())
    assert torch.equal(as_images(mapped, hold=False).labels, 4 - LABELS)
    once = Own(lambda index: (FLOATS[index], 0 if index == 41 else int(LABELS[index])), targets=LABELS.tolist())
    with pytest.raises(DeepcorrectError, match=r"^Own: item 41: its label is 0, but the data set lists 1 for it"):
        as_images(once)
    for targets in (LABELS.tolist()[:-1], ["a"] * COUNT, None, LABELS.float()):
        assert torch.equal(as_images(Own(pair, targets=targets)).labels, LABELS)


def test_classes_are_named_by_the_data_set_unless_its_labels_are_changed() -> None:
    names = ["a", "b", "c", "d", "e"]
    own = Own(pair, targets=LABELS.tolist(), classes=names)
    assert given_as(own, "test").classes == tuple(names)
    part = Subset(own, [3, 4, 8])
    assert given_as(part, "test").classes == tuple(names)
    assert as_images(part).labels.tolist() == [3, 4, 3]
    assert given_as(part, "test").name == "subset of Own"
    changed = Own(lambda index: (FLOATS[index], int(LABELS[index]) % 2), targets=LABELS.tolist(), classes=names)
    assert given_as(changed, "test").classes is None


def test_a_data_set_of_datasets_is_understood_and_its_splits_are_named() -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list("abcde"))})
    table = datasets.Dataset.from_dict(
        {"image": [picture(index) for index in range(COUNT)], "label": LABELS.tolist()}, features=features
    )
    given = given_as(table, "test", hold=False)
    assert torch.equal(given.images.held().images, EIGHT_BITS)
    assert torch.equal(given.images.labels, LABELS)
    assert given.classes == tuple("abcde")
    shuffled = table.shuffle(seed=1).with_format("torch")
    assert torch.equal(as_images(shuffled).labels, torch.tensor(shuffled["label"][:]))
    with pytest.raises(DeepcorrectError, match=r"^DatasetDict \(train, test\): give one of its splits, as data\['train'\]"):
        as_images(datasets.DatasetDict({"train": table, "test": table}))


def test_the_part_that_a_role_needs_is_taken_of_a_spec() -> None:
    digits = load_dataset("digits")
    for role, part in (("train", digits.train), ("validation", digits.validation), ("test", digits.test)):
        for data in ("digits", digits):
            given = given_as(data, role)  # type: ignore[arg-type]
            assert torch.equal(given.images.indices, part.indices)
            assert (given.name, given.ladder, given.classes) == ("digits", "digits", digits.classes)
    assert as_images(digits.test) is digits.test


@pytest.mark.parametrize(
    ("loader", "reason"),
    [
        (DataLoader(Own(pair), sampler=WeightedRandomSampler([1.0] * COUNT, COUNT)), "the sampler WeightedRandomSampler"),
        (DataLoader(Own(pair), sampler=RandomSampler(Own(pair), replacement=True)), r"RandomSampler\(replacement=True"),
        (DataLoader(Own(pair), sampler=RandomSampler(Own(pair), num_samples=3)), r"num_samples=3\)"),
        (DataLoader(Own(pair), sampler=[1, 2, 3]), "the sampler list: it does not take every image once"),
        (DataLoader(Own(pair), batch_sampler=[[0, 1], [2]]), "the batch sampler list"),
    ],
)
def test_a_loader_that_does_not_take_every_image_once_is_refused(loader: DataLoader[Any], reason: str) -> None:
    with pytest.raises(DeepcorrectError, match=reason) as raised:
        as_images(loader)
    assert "give the Dataset itself, or torch.utils.data.Subset(dataset, indices)" in str(raised.value)


def test_an_example_takes_the_first_items_alone_and_no_labels() -> None:
    own = Own(lambda index: FLOATS[index])
    assert torch.equal(example_images(DataLoader(own)), FLOATS[:2])
    assert own.read == [0, 1]
    assert torch.equal(example_images(FLOATS), FLOATS[:2])
    assert torch.equal(example_images([picture(4)]), (EIGHT_BITS[[4, 4]].float() / 255))
