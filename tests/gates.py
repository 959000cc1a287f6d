"""A toy network with two saved corrections and a gate before them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

import deepcorrect as dc
from deepcorrect.adapters.attach import attach
from deepcorrect.adapters.gated import Gated
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions.base import Distortion
from tests.conftest import make_toy, random_images
from tests.corrections import plan_for, train_a_little

STRONG = {"blur": dc.GaussianBlur(levels=(1.5, 2)), "noise": dc.GaussianNoise(levels=(40, 60))}
TRAIN, VALIDATION, TEST = (random_images(count, seed=count) for count in (80, 60, 30))


def saved_corrections(network: nn.Module, folder: Path) -> dict[str, Path]:
    """Two corrections that change much, saved, and off the network again."""
    files = {}
    for seed, name in enumerate(STRONG):
        correction = attach(network, plan_for(network, distortion=name), torch.rand(4, 3, 8, 8), seed=seed)
        train_a_little(network, correction)
        files[name] = folder / f"{name}.safetensors"
        correction.save(files[name])
        correction.detach()
    return files


class Case(NamedTuple):
    """A network, the files of its corrections, and what was fitted."""

    network: nn.Module
    files: dict[str, Path]
    gated: Gated


def gate_case(folder: Path, toy: str = "batch-norm") -> Case:
    """Fitted on images of the toys' kind."""
    network = make_toy(toy)
    files = saved_corrections(network, folder)
    return Case(network, files, dc.fit_gate(network, TRAIN, VALIDATION, files, distortions=STRONG, progress=False))


def ruined(images: ImageSet, distortion: Distortion) -> Tensor:
    """Test images at the strongest level, (N, C, H, W)."""
    return distortion.at(as_float(images.images), max(distortion.levels()), images.indices, seed=5)


def mixed_batch(images: ImageSet = TEST) -> tuple[Tensor, Tensor]:
    """Clean, blurred and noisy images in turn, and what they are: 0, 1 or 2."""
    versions = [as_float(images.images), *(ruined(images, distortion) for distortion in STRONG.values())]
    kinds = torch.arange(len(images)) % 3
    return torch.stack(versions)[kinds, torch.arange(len(images))], kinds
