"""Images in whatever form a user has them: a data set or a loader of torch, arrays, a data set of ``datasets``, or a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets import load_dataset
from deepcorrect.datasets.arrays import from_arrays, is_arrays
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
        numbered: whether the classes are numbered by the data's own order; see ``Dataset.numbered``.
        ladder: which severity ladder suits them.
    """

    images: Images
    name: str
    classes: tuple[str, ...] | None
    numbered: bool
    ladder: str


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
        return _of_images(data, type(data).__name__)
    if isinstance(data, str):
        data = load_dataset(data)
    if isinstance(data, Dataset):
        part: Images = getattr(data, role)
        if not len(part):
            raise DeepcorrectError(f"{data.name}: no {role} images in it")
        return Given(part, data.name, data.classes, data.numbered, data.ladder)
    if is_arrays(data):  # not a list of pairs
        return _of_images(from_arrays(data, normalization), "arrays")
    loaded = unloaded(data) if isinstance(data, DataLoader) else Loaded(data, None, 0, None)
    source = loaded.dataset
    if type(source) is TensorDataset and loaded.collate is None and len(source.tensors) <= 2:
        tensors = source.tensors if len(source.tensors) == 2 else source.tensors[0]
        return _of_images(from_arrays(tensors, normalization), declared_name(source))
    _require_map_style(source)
    name = declared_name(source)
    items = Items(
        source, name, np.arange(len(source)),
        collate=loaded.collate, normalization=normalization, workers=loaded.workers, worker_init=loaded.worker_init,
    )  # fmt: skip
    images = look_at(items, training=role == "train", hold=hold)
    return _of_images(images, name)._replace(classes=_classes(source, images), numbered=True)


def _of_images(images: Images, name: str) -> Given:
    return Given(images, name, None, False, ladder_of(images.shape[-1]))


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
        raise DeepcorrectError(
            f"{type(source).__name__} with {', '.join(keys) or 'nothing'} in it: give one of its splits, as data[{keys[0]!r}]"
            if keys
            else f"{type(source).__name__} with nothing in it"
        )
    if not (hasattr(source, "__getitem__") and hasattr(source, "__len__")):
        raise DeepcorrectError(
            f"images given as {type(source).__name__}: give a Dataset or DataLoader of torch, arrays (images, labels), or a "
            "spec such as folder:photos"
        )
