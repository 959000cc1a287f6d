"""AlexNet as Caffe has it (section 3.3, Figure 3b): two groups in layers 2, 4 and 5, local response normalisation.

60,965,224 parameters. Images are 256x256 pixels in the paper, of which the network sees the centre 227x227. As the weights that
the paper used (convnets-keras) expect, the mean is subtracted from values on the 0-255 scale, pooling comes before
normalisation, and the normalisation divides by ``(2 + 1e-4 * sum of squares) ** 0.75`` over five channels.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from deepcorrect.datasets.decoding import CentreCrop, Resize
from deepcorrect.models.blocks import initialize
from deepcorrect.models.preprocessing import Prepare, Preprocessing

MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
PREPROCESSING = Preprocessing(Resize(256, squash=True), CentreCrop(227), MEAN, (1 / 255,) * 3)


class AlexNet(nn.Sequential):
    """Images (B, 3, H, W) in [0, 1], 227 pixels or more a side, to logits (B, classes)."""

    preprocessing = PREPROCESSING

    def __init__(self, classes: int = 1000) -> None:
        layers: list[tuple[str, nn.Module]] = [
            ("prepare", Prepare(PREPROCESSING.crop, PREPROCESSING.mean, PREPROCESSING.std)),
            ("conv1", nn.Conv2d(3, 96, 11, stride=4)),
            ("relu1", nn.ReLU(inplace=True)),
            ("pool1", nn.MaxPool2d(3, 2)),
            ("norm1", nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)),
            ("conv2", nn.Conv2d(96, 256, 5, padding=2, groups=2)),
            ("relu2", nn.ReLU(inplace=True)),
            ("pool2", nn.MaxPool2d(3, 2)),
            ("norm2", nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)),
            ("conv3", nn.Conv2d(256, 384, 3, padding=1)),
            ("relu3", nn.ReLU(inplace=True)),
            ("conv4", nn.Conv2d(384, 384, 3, padding=1, groups=2)),
            ("relu4", nn.ReLU(inplace=True)),
            ("conv5", nn.Conv2d(384, 256, 3, padding=1, groups=2)),
            ("relu5", nn.ReLU(inplace=True)),
            ("pool5", nn.MaxPool2d(3, 2)),
            ("flatten", nn.Flatten()),
            ("fc6", nn.Linear(256 * 6 * 6, 4096)),
            ("relu6", nn.ReLU(inplace=True)),
            ("drop6", nn.Dropout(0.5)),
            ("fc7", nn.Linear(4096, 4096)),
            ("relu7", nn.ReLU(inplace=True)),
            ("drop7", nn.Dropout(0.5)),
            ("fc8", nn.Linear(4096, classes)),
        ]
        super().__init__(OrderedDict(layers))
        initialize(self)
