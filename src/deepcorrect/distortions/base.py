"""A distortion: what ruins images, with a severity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.processes import Part
from deepcorrect.base.seeding import normal_field

DEFAULT = "default"


@dataclass(frozen=True)
class Distortion:
    """A named distortion with its severity ladders.

    Attributes:
        name: as on the command line.
        function: ``(images, severity)``, or ``(images, severity, noise)`` where ``random``.
        ladders: severities from mild to severe by data kind (``cifar``, ``imagenet``, ``digits``); ``default`` serves the rest.
        random: whether the function needs standard normal numbers, shaped like the images.
    """

    name: str
    function: Callable[..., Tensor]
    ladders: Mapping[str, tuple[float, ...]]
    random: bool = False

    def levels(self, ladder: str) -> tuple[float, ...]:
        """The severities of a ladder, or of the default one; the clean level (0) is not among them."""
        known = self.ladders.get(ladder) or self.ladders.get(DEFAULT)
        if known is None:
            raise DeepcorrectError(
                f"distortion {self.name} has no ladder {ladder!r} (it has {', '.join(self.ladders)}); give --levels"
            )
        return known

    def __call__(self, images: Tensor, severity: Tensor, *, generator: torch.Generator, part: Part | None = None) -> Tensor:
        """Distort a training batch, or a ``part`` of one; random numbers come from ``generator``, on the images' device."""
        if not self.random:
            return self._run(images, severity)
        part = part or Part(0, len(images), len(images))
        shape = (part.whole, *images.shape[1:])
        noise = part.of(torch.randn(shape, generator=generator, device=images.device, dtype=images.dtype))
        return self._run(images, severity, noise)

    def at(self, images: Tensor, severity: float, indices: Tensor, seed: int) -> Tensor:
        """Distort an evaluation batch, all of it at one severity.

        The result for an image depends on (seed, its index, severity) alone: never on the batch, the order or the device.

        Args:
            images: (B, C, H, W) in [0, 1].
            severity: 0 returns the images themselves.
            indices: (B,), each image's position in its data set.
            seed: of the random numbers.
        """
        if severity == 0:
            return images
        levels = torch.full((len(images),), severity, device=images.device)
        if not self.random:
            return self._run(images, levels)
        noise = torch.stack(
            [torch.from_numpy(normal_field(seed, i, severity, tuple(images.shape[1:]))) for i in indices.tolist()]
        )
        return self._run(images, levels, noise.to(images))

    def _run(self, images: Tensor, *given: Tensor) -> Tensor:
        try:
            distorted = self.function(images, *given)
        except Exception as error:
            raise DeepcorrectError(f"distortion {self.name} failed: {type(error).__name__}: {error}") from error
        if not isinstance(distorted, Tensor) or distorted.shape != images.shape:
            found = tuple(distorted.shape) if isinstance(distorted, Tensor) else type(distorted).__name__
            raise DeepcorrectError(
                f"distortion {self.name} turned shape {tuple(images.shape)} into {found}; it must keep the shape"
            )
        return distorted
