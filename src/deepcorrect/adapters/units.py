"""Correction units: small residual stacks of convolutions behind some filters of a layer (section 4.2, Figure 7, Table 10).

A unit on C channels is ``x + body(x)``: a 1x1 convolution to D channels (the correction width), k x k convolutions on D,
and a 1x1 convolution back to C. Batch normalisation and ReLU follow every convolution but the last.

=============  ===========  ==========================================  ==================================================
name           width D      k x k convolutions                          published as
=============  ===========  ==========================================  ==================================================
``cifar``      64           3, 3; the input is normalised first         the CIFAR-100 unit
``wide``       C            5, 5 in the first layer, else 3, 3          critically wide, Table 10 row 1
``lite``       128          3, 3; dilated [1, 2] in the first two       Table 10 row 2
``bottleneck`` C / 2        3, 3, 3; dilated [1, 1, 2] in the first     Table 10 row 3
=============  ===========  ==========================================  ==================================================
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument

UNITS = ("cifar", "wide", "lite", "bottleneck")


@dataclass(frozen=True)
class UnitShape:
    """Sizes of a correction unit.

    Attributes:
        width: channels inside, D.
        kernels: size of each inner convolution.
        dilations: dilation of each inner convolution.
        normalize_input: whether a batch normalisation stands before the first convolution.
        batch_norm: whether convolutions are followed by batch normalisation.
    """

    width: int
    kernels: tuple[int, ...]
    dilations: tuple[int, ...]
    normalize_input: bool
    batch_norm: bool


def unit_shape(name: str, channels: int, position: int, *, batch_norm: bool = True) -> UnitShape:
    """The named shape for ``channels`` corrected filters in the network's ``position``-th convolution, counted from 1.

    Raises:
        DeepcorrectError: unknown name.
    """
    if name == "cifar":
        return UnitShape(64, (3, 3), (1, 1), batch_norm, batch_norm)
    if name == "wide":
        return UnitShape(channels, (5, 5) if position == 1 else (3, 3), (1, 1), False, batch_norm)
    if name == "lite":
        return UnitShape(128, (3, 3), (1, 2) if position <= 2 else (1, 1), False, batch_norm)
    if name == "bottleneck":
        dilations = (1, 1, 2) if position == 1 else (1, 1, 1)
        return UnitShape(max(1, channels // 2), (3, 3, 3), dilations, False, batch_norm)
    raise DeepcorrectError(f"{argument('unit', name)}: unknown; use {', '.join(UNITS)}")


class CorrectionUnit(nn.Module):
    """A trainable residual block on the outputs of the corrected filters, shape (B, C, H, W) in and out."""

    def __init__(self, channels: int, shape: UnitShape) -> None:
        super().__init__()
        stack: list[nn.Module] = [nn.BatchNorm2d(channels)] if shape.normalize_input else []
        incoming = channels
        for kernel, dilation in [(1, 1), *zip(shape.kernels, shape.dilations, strict=True)]:
            padding = dilation * (kernel - 1) // 2
            stack.append(nn.Conv2d(incoming, shape.width, kernel, padding=padding, dilation=dilation))
            if shape.batch_norm:
                stack.append(nn.BatchNorm2d(shape.width))
            stack.append(nn.ReLU(inplace=True))
            incoming = shape.width
        stack.append(nn.Conv2d(incoming, channels, 1))
        self.body = nn.Sequential(*stack)

    def forward(self, outputs: Tensor) -> Tensor:
        corrected: Tensor = self.body(outputs)
        return outputs + corrected

    def initialize(self, generator: torch.Generator, *, identity: bool = False) -> None:
        """He initialisation of every convolution, zero biases; for an ``identity`` the last convolution starts from zero."""
        for module in self.body:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        if identity:
            nn.init.zeros_(self.body[-1].weight)  # type: ignore[arg-type]

    def multiply_accumulates(self, height: int, width: int) -> int:
        """Of one image whose filters' outputs have this size: every convolution keeps it, and a bias counts once a position."""
        convolutions = [module for module in self.body if isinstance(module, nn.Conv2d)]
        return height * width * sum(weight.numel() for module in convolutions for weight in module.parameters())

    @property
    def weights(self) -> list[Tensor]:
        """The convolutions' weights, which the regulariser of Equation 5 acts on."""
        return [module.weight for module in self.body if isinstance(module, nn.Conv2d)]
