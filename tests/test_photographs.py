"""The experiment on real photographs: what is wrong with them, and what is done to good ones."""

from __future__ import annotations

import pytest
import torch
from experiments.chars74k.mishaps import CHANCE, Photographed
from experiments.chars74k.photographs import OTHERWISE, brightness, contrast, crowding, kinds_of, sharpness, smear
from experiments.chars74k.statistics import with_statistics_of
from torch import Tensor, nn

from deepcorrect.datasets.batches import as_float
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.blur import gaussian_blur
from deepcorrect.distortions.registry import get_distortion
from tests.conftest import random_images


def letters(count: int = 24) -> Tensor:
    """Bright crosses on a dark ground, (N, 3, 32, 32), of slightly different shapes and colours."""
    images = torch.full((count, 3, 32, 32), 0.3)
    for index, image in enumerate(images):
        image[:, 8:24, 13 : 18 + index % 4] = 0.7 + 0.01 * (index % 5)
        image[:, 14 : 18 + index % 3, 6:26] = 0.7
    return images + 0.01 * torch.rand(images.shape, generator=torch.Generator().manual_seed(0))


def test_measures_tell_what_is_wrong_and_nothing_else() -> None:
    good = letters()
    faint, turned = 0.2 * good + 0.4, good.transpose(2, 3)
    blurred = gaussian_blur(good, torch.full((len(good),), 2.0))
    assert (sharpness(blurred) < 0.6 * sharpness(good)).all()
    assert torch.allclose(sharpness(faint), sharpness(good), rtol=1e-3)
    assert torch.allclose(contrast(faint), 0.2 * contrast(good), rtol=1e-3)
    assert torch.allclose(brightness(0.5 * good), 0.5 * brightness(good))
    assert torch.allclose(smear(turned), smear(good), atol=1e-4)
    assert (smear(good.mean(3, keepdim=True).expand_as(good)) > smear(good) + 1).all()
    assert (crowding(good.roll(14, 3)) > crowding(good) + 0.05).all()


def test_colours_that_are_equally_bright_have_contrast() -> None:
    image = torch.zeros(1, 3, 32, 32)
    image[0, 0, :, :16], image[0, 1, :, 16:] = 0.587, 0.299
    assert contrast(image) > 0.3
    assert contrast(image.mean((2, 3), keepdim=True).expand_as(image)) < 1e-3


def test_a_photograph_is_of_every_kind_that_fits_or_of_none() -> None:
    good = letters(200)
    usual = good.sort(0).values[100:101]
    images = torch.cat([0.1 * usual, gaussian_blur(usual, torch.tensor([3.0])) * 0.1, usual])
    kinds = kinds_of(images, good)
    assert kinds["dark"].tolist() == kinds["faint"].tolist() == [True, True, False]
    assert kinds["glaring"].tolist() == [False] * 3
    assert kinds["blurred"].tolist()[1:] == [True, False]
    others = torch.stack([kinds[name] for name in kinds if name != OTHERWISE])
    assert torch.equal(kinds[OTHERWISE], ~others.any(0))


def test_so_many_good_photographs_count_as_abnormal() -> None:
    good = torch.rand(400, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.2, 1, 400).view(-1, 1, 1, 1)
    shares = {name: chosen.float().mean().item() for name, chosen in kinds_of(good, good).items()}
    for name, share in {"blurred": 0.1, "faint": 0.1, "dark": 0.05, "glaring": 0.05, "smeared": 0.1}.items():
        assert abs(shares[name] - share) < 0.01, name


@pytest.mark.parametrize("name", ["framing", "recoloured", "shade"])
def test_an_image_suffers_the_same_in_any_batch_and_more_at_a_higher_severity(name: str) -> None:
    distortion, images, indices = get_distortion(name), letters(6), torch.arange(6)
    together = distortion.at(images, 4, indices, seed=1)
    alone = torch.cat([distortion.at(images[[i]], 4, indices[[i]], seed=1) for i in range(6)])
    assert torch.allclose(together, alone, atol=1e-6)
    assert not torch.allclose(together, distortion.at(images, 4, indices, seed=2), atol=1e-2)
    assert together.min() >= 0
    assert together.max() <= 1
    changes = [(distortion.at(images, level, torch.arange(6), seed=1) - images).square().mean() for level in (1, 5)]
    assert 0 < changes[0] < changes[1]


def test_a_shifted_letter_keeps_the_colours_of_its_ground() -> None:
    moved = get_distortion("framing").at(letters(), 5, torch.arange(24), seed=0)
    assert moved.min() > 0.29
    assert moved[:, :, 0].median() < 0.32


def test_recoloured_letters_have_their_own_colours_exchanged_or_inverted() -> None:
    red = torch.zeros(200, 3, 4, 4)
    red[:, 0] = 1
    recoloured = get_distortion("recoloured").at(red, 5, torch.arange(200), seed=0)[..., 0, 0]
    found = {tuple(colour) for colour in recoloured.round().int().tolist()}
    assert found == {(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 0)}


def test_a_photograph_suffers_each_mishap_by_a_chance_of_its_own() -> None:
    images = torch.full((600, 3, 8, 8), 0.5)
    distortion = Distortion("any", Photographed(("brightness", "shade")), levels=(1.0, 5.0), random="streams")
    ruined = distortion.at(images, 5, torch.arange(600), seed=0)
    shaded = ruined.std((2, 3)).amax(1) > 1e-4
    lighter = torch.where(shaded, ruined.amax((1, 2, 3)), ruined.mean((1, 2, 3))) > 0.55
    assert abs(shaded.float().mean() - CHANCE) < 0.08
    assert abs(lighter[~shaded].float().mean() - CHANCE) < 0.08
    untouched = (ruined - images).abs().amax((1, 2, 3)) < 1e-6
    assert abs(untouched.float().mean() - (1 - CHANCE) ** 2) < 0.08


def test_statistics_are_those_of_the_images_and_the_network_is_as_it_was() -> None:
    convolution, norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
    network = nn.Sequential(convolution, norm, nn.Flatten()).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = random_images(40, classes=2)
    adapted = with_statistics_of(network, images, batch_size=10)
    outputs = convolution(as_float(images.images)).detach().transpose(0, 1)
    found = adapted.state_dict()
    assert not any(module.training for module in adapted.modules())
    assert torch.allclose(found["1.running_mean"], outputs.flatten(1).mean(1), atol=1e-5)
    variances = [part.flatten(1).var(1) for part in outputs.split(10, dim=1)]
    assert torch.allclose(found["1.running_var"], torch.stack(variances).mean(0), rtol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not norm.training
