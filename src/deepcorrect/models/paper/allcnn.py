"""The paper's CIFAR-100 network (section 3.3, Figure 3a): nine convolutions, each with batch normalisation and ReLU.

Based on the All-Convolutional Net of Springenberg et al.; 1,389,804 parameters.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from deepcorrect.models.blocks import Normalize, conv_bn_relu, initialize

MEAN, STD = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)


class AllCNN(nn.Sequential):
    """Images (B, 3, 32, 32) in [0, 1] to logits (B, classes)."""

    def __init__(self, classes: int = 100) -> None:
        layers: list[tuple[str, nn.Module]] = [
            ("normalize", Normalize(MEAN, STD)),
            *conv_bn_relu(1, 3, 96, 3, padding=1),
            *conv_bn_relu(2, 96, 96, 3, padding=1),
            *conv_bn_relu(3, 96, 96, 3, stride=2, padding=1),
            *conv_bn_relu(4, 96, 192, 3, padding=1),
            *conv_bn_relu(5, 192, 192, 3, padding=1),
            *conv_bn_relu(6, 192, 192, 3, stride=2, padding=1),
            *conv_bn_relu(7, 192, 192, 3),
            *conv_bn_relu(8, 192, 192, 1),
            *conv_bn_relu(9, 192, classes, 1),
            ("pool", nn.AdaptiveAvgPool2d(1)),
            ("flatten", nn.Flatten()),
        ]
        super().__init__(OrderedDict(layers))
        initialize(self)
