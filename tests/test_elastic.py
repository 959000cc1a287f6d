"""The elastic transform against a plain one by OpenCV and SciPy, for the same random numbers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from torch import Tensor

from deepcorrect.distortions.registry import get_distortion
from deepcorrect.distortions.streams import Streams
from tests.photographs import photographs

TABLE = {
    224: ((488, 170.8, 24.4), (488, 19.52, 48.8), (12.2, 2.44, 4.88), (17.08, 2.44, 4.88), (29.28, 2.44, 4.88)),
    64: ((0, 0, 5.12), (3.2, 19.2, 3.84), (6.4, 5.12, 3.84), (6.4, 1.92, 1.92), (10.24, 1.92, 1.28)),
    32: ((0, 0, 2.56), (1.6, 6.4, 2.24), (2.56, 1.92, 1.92), (3.2, 1.28, 1.6), (3.2, 0.96, 0.96)),
}


def plain(picture: NDArray[np.float32], streams: Streams, alpha: float, sigma: float, reach: float) -> NDArray[np.float32]:
    height, width = picture.shape[:2]
    third = min(height, width) // 3
    around = [[third, third], [third, -third], [-third, -third]]
    corners = np.array([width // 2, height // 2], np.float32) + np.array(around, np.float32)
    moved = corners + streams.uniform("points", (3, 2), -reach, reach)[0].numpy()
    matrix = cv2.getAffineTransform(corners, moved)
    warped = cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    noise = streams.uniform("field", (2, height, width), -1, 1)[0].double().numpy()
    across, down = (gaussian_filter(each, sigma, mode="reflect", truncate=3) * alpha for each in noise)
    rows, columns = np.mgrid[:height, :width]
    moved_channels = [
        map_coordinates(channel, (rows + down, columns + across), order=1, mode="reflect")
        for channel in warped.transpose(2, 0, 1)
    ]
    return np.stack(moved_channels, -1)


def ours(image: Tensor, severity: int, streams: Streams) -> NDArray[np.float32]:
    distorted = get_distortion("elastic_transform").drawn(image, torch.tensor([severity]), streams)
    return distorted[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("shape", [(224, 224), (64, 64), (32, 32), (32, 48), (90, 64)])
@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_it_is_the_published_one_for_the_same_field(shape: tuple[int, int], severity: int) -> None:
    image = photographs(max(shape), 2)[1:, :, : shape[0], : shape[1]]
    streams = Streams([(3,)], image)
    picture = image[0].permute(1, 2, 0).contiguous().numpy()
    expected = plain(picture, streams, *TABLE[min(shape)][severity - 1])
    distorted = ours(image, severity, streams)
    # OpenCV rounds positions to the 32nd of a pixel
    assert np.abs(distorted - expected).mean() < 0.2 * np.abs(expected - picture).mean()
    assert np.abs(distorted - expected).mean() < 2e-3


def test_small_images_are_stretched_by_the_same_share_of_their_side() -> None:
    image = photographs(16, 2)[1:]
    streams = Streams([(3,)], image)
    alpha, sigma, reach = (each / 2 for each in TABLE[32][2])
    expected = plain(image[0].permute(1, 2, 0).contiguous().numpy(), streams, alpha, sigma, reach)
    assert np.abs(ours(image, 3, streams) - expected).mean() < 2e-3


def test_a_grey_image_moves_as_one_of_colour() -> None:
    image = photographs(32, 2)[1:]
    streams = Streams([(3,)], image)
    assert np.allclose(ours(image[:, 1:2], 4, streams)[..., 0], ours(image, 4, streams)[..., 1], atol=1e-6)
