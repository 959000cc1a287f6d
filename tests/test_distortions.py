from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.distortions.blur import gaussian_blur
from deepcorrect.distortions.noise import additive_gaussian_noise
from deepcorrect.distortions.registry import get_distortion, parse_levels, register

CIFAR = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)


@pytest.fixture
def photographs() -> Tensor:
    return torch.rand(6, 3, 32, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("sigma", CIFAR)
def test_blur_equals_scipy(photographs: Tensor, sigma: float) -> None:
    blurred = gaussian_blur(photographs, torch.full((6,), sigma))
    expected = gaussian_filter(photographs.numpy(), (0, 0, sigma, sigma), mode="constant", truncate=2.0)
    assert np.abs(blurred.numpy() - expected).max() < 1e-6


@pytest.mark.parametrize("sigma", CIFAR)
def test_blur_equals_opencv_with_a_window_of_four_sigma_plus_one(photographs: Tensor, sigma: float) -> None:
    width = int(4 * sigma + 1)
    blurred = gaussian_blur(photographs, torch.full((6,), sigma))[0].permute(1, 2, 0).numpy()
    picture = photographs[0].permute(1, 2, 0).numpy()
    padded = cv2.copyMakeBorder(picture, width, width, width, width, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    expected = cv2.GaussianBlur(padded, (width, width), sigma)[width:-width, width:-width]
    assert np.abs(blurred - expected).max() < 1e-6


def test_every_image_is_blurred_by_its_own_sigma(photographs: Tensor) -> None:
    together = gaussian_blur(photographs, torch.tensor(CIFAR))
    for place, sigma in enumerate(CIFAR):
        alone = gaussian_blur(photographs[place : place + 1], torch.tensor([sigma]))
        assert torch.allclose(together[place], alone[0], atol=1e-7)


def test_no_blur_returns_the_image(photographs: Tensor) -> None:
    assert torch.equal(gaussian_blur(photographs, torch.zeros(6)), photographs)


def test_noise_has_its_sigma_and_is_neither_clipped_nor_rounded() -> None:
    images = torch.zeros(2, 3, 200, 200)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    noisy = additive_gaussian_noise(images, torch.tensor([5.0, 30.0]), noise)
    assert noisy[0].std().item() == pytest.approx(5 / 255, rel=0.01)
    assert noisy[1].std().item() == pytest.approx(30 / 255, rel=0.01)
    assert noisy.min() < 0
    assert len(set(noisy.flatten().tolist())) > 200_000


def test_evaluation_noise_depends_on_seed_index_and_severity_alone() -> None:
    noise = get_distortion("noise")
    images, indices = torch.rand(7, 3, 8, 8), torch.tensor([4, 0, 9, 2, 7, 1, 3])
    whole = noise.at(images, 20, indices, seed=5)
    order = torch.tensor([3, 1, 6, 0, 5, 2, 4])
    assert torch.equal(noise.at(images[order], 20, indices[order], seed=5), whole[order])
    assert torch.equal(torch.cat([noise.at(images[i : i + 2], 20, indices[i : i + 2], seed=5) for i in (0, 2, 4, 6)]), whole)

    def field(severity: float, index: int, seed: int) -> Tensor:
        return (noise.at(images[:1] * 0, severity, torch.tensor([index]), seed=seed) * 255 / severity).round(decimals=3)

    assert not torch.equal(field(20, 4, 5), field(25, 4, 5))
    assert not torch.equal(field(20, 4, 5), field(20, 3, 5))
    assert not torch.equal(field(20, 4, 5), field(20, 4, 6))


def test_evaluation_noise_is_standard_normal_across_images() -> None:
    noise = get_distortion("noise")
    field = noise.at(torch.zeros(200, 1, 16, 16), 255, torch.arange(200), seed=0)
    assert field.mean().item() == pytest.approx(0, abs=0.02)
    assert field.std().item() == pytest.approx(1, abs=0.02)
    neighbours = np.corrcoef(field[0].flatten().numpy(), field[1].flatten().numpy())[0, 1]
    assert abs(neighbours) < 0.2


def test_training_noise_replays_from_its_generator() -> None:
    noise = get_distortion("noise")
    images, severity = torch.rand(4, 3, 8, 8), torch.tensor([5.0, 10, 20, 30])
    first, again, other = (noise(images, severity, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_published_ladders() -> None:
    assert get_distortion("blur").levels("cifar") == CIFAR
    assert get_distortion("noise").levels("cifar") == (5, 10, 15, 20, 25, 30)
    assert get_distortion("blur").levels("imagenet") == (1, 2, 3, 4, 5, 6)
    assert get_distortion("noise").levels("imagenet") == (10, 20, 40, 60, 80, 100)


def test_a_function_joins_by_registration() -> None:
    @register("test-dim", ladders={"default": (0.2, 0.5)})
    def dim(images: Tensor, severity: Tensor) -> Tensor:
        return images * (1 - severity.view(-1, 1, 1, 1))

    found = get_distortion("test-dim")
    assert found.levels("cifar") == (0.2, 0.5)
    assert torch.allclose(found.at(torch.ones(1, 1, 2, 2), 0.5, torch.tensor([0]), seed=0), torch.full((1, 1, 2, 2), 0.5))


def test_a_class_joins_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "fog.py"
    file.write_text(
        "from deepcorrect.distortions.registry import register\n"
        "class Fog:\n"
        "    def __call__(self, images, severity, noise):\n"
        "        return images + severity.view(-1, 1, 1, 1) + 0 * noise\n"
        "register('test-fog', ladders={'default': [0.1]}, random=True)(Fog())\n"
    )
    fog = get_distortion(f"{file}:test-fog")
    assert torch.allclose(fog.at(torch.zeros(2, 1, 2, 2), 0.1, torch.arange(2), seed=0), torch.full((2, 1, 2, 2), 0.1))


def test_unknown_distortion_lists_the_known_ones() -> None:
    with pytest.raises(DeepcorrectError, match=r"unknown distortion 'fogg'; did you mean fog; known: .*blur.*noise"):
        get_distortion("fogg")


def test_a_distortion_that_changes_the_shape_is_refused() -> None:
    register("test-crop", ladders={"default": (1,)})(lambda images, severity: images[..., 1:])
    with pytest.raises(DeepcorrectError, match="must keep the shape"):
        get_distortion("test-crop").at(torch.rand(2, 3, 8, 8), 1, torch.arange(2), seed=0)


def test_levels_from_an_option() -> None:
    blur = get_distortion("blur")
    assert parse_levels(None, blur, "cifar") == CIFAR
    assert parse_levels("imagenet", blur, "cifar") == (1, 2, 3, 4, 5, 6)
    assert parse_levels("0.5,2", blur, "cifar") == (0.5, 2)
    assert parse_levels(".5,2", blur, "cifar") == (0.5, 2)
    for wrong in ("1,x", "0,1", "typo", "1,nan", "1e400", "-1", "1,2,1.0", "", ","):
        with pytest.raises(DeepcorrectError, match=r"^levels='"):
            parse_levels(wrong, blur, "cifar")


def test_a_distortion_that_fails_is_named() -> None:
    register("test-broken", ladders={"default": (1,)})(lambda images, severity: images @ severity)
    register("test-nothing", ladders={"default": (1,)})(lambda images, severity: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(DeepcorrectError, match="distortion test-broken failed: RuntimeError"):
        get_distortion("test-broken").at(torch.rand(2, 3, 8, 8), 1, torch.arange(2), seed=0)
    with pytest.raises(DeepcorrectError, match="into NoneType"):
        get_distortion("test-nothing").at(torch.rand(2, 3, 8, 8), 1, torch.arange(2), seed=0)
