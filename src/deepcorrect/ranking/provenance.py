"""What stored gains and choices are of, so that those of something else are never taken for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from deepcorrect.base.device import Precision
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
    found = {
        "network": f"{fingerprint(model)} {structure(model)}",
        "images": digest.hexdigest(),
        "distortion": distortion.name,
        "random": distortion.random,
        "seed": seed,
        "precision": precision,
        **{name: dict(value) if isinstance(value, Mapping) else value for name, value in more.items()},
    }
    restored: dict[str, Any] = json.loads(json.dumps(found))
    return restored


def require_same(path: Path, stored: object, wanted: Mapping[str, Any]) -> None:
    """Refuse what is stored if it is of something else.

    Raises:
        DeepcorrectError: what differs, in one line.
    """
    if not isinstance(stored, dict):
        raise DeepcorrectError(f"{path}: does not say what it is of; choose another folder or delete it")
    differing = [name for name in wanted if stored.get(name) != wanted[name]]
    if differing:
        name = differing[0]
        raise DeepcorrectError(
            f"{path}: of other work, its {' and '.join(differing)} differ ({name} {_short(stored.get(name))}, here "
            f"{_short(wanted[name])}); choose another folder or delete it"
        )


def _short(value: object) -> str:
    said = str(value)
    return said if len(said) <= 40 else f"{said[:12]}..."
