"""What each network answers to every test image at every level, kept so that networks can be compared image by image."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from deepcorrect.files import add_tensors, read_tensors

FILE = "answers.safetensors"
_LABELS = "labels"


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


def keep_answers(folder: Path, distortion: str, network: str, answers: Answers) -> None:
    """Add a network's answers to those of a run folder."""
    add_tensors(folder / FILE, {_LABELS: answers.labels.short(), _key(distortion, network): answers.top.short()})


def read_answers(folder: Path, distortion: str, network: str) -> Answers | None:
    """A network's answers, if the run folder has them.

    Raises:
        DeepcorrectError: the file is unsound.
    """
    path = folder / FILE
    known = read_tensors(path) if path.exists() else {}
    top = known.get(_key(distortion, network))
    return None if top is None else Answers(top.long(), known[_LABELS].long())


def _key(distortion: str, network: str) -> str:
    return f"{distortion}: {network}"
