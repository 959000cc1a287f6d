"""What each stage of a run is of, so that nobody is given a stage of other work.

``stages.json`` in a run folder names, for every stage that is stored there, all that decides its content: the network, the
data, the distortion, the options. Before a stage is worked on or read, it is *claimed*: the first claim is noted, a later one
must be equal. Files of a stage that nobody has claimed are refused too: an older version wrote them, and did not say of what.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepcorrect.base.differences import as_stored, first_difference
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json, write_json
from deepcorrect.distortions.base import Distortion

FILE = "stages.json"
IMAGES = "test images"
"""The stage that answers of every network share: the labels they are compared with, and the classes."""
Traits = Mapping[str, object]
"""What decides a stage's content, by name: anything that JSON holds."""
Ladders = Sequence[tuple[Distortion, Sequence[float]]]
"""Distortions with their severities above 0."""

_FILES = {
    "baseline": ("baseline.json",),
    IMAGES: ("answers.safetensors", "classes.json"),
    "ranking": ("ranking.json", "parts"),
    "training": ("checkpoint.pt", "metrics.json", "model.safetensors", "correction.safetensors", "samples.json"),
    "gate": ("gate.safetensors",),
    "features": ("features.safetensors",),
    "ideal corrections": ("ideal.json",),
    "transfer": ("transfer.json", "features"),
}


def claim(folder: Path, stages: Mapping[str, Traits]) -> None:
    """Note what some stages of a run folder are of, or compare it with what is noted; nothing is noted if one is refused.

    Raises:
        DeepcorrectError: a stage is stored there of something else, or by an older version.
    """
    known = noted(folder)
    wanted = as_stored(stages)
    for stage, traits in wanted.items():
        if stage in known:
            said = first_difference(known[stage], traits)
            if said:
                raise DeepcorrectError(f"{folder}: holds the {stage} {said}; choose another folder")
            continue
        stored = next((name for name in _FILES.get(stage, ()) if (folder / name).exists()), None)
        if stored:
            raise DeepcorrectError(
                f"{folder}: {stored} is there, but {FILE} does not say of what; an older version made it: choose another folder"
            )
    if not wanted.keys() <= known.keys():
        write_json(folder / FILE, known | wanted)


def noted(folder: Path) -> dict[str, Any]:
    """The stages of a run folder that were claimed, by name."""
    path = folder / FILE
    return read_json(path) if path.exists() else {}


def distortion_traits(distortion: Distortion, levels: Sequence[float], image: Tensor, seed: int) -> dict[str, object]:
    """What tells a distortion from others: its name, its levels, and what it makes of an image, (1, C, H, W).

    A distortion of the user's may be another function under the same name. Of a mixture each member is told.
    """
    parts = distortion.parts(levels)
    prints = [_print_of(part, max(severities), image, seed) if severities else None for part, severities in parts]
    return {
        "distortion": distortion.name,
        "levels": [float(level) for level in levels],
        "function": prints[0] if len(prints) == 1 else prints,
    }


def digest(content: object) -> str:
    """SHA-256 of what JSON holds."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@torch.no_grad()
def _print_of(distortion: Distortion, level: float, image: Tensor, seed: int) -> list[float] | None:
    """Three numbers of the distorted image, its pixels added up with random weights; None if they differ from time to time.

    They are rounded, because another processor's differ in the last digits.
    """
    pixels = image.numel()
    weights = torch.randn(3, pixels, generator=torch.Generator().manual_seed(0)) / pixels**0.5
    seen = []
    with torch.random.fork_rng(devices=[]):
        for _ in range(2):
            torch.default_generator.manual_seed(0)
            distorted = distortion.at(image.clone(), level, torch.tensor([distortion.known_index]), seed)
            sums = weights @ distorted.detach().float().cpu().flatten()
            seen.append([round(float(value), 3) for value in sums])
    return seen[0] if seen[0] == seen[1] else None
