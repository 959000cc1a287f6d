"""Ideal correction against hooks that swap the same filters by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.evaluation.sweep import evaluate
from deepcorrect.models.layers import convolutions, find_layers
from deepcorrect.ranking.ideal import evaluate_ideal
from deepcorrect.swapping.patching import capture, patched
from tests.conftest import labelled_by, make_toy, random_images

LEVELS = (0.7, 1.5)


def test_it_equals_swapping_by_hand(toy: nn.Module, images: ImageSet) -> None:
    blur = get_distortion("blur")
    images = labelled_by(toy, images)
    pictures = as_float(images.images)
    for layer in convolutions(find_layers(toy, pictures[:2])):
        choices = [(0,), tuple(range(layer.filters))]
        if layer.uses > 1:
            continue  # patched knows one output a pass; test_priority has such layers
        found = evaluate_ideal(toy, images, blur, LEVELS, layer, choices, batch_size=7)
        with torch.no_grad(), capture(toy, [layer.name]) as clean:
            toy(pictures)
        for filters, top1 in zip(choices, found, strict=True):
            for level, accuracy in zip(LEVELS, top1, strict=True):
                distorted = blur.at(pictures, level, images.indices, 0)
                with torch.no_grad(), patched(toy, layer.name, filters, clean[layer.name][:, list(filters)]):
                    right = toy(distorted).argmax(1) == images.labels
                assert accuracy == pytest.approx(right.double().mean().item())


def test_correcting_the_whole_first_layer_of_a_chain_is_as_good_as_clean_images() -> None:
    network = make_toy("plain")
    images = labelled_by(network, random_images(40))
    layer = find_layers(network, as_float(images.images[:2]))[0]
    blur = get_distortion("blur")
    (found,) = evaluate_ideal(network, images, blur, LEVELS, layer, [range(layer.filters)])
    assert found == (1.0, 1.0)
    assert max(evaluate(network, images, blur, LEVELS, classes=5).top1[1:]) < 1
