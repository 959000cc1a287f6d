"""AlexNet's published weights, which come in the layouts of Caffe and Keras, as this package's AlexNet takes them.

=============== ============================ ======================== ============== ========================
layout          convolution                  dense                    input channels dense 1 reads
=============== ============================ ======================== ============== ========================
``caffe``       (out, in, h, w)              (out, in)                blue first     channel, row, column
``theano``      (out, in, h, w), turned      (in, out)                red first      channel, row, column
                by 180 degrees
``tensorflow``  (h, w, in, out)              (in, out)                red first      row, column, channel
=============== ============================ ======================== ============== ========================

``theano`` is that of convnets-keras, which the paper used: Theano turns a kernel before it multiplies. The halves of a grouped
convolution may be two layers (``conv_2_1`` and ``conv_2_2``, as in convnets-keras) or one. Caffe's own AlexNet normalises with
k = 1 and ``bvlc_alexnet`` pools after that; this one has convnets-keras' k = 2 and pools first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.models.paper.alexnet import AlexNet

Layout = Literal["caffe", "theano", "tensorflow"]
_ROLES = {"w": "weight", "weight": "weight", "weights": "weight", "kernel": "weight", "0": "weight"}
_ROLES |= {"b": "bias", "bias": "bias", "biases": "bias", "1": "bias"}


def convert_alexnet(arrays: Mapping[str, np.ndarray], layout: Layout) -> dict[str, Tensor]:
    """A state dict of ``AlexNet``.

    Args:
        arrays: by name: a layer (``conv1``, ``conv_2_1``, ``fc6``, ``dense_1``), then its ``weight`` or ``bias`` (``W``, ``b``,
            ``kernel``, ``0``, ``1``), whatever stands between and in front.

    Raises:
        DeepcorrectError: an array is missing, unknown or of another shape.
    """
    given: dict[str, dict[int, np.ndarray]] = {}
    for name, array in arrays.items():
        target, half = _target(name)
        given.setdefault(target, {})[half] = array
    found = {}
    for name, wanted in _parameters().items():
        if name not in given:
            raise DeepcorrectError(f"there is no {name} among {', '.join(sorted(arrays))}")
        halves = [_turned(name, half, layout) for _, half in sorted(given[name].items())]
        value = torch.from_numpy(np.concatenate(halves).astype(np.float32))
        if value.shape != wanted:
            raise DeepcorrectError(f"{name} is {tuple(value.shape)} where AlexNet has {tuple(wanted)}: another layout?")
        found[name] = value
    return found


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays by name from an ``.npz`` or ``.h5`` file.

    Raises:
        DeepcorrectError: it cannot be read, or h5py is not installed.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return dict(file)
        import h5py

        with h5py.File(path, "r") as file:
            return dict(_datasets(file))
    except ModuleNotFoundError:
        raise DeepcorrectError(f"{path}: h5py is not installed; pip install h5py") from None
    except (OSError, ValueError) as error:
        raise DeepcorrectError(f"{path}: cannot be read as .npz or .h5 ({error})") from None


def _datasets(group: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    for name, item in group.items():
        if isinstance(item, Mapping):
            yield from _datasets(item, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", np.asarray(item)


def _target(name: str) -> tuple[str, int]:
    """The parameter that an array belongs to, and which half of it it is."""
    layer = re.findall(r"(conv|fc|dense)_?(\d)(?:_(\d))?(?!\d)", name.lower())
    role = _ROLES.get(re.split(r"[/._:]", re.sub(r":0$", "", name.lower()))[-1])
    if not layer or role is None:
        raise DeepcorrectError(f"{name}: not an array of AlexNet's; a layer (conv1 ... fc8) and weight or bias are expected")
    kind, number, half = layer[-1]
    place = int(number) + 5 if kind == "dense" else int(number)
    return f"{'conv' if kind == 'conv' else 'fc'}{place}.{role}", int(half or 0)


def _parameters() -> dict[str, torch.Size]:
    with torch.device("meta"):
        network: nn.Module = AlexNet()
    return {name: value.shape for name, value in network.named_parameters()}


def _turned(name: str, array: np.ndarray, layout: Layout) -> np.ndarray:
    """From a layout to that of torch."""
    if name.endswith("bias"):
        return array.reshape(-1)
    if name.startswith("conv"):
        if layout == "tensorflow":
            return array.transpose(3, 2, 0, 1)
        if layout == "theano":
            return array[:, :, ::-1, ::-1]
        return array[:, ::-1] if name == "conv1.weight" else array
    if layout == "caffe":
        return array.reshape(array.shape[-2:])
    if layout == "tensorflow" and name == "fc6.weight":
        return array.reshape(6, 6, 256, -1).transpose(3, 2, 0, 1).reshape(array.shape[1], -1)
    return array.T
