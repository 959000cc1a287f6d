"""The handwritten digits that scikit-learn bundles: 1,797 real scans of 8x8 pixels, no download."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.division import split
from deepcorrect.datasets.images import ImageSet

TEST_SHARE, VALIDATION_SHARE = 0.3, 0.2


def read_digits() -> Dataset:
    """Grey images whose 17 values are spread over 0-255; 30 % are tested on, 20 % of the rest validate."""
    bundle = load_digits()
    pixels = torch.from_numpy(np.round(bundle.images * (255 / 16)).astype(np.uint8))[:, None]
    labels = torch.from_numpy(bundle.target.astype(np.int64))
    rest, test = split(ImageSet.whole(pixels, labels), TEST_SHARE, seed=0)
    train, validation = split(rest, VALIDATION_SHARE, seed=0)
    return Dataset("digits", tuple(str(digit) for digit in range(10)), "digits", train, validation, test)
