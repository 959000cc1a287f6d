"""One item of a user's data set: which of its fields is the image, which the label, and both as deepcorrect takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.images import UNLABELLED
from deepcorrect.datasets.pixels import Normalization, checked, pixels_of

IMAGE_FIELDS = ("image", "img", "pixel_values")
LABEL_FIELDS = ("label", "labels", "fine_label", "target", "targets")


class Item(NamedTuple):
    """Pixels (C, H, W), uint8 or float32 in [0, 1], and a class number, ``UNLABELLED`` if there is none."""

    pixels: Tensor
    label: int


def item_of(value: Any, name: str, normalization: Normalization | None = None) -> Item:
    """The image and the label of what a data set gives for an index.

    Args:
        value: an image alone, a pair of an image and a label, or a mapping with one field of each (``IMAGE_FIELDS``,
            ``LABEL_FIELDS``).
        name: of the item, for messages.
        normalization: how floating-point images are normalised.

    Raises:
        DeepcorrectError: which field is the image or the label cannot be told, or one of them is none.
    """
    image, label = _fields(value, name)
    pixels = checked(pixels_of(image, name), name, normalization)
    return Item(pixels, UNLABELLED if label is _NOTHING else label_of(label, name))


_NOTHING = object()


def _fields(value: Any, name: str) -> tuple[Any, Any]:
    """The image and the label, ``_NOTHING`` if there is none."""
    if isinstance(value, Mapping):
        images, labels = ([field for field in known if field in value] for known in (IMAGE_FIELDS, LABEL_FIELDS))
        if len(images) != 1 or len(labels) > 1:
            asked = f"one of {', '.join(IMAGE_FIELDS)} and one of {', '.join(LABEL_FIELDS)}"
            raise DeepcorrectError(
                f"{name} has the fields {', '.join(map(str, value))}: which are the image and its label cannot be told; leave "
                f"{asked}, or give pairs (image, label)"
            )
        return value[images[0]], value[labels[0]] if labels else _NOTHING
    if isinstance(value, tuple | list):
        if len(value) in (1, 2):
            return value[0], value[1] if len(value) == 2 else _NOTHING
        fields = ", ".join(type(field).__name__ for field in value)
        raise DeepcorrectError(
            f"{name} has {len(value)} fields ({fields}): which are the image and its label cannot be told; give pairs "
            "(image, label)"
        )
    return value, _NOTHING


def label_of(value: Any, name: str) -> int:
    """A class number from an integer of Python, NumPy or torch.

    Raises:
        DeepcorrectError: it is anything else, or below ``UNLABELLED``.
    """
    if value is None:
        raise DeepcorrectError(f"{name}: its label is None; give class numbers from 0 on, or images without labels")
    if isinstance(value, str | bytes):
        raise DeepcorrectError(
            f"{name}: its label {value!r} is text; number the classes from 0 on, as the network's outputs are"
        )
    if isinstance(value, Image.Image) or not isinstance(value, int | float | list | tuple | np.ndarray | np.generic | Tensor):
        raise DeepcorrectError(f"{name}: its label is of type {type(value).__name__}; give class numbers from 0 on")
    array = _as_array(value)
    if array.size != 1:
        raise DeepcorrectError(
            f"{name}: its label has the shape {array.shape}, not one class number; of one-hot labels give label.argmax()"
        )
    if array.dtype.kind not in "iub":
        raise DeepcorrectError(f"{name}: its label {array.item()!r} is no integer; give class numbers from 0 on, as int(label)")
    number = int(array.item())
    if number < UNLABELLED:
        raise DeepcorrectError(f"{name}: its label is {number}; class numbers begin at 0 (and {UNLABELLED} is no label)")
    return number


def _as_array(value: Any) -> np.ndarray:
    if isinstance(value, Tensor):  # some types of floats are not known to NumPy
        value = (value.float() if value.is_floating_point() else value).detach().cpu().numpy()
    return np.asarray(value)


def first_of(batch: Any, name: str) -> Any:
    """The only item of a batch that a ``collate_fn`` made of one.

    Raises:
        DeepcorrectError: it is no batch of one.
    """
    if isinstance(batch, Mapping):
        return {field: first_of(values, name) for field, values in batch.items()}
    if isinstance(batch, Tensor | np.ndarray) and batch.ndim and len(batch) == 1:
        return batch[0]
    if isinstance(batch, tuple | list) and len(batch) > 1:
        return tuple(first_of(values, name) for values in batch)
    if isinstance(batch, tuple | list) and batch:
        only = batch[0]
        return only[0] if isinstance(only, Tensor | np.ndarray) and only.ndim == 4 and len(only) == 1 else only
    raise DeepcorrectError(
        f"{name}: collate_fn makes {type(batch).__name__} of a batch of one item, in which that item cannot be found; give the "
        "Dataset itself"
    )
