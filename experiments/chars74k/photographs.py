"""The photographs: good ones to train on, really bad ones to test on, and what is wrong with each bad one.

Characters of the Chars74K data set (de Campos et al., 2009), 36 classes, brought to 32 x 32 pixels: ``good`` and ``bad``
folders of ``<character>/<image>``. Half of the bad photographs may be looked at without their labels, to re-estimate
statistics or to choose a mixture of distortions; the other half is new to every network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets import load_dataset
from deepcorrect.datasets.batches import batches
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.decoding import Resize
from deepcorrect.datasets.division import split
from deepcorrect.datasets.images import ImageSet

SIDE = 32
BATCH = 500
GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Photographs:
    """The data of the experiment.

    Attributes:
        good: training, validation and test images; a fifth of each class is tested on.
        seen: half of each class of the bad photographs, whose pixels may be looked at.
        unseen: the other half.
    """

    good: Dataset
    seen: ImageSet
    unseen: ImageSet


def load_photographs(root: Path) -> Photographs:
    """Read ``root/chars74k``.

    Raises:
        DeepcorrectError: the folders are missing, or do not have the same characters.
    """
    good, bad = (
        load_dataset(f"folder:{root / 'chars74k' / name}", resize=Resize(SIDE), whole=whole)
        for name, whole in (("good", None), ("bad", True))
    )
    if good.classes != bad.classes:
        raise DeepcorrectError(f"{root / 'chars74k'}: good and bad photographs do not show the same characters")
    unseen, seen = split(bad.test.held(), 0.5, seed=0)
    return Photographs(good, seen, unseen)


def pixels_of(images: ImageSet) -> Tensor:
    """All of them, (N, 3, H, W) in [0, 1]."""
    return torch.cat([batch.images for batch in batches(images, BATCH, torch.device("cpu"))])


def sharpness(images: Tensor) -> Tensor:
    """Standard deviation of the Laplacian as a share of that of the grey image, (N,): low where an image is blurred."""
    grey = _grey(images)
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    edges = F.conv2d(grey[:, None], kernel.view(1, 1, 3, 3)).flatten(1).std(1)
    return edges / grey.flatten(1).std(1).clamp_min(1e-4)


def contrast(images: Tensor) -> Tensor:
    """Standard deviation along the direction of colour in which an image varies most, (N,)."""
    colours = images.flatten(2)
    centred = colours - colours.mean(2, keepdim=True)
    covariance = centred @ centred.mT / centred.shape[-1]
    variances: Tensor = torch.linalg.eigvalsh(covariance)
    return variances[:, -1].clamp_min(0).sqrt()


def brightness(images: Tensor) -> Tensor:
    """Mean of the grey image, (N,)."""
    return _grey(images).flatten(1).mean(1)


def smear(images: Tensor) -> Tensor:
    """How much more an image changes along one side than along the other, (N,), 0 or more: motion, or stretched letters."""
    grey = _grey(images)
    across, down = (grey.diff(dim=dim).abs().flatten(1).mean(1).clamp_min(1e-4) for dim in (2, 1))
    return (across / down).log().abs()


def crowding(images: Tensor) -> Tensor:
    """Share of the border that has another colour than most of it, (N,): letters cut off, or neighbours in the picture."""
    border = torch.cat([images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1]], 2)
    usual = torch.median(border, 2, keepdim=True)[0]
    distance = (border - usual).square().sum(1).sqrt()
    return (distance > contrast(images)[:, None]).float().mean(1)


MEASURES: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "blurred": (sharpness, 0.1),
    "faint": (contrast, 0.1),
    "dark": (brightness, 0.05),
    "glaring": (brightness, 0.95),
    "smeared": (smear, 0.9),
    "crowded": (crowding, 0.9),
}
"""What can be wrong with a photograph: a measure, and the share of the good ones that lie below the limit of the normal."""
OTHERWISE = "none of these"


def kinds_of(images: Tensor, good: Tensor) -> dict[str, Tensor]:
    """Which images (N, 3, H, W) are abnormal among good ones, and in what: (N,) bool by name; one may be several at once.

    Each kind takes in a tenth or a twentieth of the good photographs, so a larger share of the bad ones tells them apart.
    """
    found = {}
    for name, (measure, share) in MEASURES.items():
        limit = torch.quantile(measure(good), share)
        found[name] = measure(images) < limit if share < 0.5 else measure(images) > limit
    found[OTHERWISE] = ~torch.stack(list(found.values())).any(0)
    return found


def _grey(images: Tensor) -> Tensor:
    return torch.einsum("nchw,c->nhw", images, torch.tensor(GREY))
