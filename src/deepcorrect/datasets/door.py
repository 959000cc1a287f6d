"""Images in whatever form a user has them: a data set or a loader of torch, arrays, a data set of ``datasets``, or a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.seeding import own_random_state
from deepcorrect.datasets import load_dataset
from deepcorrect.datasets.arrays import from_arrays, is_arrays
from deepcorrect.datasets.batches import as_float, batches
from deepcorrect.datasets.dataset import Dataset, ladder_of
from deepcorrect.datasets.declared import declared_classes, declared_labels, declared_name
from deepcorrect.datasets.first_look import look_at
from deepcorrect.datasets.images import Images
from deepcorrect.datasets.loaders import Loaded, stream_refused, unloaded
from deepcorrect.datasets.own import Items
from deepcorrect.datasets.pixels import Normalization

Role = Literal["train", "validation", "test"]


class Given(NamedTuple):
    """Images as they were given, with what else is known of them.

    Attributes:
        images: those of the part that was wanted.
        name: what they are called in messages and run folders.
        classes: names of the classes in the order of their numbers, if they have any.
        dataset: the one of ``load_dataset`` that they are a part of.
    """

    images: Images
    name: str
    classes: tuple[str, ...] | None
    dataset: Dataset | None = None

    @property
    def ladder(self) -> str:
        """Which severity ladder suits the images."""
        return ladder_of(self.images.shape[-1]) if self.dataset is None else self.dataset.ladder


def as_images(data: Any, role: Role = "test", *, normalization: Normalization | None = None, hold: bool = True) -> Images:
    """Images from any of the forms in which a user may have them.

    Args:
        data: one of

            - a map-style ``torch.utils.data.Dataset`` (its transforms are kept), or anything with ``__getitem__`` and
              ``__len__``, a ``datasets.Dataset`` among them. Its items are images (tensors (C, H, W), NumPy arrays, or images
              of Pillow), pairs of an image and its class number, or mappings with one field of each;
            - a ``DataLoader``: the data set behind it, its ``collate_fn`` and ``num_workers``;
            - tensors or NumPy arrays: images (N, C, H, W), or a pair of these and labels (N,);
            - a spec of ``load_dataset``, or a ``Dataset`` of that: the part that ``role`` names;
            - ``Images``, which are returned as they are.

            Images are uint8, 0 to 255, or floating point in [0, 1], all of one size.
        role: what they are for. Only to be trained on ("train") may they change from one reading to the next.
        normalization: how floating-point images of the user's own are normalised; they are brought back to [0, 1].
        hold: whether a set of up to ``HELD_BYTES`` is read into memory at once, and not each time that it is needed.

    Raises:
        DeepcorrectError: what was given cannot be understood; the message says why and what would be.
    """
    return given_as(data, role, normalization=normalization, hold=hold).images


def given_as(data: Any, role: Role, *, normalization: Normalization | None = None, hold: bool = True) -> Given:
    """As ``as_images``, with the name of the data and of their classes."""
    if isinstance(data, Images):
        return Given(data, type(data).__name__, None)
    if isinstance(data, str):
        data = load_dataset(data)
    if isinstance(data, Dataset):
        part: Images = getattr(data, role)
        if role == "train" and not len(part) and data.undivided:
            data.require_training()
        if not len(part):
            raise DeepcorrectError(f"{data.name}: no {role} images in it")
        return Given(part, data.name, data.classes or None, data)
    if is_arrays(data):  # not a list of pairs
        return Given(from_arrays(data, normalization), "arrays", None)
    items = _items(data, normalization)
    if type(items.source) is TensorDataset and items.collate is None and len(items.source.tensors) <= 2:
        tensors = items.source.tensors if len(items.source.tensors) == 2 else items.source.tensors[0]
        return Given(from_arrays(tensors, normalization), items.name, None)
    images = look_at(items, training=role == "train", hold=hold)
    return Given(images, items.name, _classes(items.source, images))


def example_images(data: Any, normalization: Normalization | None = None) -> Tensor:
    """The first two images of data in any of the forms of ``as_images``, (2, C, H, W) in [0, 1]; of a single one, it twice.

    Nothing else is read, so neither are labels needed.
    """
    if isinstance(data, Images | Dataset | str) or is_arrays(data):
        images = as_images(data, normalization=normalization)
        return next(batches(images.take(torch.arange(2) % len(images)), 2, torch.device("cpu"))).images
    items = _items(data, normalization)
    with own_random_state(0):
        return torch.stack([as_float(items.item(place).pixels) for place in (0, min(1, len(items) - 1))])


def _items(data: Any, normalization: Normalization | None) -> Items:
    """The items of a data set, or of the one behind a loader.

    Raises:
        DeepcorrectError: it is no map-style data set, its loader does not go through all of it, or it is empty.
    """
    loaded = unloaded(data) if isinstance(data, DataLoader) else Loaded(data, None, 0, None)
    source = loaded.dataset
    _require_map_style(source)
    name = declared_name(source)
    if not len(source):
        raise DeepcorrectError(f"{name}: no images in it")
    return Items(
        source, name, np.arange(len(source)),
        collate=loaded.collate, normalization=normalization, workers=loaded.workers, worker_init=loaded.worker_init,
    )  # fmt: skip


def _classes(source: Any, images: Images) -> tuple[str, ...] | None:
    """The names of the classes, if the labels of the items are those that the data set lists."""
    names, listed = declared_classes(source), declared_labels(source)
    if names is None or listed is None or not np.array_equal(listed, images.labels.cpu().numpy()):
        return None
    return names


def _require_map_style(source: Any) -> None:
    if isinstance(source, IterableDataset) or (hasattr(source, "__iter__") and type(source).__name__ == "IterableDataset"):
        raise DeepcorrectError(stream_refused(source))
    if isinstance(source, Mapping):
        keys = [str(key) for key in source]
        remedy = f"give one of its splits, as data[{keys[0]!r}]" if keys else "there are no images in it"
        raise DeepcorrectError(f"{type(source).__name__} ({', '.join(keys)}): {remedy}")
    if not (hasattr(source, "__getitem__") and hasattr(source, "__len__")):
        raise DeepcorrectError(
            f"images given as {type(source).__name__}: give a Dataset or DataLoader of torch, arrays (images, labels), or a "
            "spec such as folder:photos"
        )
