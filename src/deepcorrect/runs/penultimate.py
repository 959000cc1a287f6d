"""Penultimate features of some test images, clean to severe: how well classes keep apart (Figures 2 and 10).

They are saved with a run, so that its page can embed them by t-SNE without the network.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from deepcorrect.base.files import read_tensors

FILE = "features.safetensors"


class Penultimate(NamedTuple):
    """Features of the same images by network.

    Attributes:
        levels: severities, (L,): clean, the middle of the ladder, its worst.
        labels: classes of the images, (N,).
        features: what arrives at the last layer, {network: (L, N, D)}.
    """

    levels: Tensor
    labels: Tensor
    features: dict[str, Tensor]


def read_penultimate(folder: Path) -> Penultimate | None:
    """What a run folder has of it, if anything.

    Raises:
        DeepcorrectError: the file is unsound.
    """
    path = folder / FILE
    if not path.exists():
        return None
    known = read_tensors(path)
    networks = {name.removeprefix("network "): value.float() for name, value in known.items() if name.startswith("network ")}
    return Penultimate(known["levels"], known["labels"], networks)
