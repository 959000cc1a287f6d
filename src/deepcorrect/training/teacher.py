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
import torch.nn.functional as F
from torch import Tensor, nn

from deepcorrect.adapters.correction import Correction
from deepcorrect.models.inspection import tensors


@dataclass(frozen=True)
class Lesson:
    """One batch: the corrected network's logits (B, classes), and how far it is from the network that sees clean images.

    Attributes:
        answers: Kullback-Leibler divergence of the class probabilities, in nats an image.
        features: mean squared difference at the last layer's input, as a share of the variance there.
    """

    logits: Tensor
    answers: Tensor
    features: Tensor


class Teacher:
    """A network whose correction is trained, seen with and without it. Use inside ``attending``."""

    def __init__(self, network: nn.Module, correction: Correction, last_layer: str) -> None:
        """``last_layer`` names the layer whose input is compared."""
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
        """Show the corrected network ``images``, and the network as it was the same ones ``clean``."""
        with torch.no_grad(), self._correction.disabled():
            wanted = self._network(clean).float().log_softmax(1)
            target = self._features.float()
        logits = self._network(images).float()
        divergence = F.kl_div(logits.log_softmax(1), wanted, log_target=True, reduction="batchmean")
        distance = (self._features.float() - target).square().mean() / target.var().clamp_min(1e-12)
        return Lesson(logits, divergence, distance)
