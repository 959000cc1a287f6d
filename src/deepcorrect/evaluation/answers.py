"""What each network answers to every test image at every level, kept so that networks can be compared image by image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from deepcorrect.base.files import add_tensors, read_tensors

FILE = "answers.safetensors"
_LABELS = "labels"
_LEVELS = re.compile(r" at [\d.,e+-]+$")


class Answers(NamedTuple):
    """Of one network under one distortion.

    Attributes:
        top: most likely class of every test image, (levels, N), the clean level first.
        labels: the true classes, (N,).
    """

    top: Tensor
    labels: Tensor

    @property
    def right(self) -> Tensor:
        """Which are right, (levels, N)."""
        return self.top == self.labels


def keep_answers(folder: Path, distortion: str, network: str, answers: Answers, levels: Sequence[float] | None = None) -> None:
    """Add a network's answers to those of a run folder.

    Args:
        levels: severities, the clean one first: answers at other levels are kept beside these. Without them, they replace those
            that were added without.
    """
    add_tensors(folder / FILE, {_LABELS: answers.labels.short(), _key(distortion, network, levels): answers.top.short()})


def read_answers(folder: Path, distortion: str, network: str, levels: Sequence[float] | None = None) -> Answers | None:
    """A network's answers, if the run folder has them.

    Args:
        levels: severities, the clean one first; the answers at any levels without them, or where the folder does not tell.

    Raises:
        DeepcorrectError: the file is unsound.
    """
    path = folder / FILE
    known = read_tensors(path) if path.exists() else {}
    keys = [_key(distortion, network, levels), _key(distortion, network, None)]
    if levels is None:
        keys += [name for name in known if _LEVELS.sub("", name) == keys[0]]
    top = next((known[key] for key in keys if key in known), None)
    return None if top is None else Answers(top.long(), known[_LABELS].long())


def _key(distortion: str, network: str, levels: Sequence[float] | None) -> str:
    return f"{distortion}: {network}" + ("" if levels is None else f" at {','.join(f'{level:g}' for level in levels)}")
