"""What a user's data set says of itself without reading an item: its labels, the names of its classes, its own name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Subset, TensorDataset


def declared_labels(source: Any) -> np.ndarray | None:
    """The labels that a data set lists, (N,) int64: of a ``TensorDataset``, in ``.targets`` or ``.labels``, or in a column.

    They are not to be relied on: a transform may change the labels of the items.
    """
    if isinstance(source, Subset):
        inner = declared_labels(source.dataset)
        chosen = np.asarray(source.indices, np.int64)
        return None if inner is None or not chosen.size else inner[chosen]
    if isinstance(source, TensorDataset):
        return _integers(source.tensors[1], len(source)) if len(source.tensors) == 2 else None
    column = _label_column(source)
    if column is not None:
        return _integers(list(source.with_format(None)[column]), len(source))
    for attribute in ("targets", "labels"):
        labels = _integers(getattr(source, attribute, None), len(source))
        if labels is not None:
            return labels
    return None


def declared_classes(source: Any) -> tuple[str, ...] | None:
    """Names of the classes, in the order of their numbers, if the data set has any."""
    if isinstance(source, Subset):
        return declared_classes(source.dataset)
    column = _label_column(source)
    names = getattr(source.features[column], "names", None) if column is not None else getattr(source, "classes", None)
    if not isinstance(names, Sequence) or isinstance(names, str) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names) or None


def declared_name(source: Any) -> str:
    """What the data set is called: its type."""
    if isinstance(source, Subset):
        return f"subset of {declared_name(source.dataset)}"
    return type(source).__name__


def _label_column(source: Any) -> str | None:
    """The only column of class numbers of a ``datasets.Dataset``."""
    features = getattr(source, "features", None)
    if not hasattr(source, "with_format") or not isinstance(features, dict):
        return None
    columns = [name for name, feature in features.items() if type(feature).__name__ == "ClassLabel"]
    named = [name for name in columns if name in ("label", "labels", "fine_label")] or columns
    return named[0] if len(named) == 1 else None


def _integers(labels: Any, count: int) -> np.ndarray | None:
    """So many integers as an array, if they are these."""
    if labels is None or callable(labels):
        return None
    try:
        array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    except (TypeError, ValueError):
        return None
    if array.shape not in ((count,), (count, 1)) or array.dtype.kind not in "iu":
        return None
    return array.reshape(-1).astype(np.int64)
