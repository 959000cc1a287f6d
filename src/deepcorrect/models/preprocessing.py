"""What a pretrained network expects of its images: their size, the part of them that it sees, and their normalisation.

Images are resized as they are read, and the network itself crops and normalises: a distortion acts between the two, on resized
images in [0, 1], as in the paper's protocol for ImageNet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from deepcorrect.datasets.decoding import CentreCrop, Resize
from deepcorrect.models.blocks import Normalize
from deepcorrect.tasks.classification import logits_of


@dataclass(frozen=True)
class Preprocessing:
    """Of a pretrained network.

    Attributes:
        resize: done as images are read; None leaves them as they are.
        crop: the part of them that the network sees.
        mean, std: of each channel of images in [0, 1].
    """

    resize: Resize | None
    crop: CentreCrop | None = None
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)


class Prepare(nn.Module):
    """Crop the centre of images (B, C, H, W) in [0, 1], where they are larger, and normalise them."""

    def __init__(self, crop: CentreCrop | None, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.crop = crop
        self.normalize = Normalize(mean, std)

    def forward(self, images: Tensor) -> Tensor:
        if self.crop is not None:
            top, left = (self.crop.start(side) for side in images.shape[-2:])
            images = images[..., top : top + self.crop.size, left : left + self.crop.size]
        prepared: Tensor = self.normalize(images)
        return prepared


def seen_size(network: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of what a network sees of images of a size, as far as it is known to crop them."""
    crops = (module.crop for module in network.modules() if isinstance(module, Prepare))
    crop = next((crop for crop in crops if crop is not None), None)
    return size if crop is None else (min(size[0], crop.size), min(size[1], crop.size))


class Prepared(nn.Module):
    """A network with its preprocessing in front, from images in [0, 1] to logits."""

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.prepare = Prepare(preprocessing.crop, preprocessing.mean, preprocessing.std)
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return logits_of(self.network(self.prepare(images)))
