"""Ideal correction (section 4.1, Figures 4 and 5): what a perfect correction of some filters of a layer would give.

The network sees distorted images, but the outputs of the chosen filters are swapped for those on the same images undistorted.
It bounds what correction units behind these filters can reach, and compares choices of filters without any training.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ValidationError

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json

FILE = "ideal.json"


class IdealCurves(BaseModel):
    """Accuracies with more and more of one layer ideally corrected.

    Attributes:
        levels: severities above 0.
        images: test images that each accuracy is measured on.
        shares: of a layer's filters, the most susceptible first; 0 is the network as it is.
        top1: {layer: an accuracy for each share and level}.
    """

    distortion: str
    levels: tuple[float, ...]
    images: int
    shares: tuple[float, ...]
    top1: dict[str, tuple[tuple[float, ...], ...]]


def read_ideal(folder: Path) -> IdealCurves:
    """What a run folder has of it.

    Raises:
        DeepcorrectError: the file is unsound.
    """
    try:
        return IdealCurves.model_validate(read_json(folder / FILE))
    except ValidationError as error:
        raise DeepcorrectError(
            f"{folder / FILE}: not the accuracies of ideal corrections ({error.error_count()} fields are wrong)"
        ) from None
