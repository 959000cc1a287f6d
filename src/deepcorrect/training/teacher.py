"""The network as it was, on clean images, teaches its correction what to make of the distorted ones.

A correction is to bring back what the network said before the distortion. Beside the labels, training can therefore use the
network's own answers on the same images undistorted (Hinton et al., 2015) and what arrives at its last layer (Romero et al.,
2015): that says much more of each image than its label. The paper trains on labels alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepcorrect.adapters.correction import Correction
from deepcorrect.models.inspection import tensors
from deepcorrect.tasks.base import Task
from deepcorrect.tasks.classification import CLASSIFICATION


@dataclass(frozen=True)
class Lesson:
    """One batch: what the corrected network answers, and how far it is from the network that sees clean images.

    Attributes:
        outputs: of the corrected network, (B, ...) float32; (B, classes) of a classifier.
        divergence: of these from what the network says to clean images, by the task, () with a gradient; of a classifier
            Kullback-Leibler's, nats an image, 0 or more.
        features: mean squared difference at the last layer's input, as a share of the variance that the clean images have
            there, () with a gradient, 0 or more.
    """

    outputs: Tensor
    divergence: Tensor
    features: Tensor


class Teacher:
    """A network whose correction is trained, seen with and without it. Use inside ``attending``."""

    def __init__(self, network: nn.Module, correction: Correction, last_layer: str, *, task: Task = CLASSIFICATION) -> None:
        """``last_layer`` names the layer whose input is compared."""
        self._task = task
        self._network = network
        self._correction = correction
        self._last = network.get_submodule(last_layer)
        self._features: Tensor

    @contextmanager
    def attending(self) -> Iterator[None]:
        """Watch the last layer's input inside the context."""

        def keep(module: nn.Module, args: tuple[Tensor, ...], options: dict[str, Tensor]) -> None:
            self._features = next(tensors((args, options)))

        handle = self._last.register_forward_pre_hook(keep, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def teach(self, images: Tensor, clean: Tensor) -> Lesson:
        """Show the corrected network distorted images, and the network as it was the same ones clean.

        Only the former pass has gradients. The correction is switched on again afterwards.

        Args:
            images: (B, C, H, W) in [0, 1], distorted or not, on the network's device.
            clean: the same images in the same order without distortion, (B, C, H, W).

        Raises:
            DeepcorrectError: the network returns no outputs of the task.
            AttributeError: outside ``attending``, where the features are not watched.
        """
        with torch.no_grad(), self._correction.disabled():
            wanted = self._task.outputs(self._network(clean)).float()
            target = self._features.float()
        outputs = self._task.outputs(self._network(images)).float()
        distance = (self._features.float() - target).square().mean() / target.var().clamp_min(1e-12)
        return Lesson(outputs, self._task.divergence(outputs, wanted), distance)
