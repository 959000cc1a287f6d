"""What stored gains and choices are of, so that those of something else are never taken for them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from deepcorrect.base.device import Precision
from deepcorrect.base.differences import as_stored, first_difference
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.images import Images
from deepcorrect.distortions.base import Distortion
from deepcorrect.models.fingerprint import fingerprint
from deepcorrect.models.inspection import structure


def provenance(
    model: nn.Module, images: Images, distortion: Distortion, seed: int, precision: Precision, **more: Any
) -> dict[str, Any]:
    """What is measured with a network on distorted images, and what ``more`` there is to tell, as JSON has it."""
    digest = hashlib.sha256(images.signature())
    for values in (images.labels, images.indices):
        digest.update(values.cpu().numpy().tobytes())
    of = {
        "network": f"{fingerprint(model)} {structure(model)}",
        "images": digest.hexdigest(),
        "distortion": distortion.name,
        "random": distortion.random,
        "seed": seed,
        "precision": precision,
        **{name: dict(value) if isinstance(value, Mapping) else value for name, value in more.items()},
    }
    return as_stored(of)


def require_same(path: Path, stored: object, wanted: Mapping[str, Any]) -> None:
    """Refuse what is stored if it is of something else.

    Args:
        stored: what it is of; it may say more than is wanted.

    Raises:
        DeepcorrectError: the first difference, in one line.
    """
    if not isinstance(stored, Mapping) or not stored:
        raise DeepcorrectError(f"{path}: does not say what it is of; choose another folder or delete it")
    said = first_difference({name: stored[name] for name in wanted if name in stored}, wanted)
    if said:
        raise DeepcorrectError(f"{path}: holds work {said}; choose another folder or delete it")
