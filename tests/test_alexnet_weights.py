"""AlexNet's weights in each layout, against layers computed as that layout's library does."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from scipy.signal import convolve2d, correlate2d

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.models.paper.alexnet_weights import Layout, convert_alexnet, read_arrays

RANDOM = np.random.RandomState(0)
SHAPES = {"conv1": (96, 3, 11), "conv2": (256, 48, 5), "conv3": (384, 256, 3), "conv4": (384, 192, 3), "conv5": (256, 192, 3)}
DENSE = {"fc6": (4096, 9216), "fc7": (4096, 4096), "fc8": (1000, 4096)}


def stored(layout: Layout) -> dict[str, np.ndarray]:
    """Random arrays shaped as a layout has them; zeros, but for the layers that are looked at."""
    arrays: dict[str, np.ndarray] = {}
    for name, (outputs, inputs, side) in SHAPES.items():
        shape = (side, side, inputs, outputs) if layout == "tensorflow" else (outputs, inputs, side, side)
        arrays[f"{name}/weight"] = RANDOM.rand(*shape) if name in ("conv1", "conv2") else np.zeros(shape, np.float32)
        arrays[f"{name}/bias"] = np.zeros(outputs)
    for name, (outputs, inputs) in DENSE.items():
        ordered = (outputs, inputs) if layout == "caffe" else (inputs, outputs)
        arrays[f"{name}/weight"] = RANDOM.rand(*ordered).astype(np.float32) if name == "fc6" else np.zeros(ordered, np.float32)
        arrays[f"{name}/bias"] = np.zeros(outputs)
    return arrays


def first_layer(arrays: dict[str, np.ndarray], layout: Layout, image: np.ndarray, channel: int) -> np.ndarray:
    """One channel of the first layer's output at every place, of an image (3, H, W) with red first."""
    kernels = arrays["conv1/weight"]
    if layout == "theano":
        planes = [convolve2d(image[place], kernels[channel, place], "valid") for place in range(3)]
    elif layout == "caffe":
        planes = [correlate2d(image[::-1][place], kernels[channel, place], "valid") for place in range(3)]
    else:
        planes = [correlate2d(image[place], kernels[:, :, place, channel], "valid") for place in range(3)]
    found: np.ndarray = np.stack(planes).sum(0)
    return found


@pytest.mark.parametrize("layout", ["caffe", "theano", "tensorflow"])
def test_each_layout_gives_the_layers_that_its_library_computes(layout: Layout) -> None:
    arrays = stored(layout)
    found = convert_alexnet(arrays, layout)
    image = RANDOM.rand(3, 19, 15).astype(np.float32)
    mine = torch.nn.functional.conv2d(torch.from_numpy(image)[None], found["conv1.weight"])[0, 7]
    assert np.allclose(mine, first_layer(arrays, layout, image, 7), rtol=1e-4)
    held = RANDOM.rand(256, 6, 6).astype(np.float32)
    flat = held.transpose(1, 2, 0).reshape(-1) if layout == "tensorflow" else held.reshape(-1)
    weights = arrays["fc6/weight"]
    expected = weights @ flat if layout == "caffe" else flat @ weights
    assert np.allclose(found["fc6.weight"] @ torch.from_numpy(held.reshape(-1)), expected, rtol=1e-4)


def test_halves_of_a_grouped_convolution_are_joined_in_their_order(tmp_path: Path) -> None:
    arrays = stored("theano")
    split = {}
    for name, array in arrays.items():
        layer, role = name.split("/")
        number, letter = int(layer[-1]), {"weight": "W", "bias": "b"}[role]
        if layer in ("conv2", "conv4", "conv5"):
            for half, part in enumerate(np.split(array, 2), 1):
                split[f"conv_{number}_{half}/conv_{number}_{half}_{letter}"] = part
        else:
            kind = f"conv_{number}" if layer.startswith("conv") else f"dense_{number - 5}"
            split[f"{kind}/{kind}_{letter}"] = array
    np.savez(tmp_path / "alexnet.npz", **split)  # type: ignore[arg-type]
    with h5py.File(tmp_path / "alexnet.h5", "w") as file:
        for name, array in split.items():
            file[name] = array
    whole = convert_alexnet(arrays, "theano")
    for file_name in ("alexnet.npz", "alexnet.h5"):
        joined = convert_alexnet(read_arrays(tmp_path / file_name), "theano")
        assert whole.keys() == joined.keys()
        assert all(torch.equal(whole[name], joined[name]) for name in whole)


def test_arrays_of_something_else_are_refused(tmp_path: Path) -> None:
    arrays = stored("caffe")
    with pytest.raises(DeepcorrectError, match="another layout"):
        convert_alexnet(arrays, "tensorflow")
    with pytest.raises(DeepcorrectError, match=r"fc9\.gamma: not an array of AlexNet's"):
        convert_alexnet({"fc9.gamma": np.zeros(3)}, "caffe")
    del arrays["fc8/bias"]
    with pytest.raises(DeepcorrectError, match=r"there is no fc8\.bias among"):
        convert_alexnet(arrays, "caffe")
    (tmp_path / "broken.npz").write_bytes(b"nothing")
    with pytest.raises(DeepcorrectError, match=r"cannot be read as \.npz or \.h5"):
        read_arrays(tmp_path / "broken.npz")
