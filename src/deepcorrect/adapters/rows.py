"""A network's answers to some rows of a batch, put together again."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError


def together(parts: Sequence[tuple[Tensor, Any]], count: int, *, whole: bool) -> Any:
    """The rows of several answers in one.

    Args:
        parts: rows in the batch, and the answer for these; if ``whole``, the first answer is for all of the batch.
    """
    first = parts[0][1]
    answers = [answer for _, answer in parts]
    if isinstance(first, Tensor):
        if not first.ndim or len(first) != (count if whole else len(parts[0][0])):
            raise DeepcorrectError("a gate needs a network whose outputs have a row for each image")
        merged = first.clone() if whole else first.new_empty((count, *first.shape[1:]))
        for rows, answer in parts[int(whole) :]:
            merged[rows] = answer
        return merged
    rows_of = [rows for rows, _ in parts]
    if isinstance(first, Mapping):
        joined = copy.copy(first)
        for key in first:
            values = [answer[key] for answer in answers]
            joined[key] = together(list(zip(rows_of, values, strict=True)), count, whole=whole)  # type: ignore[index]
        return joined
    if isinstance(first, tuple | list):
        columns = [
            together(list(zip(rows_of, values, strict=True)), count, whole=whole) for values in zip(*answers, strict=True)
        ]
        return type(first)(*columns) if hasattr(first, "_fields") else type(first)(columns)
    if first is None or isinstance(first, bool | int | float | str):
        return first
    raise DeepcorrectError(f"a gate needs a network that returns tensors, not {type(first).__name__}")
