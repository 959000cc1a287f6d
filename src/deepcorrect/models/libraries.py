"""Pretrained classifiers of torchvision, timm and Hugging Face, and the preprocessing that each library documents for them.

A library is imported when one of its networks is asked for; deepcorrect installs none of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple, cast

from PIL import Image
from torch import Tensor, nn

from deepcorrect.base.errors import DeepcorrectError, first_line
from deepcorrect.datasets.decoding import CentreCrop, Interpolation, Resize
from deepcorrect.models.agreement import Transform, agrees
from deepcorrect.models.preprocessing import Prepared, Preprocessing

INTERPOLATIONS: dict[int, Interpolation] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""By Pillow's numbers, which Hugging Face uses."""
UNDERSTOOD = {
    "image_processor_type", "do_resize", "size", "resample", "crop_pct", "do_center_crop", "crop_size", "do_rescale",
    "rescale_factor", "do_normalize", "image_mean", "image_std", "include_top", "do_convert_rgb", "data_format",
}  # fmt: skip
"""The settings of a Hugging Face image processor that are known; that they are understood correctly is tried on images."""


class Expected(NamedTuple):
    """The preprocessing that a network expects.

    Attributes:
        preprocessing: as it is understood here.
        transform: the library's own, from an image to a tensor.
        name: of the transform, with those of its settings that are not understood, for messages.
    """

    preprocessing: Preprocessing
    transform: Transform
    name: str


@dataclass(frozen=True)
class Library:
    """A source of pretrained networks; both functions take the whole spec, for messages, and the network's name in it.

    Attributes:
        expected: the preprocessing of a network, without loading it.
        network: the network with its weights.
    """

    expected: Callable[[str, str], Expected]
    network: Callable[[str, str], nn.Module]


def library_preprocessing(spec: str) -> Preprocessing | None:
    """The preprocessing of a library's network, without loading the network; None for a spec that names no library.

    Raises:
        DeepcorrectError: the library is not installed, does not know the network, or expects what is not supported.
    """
    name, _, network = spec.partition(":")
    if name not in LIBRARIES:
        return None
    expected = LIBRARIES[name].expected(spec, network)
    with asking(spec):
        if not agrees(expected.preprocessing, expected.transform):
            raise _otherwise(spec, expected.name)
    return expected.preprocessing


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


def _otherwise(spec: str, name: str) -> DeepcorrectError:
    return DeepcorrectError(
        f"{spec}: its {name} prepares images in another way than by resizing, cropping the centre and normalising, "
        "which is all that is supported"
    )


@contextmanager
def asking(spec: str) -> Iterator[None]:
    """Turn whatever a library raises into one line."""
    try:
        yield
    except DeepcorrectError:
        raise
    except Exception as error:  # libraries and their downloads fail in many ways, each with an error of its own
        reason = first_line(error)
        raise DeepcorrectError(f"{spec}: {type(error).__name__}: {reason}") from error


def import_library(spec: str, module: str, package: str) -> ModuleType:
    """Import a module of the library that a spec names.

    Raises:
        DeepcorrectError: it is not installed, or cannot be imported.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise DeepcorrectError(f"{spec}: {package} cannot be imported: {error}; pip install {error.name}") from error
        raise DeepcorrectError(f"{spec}: {package} is not installed; pip install {package}") from None
    except Exception as error:
        reason = first_line(error)
        raise DeepcorrectError(
            f"{spec}: {package} cannot be imported with this version of torch: {reason}; install both from the same index (https://pytorch.org)"
        ) from error


def torchvision_weights(spec: str, name: str) -> Any:
    """Torchvision's default weights of a network: a description, nothing is loaded.

    Raises:
        DeepcorrectError: torchvision is not installed, or does not know the network.
    """
    models = import_library(spec, "torchvision.models", "torchvision")
    with asking(spec):
        return models.get_model_weights(name).DEFAULT


def _torchvision_expected(spec: str, name: str) -> Expected:
    weights = torchvision_weights(spec, name)
    with asking(spec):
        given = weights.transforms()
        transform = type(given).__name__
        if transform != "ImageClassification":
            raise DeepcorrectError(f"{spec}: not an image classifier; its weights are for {transform}")
        (size,), (side,) = given.resize_size, given.crop_size
        crop = CentreCrop(side, nearest=True)
        resize = Resize(size, interpolation=cast(Interpolation, given.interpolation.value), crop=crop)
        return Expected(Preprocessing(resize, crop, tuple(given.mean), tuple(given.std)), given, transform)


def _torchvision_network(spec: str, name: str) -> nn.Module:
    weights = torchvision_weights(spec, name)
    models = import_library(spec, "torchvision.models", "torchvision")
    with asking(spec):
        return cast(nn.Module, models.get_model(name, weights=weights))


def _timm_expected(spec: str, name: str) -> Expected:
    timm = import_library(spec, "timm", "timm")
    with asking(spec):
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
        transform = timm.data.create_transform(**given, is_training=False)
        return Expected(Preprocessing(resize, crop, tuple(given["mean"]), tuple(given["std"])), transform, "transform")


def _timm_network(spec: str, name: str) -> nn.Module:
    timm = import_library(spec, "timm", "timm")
    with asking(spec):
        return cast(nn.Module, timm.create_model(name, pretrained=True))


def _huggingface_expected(spec: str, name: str) -> Expected:
    transformers = import_library(spec, "transformers", "transformers")
    with asking(spec):
        processor = transformers.AutoImageProcessor.from_pretrained(name, backend="pil")
        given = processor.to_dict()
        unknown = ", ".join(field for field, value in given.items() if value and field not in UNDERSTOOD)
        described = f"{type(processor).__name__} ({unknown})" if unknown else type(processor).__name__
        transform = partial(_huggingface_transform, processor)
        try:
            return Expected(_from_processor(spec, given), transform, described)
        except KeyError:  # a processor that does something else altogether lacks these settings
            raise _otherwise(spec, described) from None


def _huggingface_transform(processor: Callable[..., Mapping[str, Tensor]], image: Image.Image) -> Tensor:
    return processor(image, return_tensors="pt")["pixel_values"][0]


def _from_processor(spec: str, given: Mapping[str, Any]) -> Preprocessing:
    """From the settings of a Hugging Face image processor, as far as they are understood."""
    if given.get("do_rescale", True) and not math.isclose(given.get("rescale_factor", 1 / 255), 1 / 255, rel_tol=1e-3):
        raise DeepcorrectError(f"{spec}: its rescale_factor {given['rescale_factor']:g} is not supported, only 1/255")
    number = given.get("resample")
    interpolation = INTERPOLATIONS.get(2 if number is None else int(number), "bilinear")
    size, crop, resize = given.get("size") or {}, None, None
    if given.get("do_resize"):
        edge = size.get("shortest_edge")
        if edge is None and (size.get("height") is None or size["height"] != size.get("width")):
            raise DeepcorrectError(f"{spec}: it expects {size}; only square images are supported")
        if edge is not None and str(given.get("image_processor_type")).startswith("Levit"):
            resize = Resize(int(256 / 224 * edge), interpolation=interpolation)
        elif edge is not None and given.get("crop_pct") and edge < 384:
            crop = CentreCrop(edge)
            resize = Resize(int(edge / given["crop_pct"]), interpolation=interpolation, crop=crop)
        else:
            resize = Resize(edge or size["height"], edge is None or bool(given.get("crop_pct")), interpolation)
    if given.get("do_center_crop"):
        crop = CentreCrop(given["crop_size"]["height"])
        resize = replace(resize, crop=crop) if resize else None
    if not given.get("do_normalize", True):
        return Preprocessing(resize, crop)
    mean, std = tuple(given["image_mean"]), tuple(given["image_std"])
    if given.get("include_top"):  # EfficientNet's divides by the standard deviation twice
        std = tuple(spread**2 for spread in std)
    return Preprocessing(resize, crop, mean, std)


def _huggingface_network(spec: str, name: str) -> nn.Module:
    transformers = import_library(spec, "transformers", "transformers")
    with asking(spec):
        return cast(nn.Module, transformers.AutoModelForImageClassification.from_pretrained(name))


LIBRARIES = {
    "torchvision": Library(_torchvision_expected, _torchvision_network),
    "timm": Library(_timm_expected, _timm_network),
    "hf": Library(_huggingface_expected, _huggingface_network),
}
