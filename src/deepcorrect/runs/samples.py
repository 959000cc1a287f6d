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
from deepcorrect.tasks.base import Task
from deepcorrect.tasks.classification import CLASSIFICATION

COUNT = 6
SIDE = 160
"""Larger images are shown this large, as JPEG."""


class Samples:
    """Images drawn by seed from the test set, one a class as far as that goes.

    Args:
        data: where the images and class names come from.
        distortion: what the images are shown under.
        levels: severities above 0; the clean level is added in front.
        seed: of the choice and of the noise.
        device: where the networks are.
        task: says what a network's answer is in words.
    """

    def __init__(
        self,
        data: Dataset,
        distortion: Distortion,
        levels: Sequence[float],
        *,
        seed: int,
        device: torch.device,
        task: Task = CLASSIFICATION,
    ) -> None:
        self._task = task
        self._classes = [readable(name) for name in data.classes]
        self._levels = (0.0, *levels)
        drawn = data.test.balanced(len(torch.unique(data.test.labels, dim=0)), seed)
        order = torch.randperm(len(drawn), generator=generator(seed, Use.SAMPLES))[:COUNT]
        (batch,) = batches(drawn.take(order), COUNT, device)
        self._labels = batch.labels
        self._said = " (the clean answer)" if "test" in data.self_labelled else ""
        self._images = [distortion.at(batch.images, level, batch.indices, seed) for level in self._levels]
        self._captions: dict[str, list[list[dict[str, object]]]] = {}

    @torch.inference_mode()
    def ask(self, name: str, model: nn.Module) -> None:
        """Note what a network answers to every image at every level: its most likely class and that one's probability."""
        self._captions[name] = [
            self._task.caption(self._task.outputs(model(laid_out(images, model))).float(), self._labels, self._classes)
            for images in self._images
        ]

    def as_json(self) -> dict[str, object]:
        """Levels, true classes, the images' format, images (base64) and answers, each by level and image."""
        return {
            "levels": list(self._levels),
            "labels": [f"{text}{self._said}" for text in self._task.label_texts(self._labels, self._classes)],
            "format": "jpeg" if self._images[0].shape[-1] > SIDE else "png",
            "images": [[_encoded(image) for image in images] for images in self._images],
            "answers": self._captions,
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
