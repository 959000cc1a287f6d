"""Exact gains on image classifiers of Hugging Face, torchvision and timm, small and untrained, against swapping by hooks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from deepcorrect.datasets.batches import as_float
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.models.layers import convolutions, find_layers
from deepcorrect.ranking.gains import GainMeter
from deepcorrect.swapping.graph_swap import GraphSwap
from deepcorrect.swapping.patching import capture, patched
from deepcorrect.tasks.classification import CLASSIFICATION
from tests.conftest import labelled_by, random_images

scores_of = CLASSIFICATION.score

NOISE = get_distortion("noise")
LEVEL = 60.0


class Logits(nn.Module):
    """Answers as torch's own networks do."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        answer = self.network(images)
        logits: Tensor = getattr(answer, "logits", answer)
        return logits


def resnet() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    shape = {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 2], "layer_type": "bottleneck", "num_labels": 5}
    return transformers.ResNetForImageClassification(transformers.ResNetConfig(**shape))  # type: ignore[no-any-return]


def regnet() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    shape = {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "groups_width": 4, "num_labels": 5}
    return transformers.RegNetForImageClassification(transformers.RegNetConfig(**shape))  # type: ignore[no-any-return]


def mobilenet() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    shape = {"depth_multiplier": 0.1, "min_depth": 4, "depth_divisible_by": 4, "num_labels": 5, "image_size": 32}
    return transformers.MobileNetV2ForImageClassification(transformers.MobileNetV2Config(**shape))  # type: ignore[no-any-return]


def convnext() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    shape = {"hidden_sizes": [8, 12], "depths": [1, 1], "num_stages": 2, "num_labels": 5, "image_size": 32}
    return transformers.ConvNextForImageClassification(transformers.ConvNextConfig(**shape))  # type: ignore[no-any-return]


def shuffled() -> nn.Module:
    models = pytest.importorskip("torchvision.models")
    return models.ShuffleNetV2([1, 2, 1], [8, 8, 12, 16, 24], num_classes=5)  # type: ignore[no-any-return]


def activating() -> nn.Module:
    """Its batch normalisations are timm's, which activate too."""
    timm = pytest.importorskip("timm")
    return timm.create_model("lcnet_035", num_classes=5)  # type: ignore[no-any-return]


@pytest.mark.parametrize("build", [resnet, regnet, mobilenet, convnext, shuffled, activating])
@torch.no_grad()
def test_gains_equal_those_of_a_hook_and_a_whole_pass(build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model = Logits(build()).train()
    for _ in range(20):
        model(torch.rand(16, 3, 32, 32))
    images = labelled_by(model.eval(), random_images(12, size=32))
    assert len(set(images.labels.tolist())) > 1
    clean = as_float(images.images)
    distorted = NOISE.at(clean, LEVEL, images.indices, 0)
    before = scores_of(model(distorted), images.labels)
    layers = convolutions(find_layers(model, clean[:1]))
    meter = GainMeter(model, images, NOISE)
    for layer in (*layers[:6], *layers[-2:]):
        assert isinstance(meter.swap(layer), GraphSwap), layer.name
        filters = sorted({0, layer.filters // 2, layer.filters - 1})
        found = meter.measure(layer, LEVEL, filters=filters)
        with capture(model, [layer.name]) as wanted:
            model(clean)
        assert torch.allclose(found.before, before, atol=1e-4)
        for filter_ in filters:
            with patched(model, layer.name, [filter_], wanted[layer.name][:, [filter_]]):
                gain = scores_of(model(distorted), images.labels) - before
            assert torch.allclose(found.each[1:, filter_], gain[1:], atol=1e-4), (layer.name, filter_)
            assert found.each[0, filter_].sum() == gain[0].sum(), (layer.name, filter_)
