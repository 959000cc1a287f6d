"""A few test images at every level, with what each network says to them; saved for the report."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor, nn

from deepcorrect.base.device import laid_out
from deepcorrect.base.names import readable
from deepcorrect.base.seeding import Use, generator
from deepcorrect.datasets.batches import batches
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.distortions.base import Distortion

COUNT = 6
SIDE = 160
"""Larger images are shown this large, as JPEG."""


class Samples:
    """Images drawn by seed from the test set, one a class as far as that goes.

    Args:
        data: where the images and class names come from.
        distortion, levels: what is shown, the clean level first.
        seed: of the choice and of the noise.
        device: where the networks are.
    """

    def __init__(
        self, data: Dataset, distortion: Distortion, levels: Sequence[float], *, seed: int, device: torch.device
    ) -> None:
        self._classes = [readable(name) for name in data.classes]
        self._levels = (0.0, *levels)
        drawn = data.test.balanced(len(set(data.test.labels.tolist())), seed)
        order = torch.randperm(len(drawn), generator=generator(seed, Use.SAMPLES))[:COUNT]
        (batch,) = batches(drawn.take(order), COUNT, device)
        self._labels = batch.labels.tolist()
        self._images = [distortion.at(batch.images, level, batch.indices, seed) for level in self._levels]
        self._said: dict[str, list[list[dict[str, object]]]] = {}

    @torch.inference_mode()
    def ask(self, name: str, model: nn.Module) -> None:
        """Note a network's most likely class and its probability for every image at every level."""
        answers = []
        for images in self._images:
            confidence, label = model(laid_out(images, model)).float().softmax(1).max(1)
            answers.append(
                [
                    {"label": self._name(top), "right": top == true, "confidence": round(share, 4)}
                    for top, share, true in zip(label.tolist(), confidence.tolist(), self._labels, strict=True)
                ]
            )
        self._said[name] = answers

    def _name(self, output: int) -> str:
        """A class, or the number of an output beyond the data's classes."""
        return self._classes[output] if output < len(self._classes) else f"output {output}"

    def as_json(self) -> dict[str, object]:
        """Levels, true classes, the images' format, images (base64) and answers, each by level and image."""
        return {
            "levels": list(self._levels),
            "labels": [self._classes[label] for label in self._labels],
            "format": "jpeg" if self._images[0].shape[-1] > SIDE else "png",
            "images": [[_encoded(image) for image in images] for images in self._images],
            "answers": self._said,
        }


def picture(image: Tensor) -> Image.Image:
    """A (C, H, W) image in [0, 1], clipped, as eight bits a channel."""
    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _encoded(image: Tensor) -> str:
    """The picture in base64."""
    shown, buffer = picture(image), io.BytesIO()
    if shown.width > SIDE:
        shown.resize((SIDE, SIDE * shown.height // shown.width), Image.Resampling.BOX).save(buffer, "JPEG", quality=85)
    else:
        shown.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
