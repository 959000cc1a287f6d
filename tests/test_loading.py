"""From images as they are held to what a network sees."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.batches import as_float, batches
from deepcorrect.datasets.images import ImageSet

CPU = torch.device("cpu")


def test_eight_bits_are_divided_by_255() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(as_float(levels), torch.arange(256).view(1, 1, 16, 16) / 255)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16])
def test_floating_point_images_keep_their_values(kind: torch.dtype) -> None:
    images = torch.rand(5, 3, 4, 4).to(kind)
    kept = images.clone()
    found = list(batches(ImageSet.whole(images, torch.zeros(5, dtype=torch.int64)), 2, CPU))
    together = torch.cat([batch.images for batch in found])
    assert together.dtype == torch.float32
    assert torch.equal(together, kept.float())
    assert torch.equal(images, kept)


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (torch.full((1, 1, 2, 2), 200), "images of int64 numbers: give uint8, 0 to 255, or floating point, 0 to 1"),
        (torch.zeros(1, 1, 2, 2, dtype=torch.bool), "images of bool numbers"),
        (torch.full((1, 1, 2, 2), 200.0), r"images of float32 numbers from 200 to 200: floating-point images lie in \[0, 1\]"),
        (torch.full((1, 1, 2, 2), -0.5), "from -0.5 to -0.5"),
        (torch.full((1, 1, 2, 2), torch.nan), "from nan to nan"),
    ],
)
def test_numbers_that_are_no_images_are_refused(images: Tensor, reason: str) -> None:
    with pytest.raises(DeepcorrectError, match=reason):
        as_float(images)
