"""Classifiers of torchvision, timm and Hugging Face with their pretrained weights, and what each library says of their images.

The libraries are imported when a network of theirs is asked for; none of them comes with deepcorrect.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from torch import nn

from deepcorrect.datasets.decoding import CentreCrop, Interpolation, Resize
from deepcorrect.errors import DeepcorrectError
from deepcorrect.models.preprocessing import Prepared, Preprocessing

INTERPOLATIONS: dict[int, Interpolation] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""By Pillow's numbers, as Hugging Face has them."""


@dataclass(frozen=True)
class Library:
    """Where pretrained networks come from; both are called with the whole spec, for messages, and the network's name in it.

    Attributes:
        preprocessing: what a network expects, without loading it.
        network: the network with its weights.
    """

    preprocessing: Callable[[str, str], Preprocessing]
    network: Callable[[str, str], nn.Module]


def library_preprocessing(spec: str) -> Preprocessing | None:
    """What a library's network expects, without loading it; None for a spec that names no library.

    Raises:
        DeepcorrectError: the library is not there, knows no such network, or asks for what cannot be done here.
    """
    name, _, network = spec.partition(":")
    return LIBRARIES[name].preprocessing(spec, network) if name in LIBRARIES else None


def library_model(spec: str) -> nn.Module | None:
    """A library's network with its weights, from images in [0, 1] to logits; None for a spec that names no library.

    Raises:
        DeepcorrectError: as ``library_preprocessing``.
    """
    preprocessing = library_preprocessing(spec)
    if preprocessing is None:
        return None
    name, _, network = spec.partition(":")
    return Prepared(LIBRARIES[name].network(spec, network), preprocessing)


@contextmanager
def _asking(spec: str) -> Iterator[None]:
    """Whatever a library raises becomes one line."""
    try:
        yield
    except DeepcorrectError:
        raise
    except Exception as error:  # libraries and their downloads fail in many ways, each with an error of its own
        reason = next(iter(str(error).splitlines()), "")
        raise DeepcorrectError(f"{spec}: {type(error).__name__}: {reason}") from error


def _import(spec: str, module: str, package: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise DeepcorrectError(f"{spec}: {package} does not import: {error}; pip install {error.name}") from error
        raise DeepcorrectError(f"{spec}: {package} is not installed; pip install {package}") from None
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DeepcorrectError(
            f"{spec}: {package} does not import beside this torch: {reason}; install both from one index (https://pytorch.org)"
        ) from error


def _torchvision_weights(spec: str, name: str) -> Any:
    models = _import(spec, "torchvision.models", "torchvision")
    with _asking(spec):
        return models.get_model_weights(name).DEFAULT


def _torchvision_preprocessing(spec: str, name: str) -> Preprocessing:
    weights = _torchvision_weights(spec, name)
    with _asking(spec):
        given = weights.transforms()
        (size,), (side,) = given.resize_size, given.crop_size
        crop = CentreCrop(side, nearest=True)
        resize = Resize(size, interpolation=cast(Interpolation, given.interpolation.value), crop=crop)
        return Preprocessing(resize, crop, tuple(given.mean), tuple(given.std))


def _torchvision_network(spec: str, name: str) -> nn.Module:
    weights = _torchvision_weights(spec, name)
    models = _import(spec, "torchvision.models", "torchvision")
    with _asking(spec):
        return cast(nn.Module, models.get_model(name, weights=weights))


def _timm_preprocessing(spec: str, name: str) -> Preprocessing:
    timm = _import(spec, "timm", "timm")
    with _asking(spec):
        config = timm.get_pretrained_cfg(name)
        if config is None:
            raise DeepcorrectError(f"{spec}: timm has no pretrained weights of this name")
        given = timm.data.resolve_data_config(pretrained_cfg=config.to_dict())
        _, height, width = given["input_size"]
        if height != width:
            raise DeepcorrectError(f"{spec}: it expects {width}x{height} pixels; only square images are supported")
        squash = given["crop_mode"] == "squash"
        if given["crop_mode"] == "border":
            raise DeepcorrectError(f"{spec}: its crop_mode, border, is not supported")
        if given["crop_pct"] > 1:
            raise DeepcorrectError(f"{spec}: its crop_pct, {given['crop_pct']:g}, pads images, which is not supported")
        crop = CentreCrop(height, nearest=True)
        resize = Resize(math.floor(height / given["crop_pct"]), squash, cast(Interpolation, given["interpolation"]), crop)
        return Preprocessing(resize, crop, tuple(given["mean"]), tuple(given["std"]))


def _timm_network(spec: str, name: str) -> nn.Module:
    timm = _import(spec, "timm", "timm")
    with _asking(spec):
        return cast(nn.Module, timm.create_model(name, pretrained=True))


def _huggingface_preprocessing(spec: str, name: str) -> Preprocessing:
    transformers = _import(spec, "transformers", "transformers")
    with _asking(spec):
        given = transformers.AutoImageProcessor.from_pretrained(name).to_dict()
        return _from_processor(spec, given)


def _from_processor(spec: str, given: Mapping[str, Any]) -> Preprocessing:
    """From the settings of a Hugging Face image processor."""
    if given.get("do_rescale", True) and not math.isclose(given.get("rescale_factor", 1 / 255), 1 / 255, rel_tol=1e-3):
        raise DeepcorrectError(f"{spec}: its rescale_factor {given['rescale_factor']:g} is not supported, only 1/255")
    interpolation = INTERPOLATIONS.get(int(given.get("resample") or 2), "bilinear")
    size, crop, resize = given.get("size") or {}, None, None
    if given.get("do_resize"):
        edge = size.get("shortest_edge")
        if edge is None and size.get("height") != size.get("width"):
            raise DeepcorrectError(f"{spec}: it expects {size}; only square images are supported")
        if edge is not None and given.get("crop_pct") and edge < 384:
            crop = CentreCrop(edge)
            resize = Resize(int(edge / given["crop_pct"]), interpolation=interpolation, crop=crop)
        else:
            resize = Resize(edge or size["height"], edge is None or bool(given.get("crop_pct")), interpolation)
    if given.get("do_center_crop"):
        crop = CentreCrop(given["crop_size"]["height"])
        resize = replace(resize, crop=crop) if resize else None
    if not given.get("do_normalize", True):
        return Preprocessing(resize, crop)
    return Preprocessing(resize, crop, tuple(given["image_mean"]), tuple(given["image_std"]))


def _huggingface_network(spec: str, name: str) -> nn.Module:
    transformers = _import(spec, "transformers", "transformers")
    with _asking(spec):
        return cast(nn.Module, transformers.AutoModelForImageClassification.from_pretrained(name))


LIBRARIES = {
    "torchvision": Library(_torchvision_preprocessing, _torchvision_network),
    "timm": Library(_timm_preprocessing, _timm_network),
    "hf": Library(_huggingface_preprocessing, _huggingface_network),
}
