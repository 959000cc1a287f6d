"""Items that are no image or label, or not like the others: one line that says which item, why, and what would do."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.door import as_images

IMAGE = torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(0))


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        yield IMAGE, 0


class Failing:
    """A data set of which one item cannot be had."""

    def __init__(self, workers_only: bool = False) -> None:
        self.workers_only = workers_only

    def __len__(self) -> int:
        return 300

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index == 137:
            raise KeyError("no such\nfile")
        return IMAGE, 0


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ((IMAGE, "cat"), "its label 'cat' is text; number the classes from 0 on"),
        ((IMAGE, b"cat"), "its label b'cat' is text"),
        ((IMAGE, None), "its label is None; give class numbers from 0 on, or images without labels"),
        ((IMAGE, 1.0), "its label 1.0 is no integer; give class numbers from 0 on"),
        ((IMAGE, torch.tensor(2.0, dtype=torch.bfloat16)), "its label 2.0 is no integer"),
        ((IMAGE, np.float32(1)), "its label 1.0 is no integer"),
        ((IMAGE, torch.eye(5)[1]), "its label has the shape (5,), not one class number; of one-hot labels give label.argmax()"),
        ((IMAGE, [0, 1, 0]), "its label has the shape (3,)"),
        ((IMAGE, {"boxes": 1}), "its label is of type dict"),
        ((IMAGE, -2), "its label is -2; class numbers begin at 0"),
        ((IMAGE, 1, "name.png"), "has 3 fields (Tensor, int, str): which are the image and its label cannot be told"),
        ({"image": IMAGE, "pixel_values": IMAGE, "label": 1}, "has the fields image, pixel_values, label: which are"),
        ({"image": IMAGE, "label": 1, "labels": 1}, "has the fields image, label, labels: which are"),
        ({"photo": IMAGE, "label": 1}, "has the fields photo, label: which are"),
        ((None, 1), "its image is None; give a tensor"),
        (("cat.png", 1), "its image is of type str"),
        ((IMAGE[None], 1), "its image has the shape (1, 3, 6, 8); give (channels, height, width)"),
        ((IMAGE * 255, 1), "floating-point images lie in [0, 1]; of normalised ones say the mean and std by"),
        ((IMAGE - 0.5, 1), "deepcorrect.NormalizedInput(model, mean, std)"),
        ((IMAGE * torch.nan, 1), "NaN or infinite values"),
        ((torch.full((3, 6, 8), torch.inf), 1), "NaN or infinite values"),
        (((IMAGE * 255).int(), 1), "int32 numbers: give uint8, 0 to 255, or floating point, 0 to 1"),
        ((IMAGE > 0.5, 1), "bool numbers: give uint8"),
        ((np.zeros((3, 6, 3), np.uint8), 1), "where the channels of a 3x6x3 array are cannot be told"),
        ((np.zeros((4, 6, 8), np.uint8), 1), "where the channels of a 4x6x8 array are cannot be told"),
        ((np.zeros((3, 6, 8), ">f4").astype("U1"), 1), "images of <U1 numbers: give uint8"),
        ((Image.fromarray(np.full((6, 8), 2.0, np.float32)), 1), "floats are from 2 to 2"),
    ],
)  # fmt: skip
def test_an_item_that_is_no_image_with_its_label_is_refused(item: Any, reason: str) -> None:
    with pytest.raises(DeepcorrectError, match=rf"^list: item 1:? .*{re.escape(reason)}") as raised:
        as_images([(IMAGE, 0), item])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ((IMAGE[:, :5], 0), "list: item 9: 3x5x8 values (channels, height, width), others 3x6x8; let a transform bring all to"),
        ((IMAGE[:1], 0), "list: item 9: 1x6x8 values"),
        (((IMAGE * 255).byte(), 0), "list: item 9: uint8 numbers, others float32; let a transform make all images alike"),
    ],
)
def test_an_item_unlike_the_first_is_refused(other: Any, reason: str) -> None:
    with pytest.raises(DeepcorrectError, match=re.escape(reason)):
        as_images([(IMAGE, 0)] * 9 + [other] + [(IMAGE, 0)] * 9)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_item_that_cannot_be_read_is_named(workers: int) -> None:
    loader: DataLoader[Any] = DataLoader(Failing(), num_workers=workers)  # type: ignore[arg-type]
    with pytest.raises(DeepcorrectError, match=r"^Failing: item 137 cannot be read: KeyError: 'no such\\nfile'$"):
        as_images(loader)


def test_a_worker_that_cannot_be_prepared_tells_why() -> None:
    def prepare(worker: int) -> None:
        raise OSError("no archive")

    loader: DataLoader[Any] = DataLoader([(IMAGE, 0)] * 200, num_workers=2, worker_init_fn=prepare)  # type: ignore[arg-type]
    with pytest.raises(DeepcorrectError, match=r"^list: worker_init_fn fails: OSError: no archive$"):
        as_images(loader)


def test_a_collate_fn_that_does_more_than_put_items_together_is_refused() -> None:
    for collate, reason in (
        (lambda batch: 3, "collate_fn makes int of a batch of one item"),
        (lambda batch: (torch.stack([image for image, _ in batch]), torch.eye(5)[:1]), "one-hot"),
    ):
        with pytest.raises(DeepcorrectError, match=reason):
            as_images(DataLoader([(IMAGE, 0)] * 3, collate_fn=collate))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (Stream(), "Stream is an IterableDataset, whose images have no positions to be read by again"),
        (DataLoader(Stream()), "Stream is an IterableDataset"),
        ([], "list: no images in it"),
        (TensorDataset(IMAGE[None][:0], torch.zeros(0).long()), "TensorDataset: no images in it"),
        (IMAGE[None][:0], "the images have the shape (0, 3, 6, 8): there are none"),
        (iter([(IMAGE, 0)]), "images given as list_iterator: give a Dataset or DataLoader of torch, arrays"),
        (None, "images given as NoneType"),
        ({}, "dict (): there are no images in it"),
        ({"train": [], "test": []}, "dict (train, test): give one of its splits, as data['train']"),
        ("nothing", "unknown; use cifar100, digits"),
        (IMAGE, "the images have the shape (3, 6, 8); give (images, channels, height, width)"),
        (np.zeros((6, 8, 3), np.uint8), "the images have the shape (6, 8, 3)"),
        (IMAGE[None, None], "the images have the shape (1, 1, 3, 6, 8)"),
        ((IMAGE[None], torch.zeros(2).long()), "the labels have the shape (2,) for 1 images; give (1,)"),
        ((IMAGE[None], torch.eye(5)[:1]), "the labels have the shape (1, 5) for 1 images; give (1,); of one-hot labels give"),
        ((IMAGE[None], torch.zeros(1)), "the labels are floating-point numbers; give class numbers"),
        ((IMAGE[None], ["cat"]), "the labels are no numbers"),
        ((IMAGE[None], [None]), "the labels are no numbers"),
        ((IMAGE[None], [-3]), "label -3: class numbers begin at 0"),
        ((IMAGE[None] * 2, [0]), "the images: float32 numbers from"),
        ((IMAGE[None] * torch.nan, [0]), "the images: NaN or infinite values"),
        ((IMAGE[None].long(), [0]), "the images: int64 numbers"),
        ((IMAGE[None].to_sparse(), [0]), "the images: a sparse, quantised or meta tensor"),
    ],
)
def test_what_is_no_data_set_is_refused(data: Any, reason: str) -> None:
    with pytest.raises(DeepcorrectError, match=re.escape(reason)) as raised:
        as_images(data)
    assert "\n" not in str(raised.value)
