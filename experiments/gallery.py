"""The pictures of ``docs/corruptions.md``, every distortion at five severities: ``python -m experiments.gallery``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from deepcorrect.distortions.registry import GROUPS, get_distortion

FOLDER = Path(__file__).parents[1] / "docs" / "images" / "corruptions"
OWN = ("low_light", "white_balance", "blur", "noise")
SIDE, SHOWN, GAP = 224, 112, 4
"""Pixels a side of the photograph, of each picture of it, and between two of them."""


def shown() -> list[str]:
    """The names of all distortions on the page."""
    return [*GROUPS["imagenet-c"], *GROUPS["imagenet-c-extra"], *OWN]


def photograph() -> Tensor:
    """Scikit-image's photograph of a cat (Stéfan van der Walt, CC0), (1, 3, 224, 224) in [0, 1]."""
    pixels = Image.fromarray(data.chelsea())  # type: ignore[no-untyped-call]
    left, top = (pixels.width - pixels.height) // 2, 0
    small = pixels.crop((left, top, left + pixels.height, pixels.height)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return torch.tensor(np.asarray(small)).permute(2, 0, 1)[None].float() / 255


def strip(name: str) -> Image.Image:
    """The photograph without the distortion and at five of its levels for large images, side by side."""
    distortion = get_distortion(name)
    levels = (0.0, *distortion.levels("imagenet")[:5])
    columns = [distortion.at(photograph(), level, torch.tensor([0]), seed=0)[0] for level in levels]
    drawn = Image.new("RGB", (len(columns) * (SHOWN + GAP) - GAP, SHOWN), "white")
    for index, column in enumerate(columns):
        pixels = (column.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        drawn.paste(Image.fromarray(pixels).resize((SHOWN, SHOWN), Image.Resampling.BOX), (index * (SHOWN + GAP), 0))
    return drawn


def main() -> None:
    """Draw all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in shown():
        strip(name).save(FOLDER / f"{name}.webp", quality=60, method=6)
    print(f"{FOLDER}: {sum(file.stat().st_size for file in FOLDER.glob('*.webp')):,} bytes")


if __name__ == "__main__":
    main()
