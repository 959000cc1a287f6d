"""What holds for every common corruption, and for the graded ones of our own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.registry import GROUPS, get_distortion
from deepcorrect.distortions.streams import Streams
from tests.photographs import photographs, psnr

NAMES = (*GROUPS["imagenet-c"], *GROUPS["imagenet-c-extra"], "low_light", "white_balance")
COLOURED = {"brightness", "saturate", "snow", "frost", "jpeg_compression", "spatter", "white_balance"}
STILL = {"defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression", "gaussian_blur", "saturate"}
SHAPES = [(3, 8, 8), (1, 8, 8), (3, 1, 9), (3, 9, 1), (1, 1, 1), (3, 2, 2), (3, 20, 33), (1, 28, 28), (3, 300, 40)]
NOT_MONOTONE = {"glass_blur", "snow", "frost", "elastic_transform", "saturate", "white_balance"}

every = pytest.mark.parametrize("name", NAMES)
some_images = torch.rand(6, 3, 40, 24, generator=torch.Generator().manual_seed(0))


def ruined(name: str, images: Tensor, severity: float = 3, seed: int = 0, first: int = 0) -> Tensor:
    return get_distortion(name).at(images, severity, torch.arange(first, first + len(images)), seed)


@every
def test_it_has_five_severities_and_none_in_between(name: str) -> None:
    distortion = get_distortion(name)
    assert distortion.levels("cifar") == distortion.levels("imagenet") == (1, 2, 3, 4, 5)
    for severity in (0.5, 2.5, 6):
        with pytest.raises(DeepcorrectError, match=f"{name} has the severities 1, 2, 3, 4, 5 alone"):
            ruined(name, some_images, severity)


@every
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_an_image_is_the_same_in_any_batch(name: str, severity: int) -> None:
    distortion, indices = get_distortion(name), torch.tensor([4, 0, 9, 2, 7, 1])
    whole = distortion.at(some_images, severity, indices, 5)
    order = torch.tensor([3, 1, 0, 5, 2, 4])
    assert torch.allclose(distortion.at(some_images[order], severity, indices[order], 5), whole[order], atol=1e-6)
    alone = [distortion.at(some_images[i : i + 1], severity, indices[i : i + 1], 5) for i in range(6)]
    assert torch.allclose(torch.cat(alone), whole, atol=1e-6)
    assert distortion.at(some_images[:0], severity, indices[:0], 5).shape == (0, 3, 40, 24)


@every
def test_every_image_has_its_own_severity(name: str) -> None:
    distortion, severity = get_distortion(name), torch.tensor([3, 1, 5, 2, 4, 1])
    keys = [(key,) for key in range(6)]
    together = distortion.drawn(some_images, severity, Streams(keys, some_images))
    for row in range(6):
        image = some_images[row : row + 1]
        alone = distortion.drawn(image, severity[row : row + 1], Streams(keys[row : row + 1], image))
        assert torch.allclose(together[row : row + 1], alone, atol=1e-6)


@every
@pytest.mark.parametrize("shape", SHAPES)
def test_images_of_any_size_stay_images(name: str, shape: tuple[int, ...]) -> None:
    images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(1))
    kept = images.clone()
    for severity in (1, 2, 3, 4, 5):
        distorted = ruined(name, images, severity)
        assert distorted.shape == images.shape
        assert distorted.dtype == images.dtype
        assert distorted.is_contiguous()
        assert ((distorted >= 0) & (distorted <= 1)).all()
    assert torch.equal(images, kept)


@every
def test_black_and_white_images_stay_images(name: str) -> None:
    images = torch.stack([torch.zeros(3, 16, 16), torch.ones(3, 16, 16)])
    for severity in (1, 5):
        for each in (images, images[:, :1]):
            distorted = ruined(name, each, severity)
            assert ((distorted >= 0) & (distorted <= 1)).all()


@every
@pytest.mark.parametrize(("precision", "close"), [(torch.float64, 1e-5), (torch.bfloat16, 5e-3), (torch.float16, 1e-3)])
def test_another_precision_gives_the_same(name: str, precision: torch.dtype, close: float) -> None:
    images = (some_images * 255).round() / 255
    given = images.to(precision)
    distorted = ruined(name, given)
    assert distorted.dtype == precision
    difference = (distorted.double() - ruined(name, given.float()).double()).abs()
    # a pixel may fall on the other side of a threshold: of a drop, of a step of the codec
    assert difference.quantile(0.99) < close
    assert difference.mean() < close


@every
def test_a_seed_replays_and_another_differs(name: str) -> None:
    first = ruined(name, some_images)
    state = torch.random.get_rng_state()
    assert torch.equal(ruined(name, some_images), first)
    assert torch.equal(torch.random.get_rng_state(), state)
    same = name in STILL
    others = ruined(name, some_images, seed=1), ruined(name, some_images, first=1)
    assert [torch.equal(other, first) for other in others] == [same, same]
    distortion, severity = get_distortion(name), torch.full((6,), 3)
    again = [distortion(some_images, severity, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 3)]
    assert torch.equal(again[0], again[1])
    assert torch.equal(again[0], again[2]) == same


@every
def test_colours_need_one_channel_or_three(name: str) -> None:
    for channels in (2, 4):
        images = torch.rand(2, channels, 16, 16)
        if name not in COLOURED:
            assert ruined(name, images).shape == images.shape
            continue
        with pytest.raises(DeepcorrectError, match=f"^{name}: for images with 1 or 3 channels, not with {channels}$"):
            ruined(name, images)


@every
def test_a_severity_ruins_more_than_the_one_below(name: str) -> None:
    images = photographs(224, 6)
    same = Streams([(key,) for key in range(6)], images)
    each = [get_distortion(name).drawn(images, torch.full((6,), severity), same) for severity in (1, 2, 3, 4, 5)]
    quality = [psnr(distorted, images) for distorted in each]
    if name not in NOT_MONOTONE:
        assert quality == sorted(quality, reverse=True)
    assert quality[0] > quality[4] or name == "elastic_transform"


def _severities(distortion: Distortion) -> list[Tensor]:
    return [torch.tensor([severity, 1.0]) for severity in (0, 2.5, 6, -1)]


@every
def test_training_refuses_severities_that_there_are_not(name: str) -> None:
    distortion = get_distortion(name)
    for severity in _severities(distortion):
        with pytest.raises(DeepcorrectError, match="severities"):
            distortion(some_images[:2], severity, generator=torch.Generator())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@every
def test_a_gpu_gives_the_same(name: str) -> None:
    images = photographs(64, 4)
    difference = (ruined(name, images.cuda()).cpu() - ruined(name, images)).abs()
    assert difference.mean() < 1e-4
    assert difference.flatten().quantile(0.99) < 1e-3
