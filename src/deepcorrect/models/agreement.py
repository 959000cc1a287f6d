"""Does a network see what its own library would show it? The library prepares generated images, and so does deepcorrect."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deepcorrect.datasets.batches import as_float
from deepcorrect.models.preprocessing import Prepare, Preprocessing

Transform = Callable[[Image.Image], Tensor]
"""From an image to what a network sees of it, (C, H, W)."""

SIZES = ((520, 361), (170, 231))
"""Width and height: one image is wide, the other high and smaller than most networks take."""
TOLERANCE = 0.002
"""Mean difference, as a share of the standard deviation: rounding alone makes less."""


def agrees(preprocessing: Preprocessing, transform: Transform) -> bool:
    """Whether images are prepared as a library's transform prepares them."""
    prepare = Prepare(preprocessing.crop, preprocessing.mean, preprocessing.std)
    side = preprocessing.crop or preprocessing.resize
    for image in _images():
        theirs = transform(image)
        if not isinstance(theirs, Tensor) or theirs.ndim != 3 or (side and theirs.shape[1:] != (side.size, side.size)):
            return False
        resized = np.array(preprocessing.resize(image) if preprocessing.resize else image)
        ours = prepare(as_float(torch.from_numpy(resized).permute(2, 0, 1)[None]))[0]
        if ours.shape != theirs.shape or not (ours - theirs).abs().mean() <= TOLERANCE * theirs.std():
            return False
    return True


def _images() -> Iterator[Image.Image]:
    for seed, size in enumerate(SIZES):
        blocks = np.random.RandomState(seed).randint(0, 256, (90, 130, 3)).astype(np.uint8)
        yield Image.fromarray(blocks).resize(size)
