"""A network that takes normalised images, as one that takes images in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deepcorrect.datasets.pixels import Normalization, checked_numbers


class NormalizedInput(nn.Module):
    """A network behind its normalisation: ``model((images - mean) / std)`` of images in [0, 1].

    For such a network, floating-point images of one's own ``Dataset``, ``DataLoader`` or arrays are taken as normalised so
    already: they are brought back to [0, 1] as they are read, because a distortion acts there. Images of uint8 and those of a
    spec are in [0, 1] as they are.

    Args:
        model: takes normalised images (B, C, H, W).
        mean, std: of each channel of images in [0, 1], or one number for all channels; as in torchvision's ``Normalize``.

    Attributes:
        model: the network itself, on which a correction can be used without this wrapper.

    Raises:
        DeepcorrectError: different counts of numbers, numbers that are not finite, or a std that is not above 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        super().__init__()
        self.normalization = checked_numbers(mean, std)
        self.model = model
        first = next(model.parameters(), torch.empty(0))
        for name, numbers in self.normalization._asdict().items():
            self.register_buffer(name, torch.tensor(numbers, device=first.device).view(-1, 1, 1))
        self.train(model.training)

    def forward(self, images: Tensor) -> Tensor:
        """What the network answers to images (B, C, H, W) in [0, 1], which it gets in their own precision."""
        answer: Tensor = self.model(((images - self.mean) / self.std).to(images.dtype))
        return answer


def normalization_of(model: nn.Module) -> Normalization | None:
    """How a user's floating-point images for a network are normalised; None where they lie in [0, 1]."""
    return model.normalization if isinstance(model, NormalizedInput) else None
