"""A small network of the same kind for small images, such as the bundled 8x8 digits."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from deepcorrect.models.blocks import Normalize, conv_bn_relu, initialize


class SmallCNN(nn.Sequential):
    """Images (B, channels, H, W) in [0, 1] to logits (B, classes); four convolutions, average pooling over what is left."""

    def __init__(self, classes: int = 10, channels: int = 1) -> None:
        layers: list[tuple[str, nn.Module]] = [
            ("normalize", Normalize((0.3,) * channels, (0.4,) * channels)),
            *conv_bn_relu(1, channels, 24, 3, padding=1),
            *conv_bn_relu(2, 24, 32, 3, padding=1),
            *conv_bn_relu(3, 32, 48, 3, stride=2, padding=1),
            ("conv4", nn.Conv2d(48, classes, 1)),
            ("pool", nn.AdaptiveAvgPool2d(1)),
            ("flatten", nn.Flatten()),
        ]
        super().__init__(OrderedDict(layers))
        initialize(self)
