"""The few modules that networks here share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """Subtract a mean and divide by a standard deviation, channel by channel: images in [0, 1] go in."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


def conv_bn_relu(
    number: int, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0
) -> list[tuple[str, nn.Module]]:
    """A convolution, its batch normalisation and a ReLU, as named members of a sequence."""
    return [
        (f"conv{number}", nn.Conv2d(inputs, outputs, kernel, stride, padding)),
        (f"bn{number}", nn.BatchNorm2d(outputs)),
        (f"relu{number}", nn.ReLU(inplace=True)),
    ]


def initialize(network: nn.Module) -> None:
    """He initialisation of every convolution and dense layer; zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
