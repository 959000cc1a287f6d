"""A gate: which correction an image needs, if any, told by statistics of what the network's first convolution makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.models.inspection import tensors
from deepcorrect.models.stand_in import own_modules, switched_off

UNTOUCHED = 0
"""The decision to give an image to the network as it is; correction k of a gate, counted from 1, is decision k."""
STATISTICS = 4
_SMALLEST = 1e-6


def statistics(outputs: Tensor) -> Tensor:
    """What a gate knows of each image, (B, 4 C) float32: four numbers of every channel of the first convolution's outputs.

    The mean; and the logarithms of the standard deviation and of the mean absolute differences between neighbours in a row and
    in a column. Blur shrinks the differences more than the deviation, noise does the opposite.

    Args:
        outputs: (B, C, H, W).
    """
    values = outputs.float()
    mean = values.mean((2, 3))
    spread = (values - mean[..., None, None]).square().mean((2, 3)).sqrt()
    beside, below = (_mean_size(values.diff(dim=dimension)) for dimension in (3, 2))
    sizes = torch.cat([spread, beside, below], 1)
    return torch.cat([mean, sizes.clamp_min(_SMALLEST).log()], 1)


def _mean_size(differences: Tensor) -> Tensor:
    """(B, C); zeros of maps one pixel wide, which have no neighbours."""
    return differences.abs().sum((2, 3)) / max(1, differences.shape[2] * differences.shape[3])


class Gate(nn.Module):
    """A linear classifier of ``statistics``: is an image clean, or under which of the distortions that corrections are for?

    Each distortion is a kind of images by itself, also where one correction is for several: what two distortions do to the
    statistics may be opposite, with the clean images in between. The first layer's outputs are all that a gate needs, so that
    the network can go on with an image that is left alone.

    Attributes:
        names: of the corrections, in the order of the decisions 1, 2, ...
        mean, scale: (D,), by which statistics are standardised.
        weight, bias: of the kinds, (kinds, D) and (kinds,); that of clean images is the first, its bias holds the threshold.
        decisions: (kinds,) int64, what is decided for images of each kind.
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor
    decisions: Tensor

    def __init__(
        self, names: Sequence[str], mean: Tensor, scale: Tensor, weight: Tensor, bias: Tensor, decisions: Tensor
    ) -> None:
        super().__init__()
        self.names = tuple(names)
        for name, value in (("mean", mean), ("scale", scale), ("weight", weight), ("bias", bias)):
            self.register_buffer(name, value.detach().float().clone())
        self.register_buffer("decisions", decisions.long().clone())

    @property
    def channels(self) -> int:
        """Of the first convolution."""
        return len(self.mean) // STATISTICS

    def scores(self, seen: Tensor) -> Tensor:
        """Of each kind, (B, kinds).

        Args:
            seen: ``statistics`` of images, (B, D).
        """
        standard = (seen - self.mean.float()) / self.scale.float()
        return standard @ self.weight.float().T + self.bias.float()

    def forward(self, outputs: Tensor) -> Tensor:
        """The decision for each image, (B,) int64.

        Args:
            outputs: of the first convolution, (B, C, H, W).
        """
        with torch.autocast(outputs.device.type, enabled=False):
            return self.decisions[self.scores(statistics(outputs)).argmax(1)]


class _EndedError(Exception):
    """Ends a pass of the network: what it would still compute is not needed."""


class FirstLayer:
    """A network that is watched at its first convolution, its corrections switched off.

    The convolution's outputs are computed in single precision, whatever the network's, so that rounding is not taken for noise.
    """

    def __init__(self, network: nn.Module, layer: str) -> None:
        """Find the convolution.

        Args:
            layer: its name, as without a correction.

        Raises:
            DeepcorrectError: there is no convolution of that name.
        """
        convolution = {name: module for module, name in own_modules(network).items()}.get(layer)
        if not isinstance(convolution, nn.Conv2d):
            raise DeepcorrectError(f"the network has no convolution {layer}, which the gate looks at")
        self.network = network
        self.layer = layer
        self.convolution = convolution

    def run(self, images: Tensor, see: Callable[[Tensor], bool]) -> Any:
        """The network's answer, bit for bit; None if the pass was ended.

        Args:
            images: (B, C, H, W) in [0, 1].
            see: given the convolution's outputs, (B, C, H, W) float32, it tells whether the rest of the network is needed.

        Raises:
            DeepcorrectError: the pass does not reach the convolution.
        """
        reached = False

        def watch(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            nonlocal reached
            if not reached:
                reached = True
                if not see(_in_single_precision(module, args, output)):
                    raise _EndedError

        handle = self.convolution.register_forward_hook(watch)
        try:
            with switched_off(self.network.modules()):
                answer = self.network(images)
        except _EndedError:
            return None
        finally:
            handle.remove()
        if not reached:
            raise DeepcorrectError(f"the network gives an answer without its convolution {self.layer}, which the gate looks at")
        return answer


def _in_single_precision(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    if output.dtype == torch.float32:
        return output
    state = {name: value.float() for name, value in module.state_dict(keep_vars=True).items()}
    with torch.autocast(output.device.type, enabled=False):
        single: Tensor = functional_call(module, state, tuple(value.float() for value in tensors(args)))
    return single
