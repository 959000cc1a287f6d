"""Pretrained networks of libraries: their preprocessing is the library's own, and what is missing is named."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from deepcorrect.adapters.attach import attach
from deepcorrect.adapters.plan import Plan
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.decoding import decode
from deepcorrect.models import find_preprocessing, load_model
from deepcorrect.models.layers import convolutions, find_layers

transformers = pytest.importorskip("transformers")
MEAN, STD = [0.48, 0.45, 0.4], [0.22, 0.23, 0.25]
PROCESSORS: dict[str, dict[str, Any]] = {
    "squashed": {"image_processor_type": "ViTImageProcessor", "size": {"height": 48, "width": 48}, "resample": 2},
    "cropped": {
        "image_processor_type": "MobileNetV2ImageProcessor", "size": {"shortest_edge": 64}, "resample": 2,
        "do_center_crop": True, "crop_size": {"height": 48, "width": 48},
    },
    "by crop_pct": {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 56}, "crop_pct": 0.875},
    "large": {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}, "crop_pct": 0.875},
    "as they are": {"image_processor_type": "ViTImageProcessor", "do_resize": False},
    "nearest": {"image_processor_type": "ViTImageProcessor", "size": {"height": 48, "width": 48}, "resample": 0},
    "normalised twice": {"image_processor_type": "EfficientNetImageProcessor", "size": {"height": 48, "width": 48}},
    "larger before it is cropped": {
        "image_processor_type": "LevitImageProcessor", "size": {"shortest_edge": 48}, "crop_size": {"height": 48, "width": 48},
    },
}  # fmt: skip


def saved(folder: Path, processor: dict[str, Any]) -> str:
    """A small ResNet with random weights and the processor's settings, as a hub has them."""
    torch.manual_seed(0)
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], num_labels=5)
    transformers.ResNetForImageClassification(config).save_pretrained(folder)
    settings = {"image_mean": MEAN, "image_std": STD, **processor}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return f"hf:{folder}"


@pytest.mark.parametrize("name", PROCESSORS)
@torch.no_grad()
def test_a_hugging_face_network_sees_what_its_own_processor_gives_it(name: str, tmp_path: Path) -> None:
    spec = saved(tmp_path, PROCESSORS[name])
    pixels = np.random.RandomState(0).randint(0, 256, (90, 130, 3)).astype(np.uint8)
    Image.fromarray(pixels).resize((520, 360)).save(tmp_path / "image.png")
    expected = find_preprocessing(spec)
    assert expected is not None
    images = torch.tensor(decode("image", partial(Image.open, tmp_path / "image.png"), expected.resize, grey=False)).permute(
        2, 0, 1
    )[None]
    network = transformers.AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    given = processor(Image.open(tmp_path / "image.png"), return_tensors="pt")["pixel_values"]
    model = load_model(spec)
    prepared = model.get_submodule("prepare")(as_float(images))
    assert torch.allclose(prepared, given, atol=0.03)
    assert (prepared - given).abs().mean() < 1e-5
    assert torch.allclose(model(as_float(images)), network(given).logits, atol=1e-3)


@torch.no_grad()
def test_a_hugging_face_network_takes_corrections(tmp_path: Path) -> None:
    model = load_model(saved(tmp_path, PROCESSORS["cropped"]))
    images = torch.rand(2, 3, 64, 64)
    layers = convolutions(find_layers(model, images))
    assert all(layer.norm for layer in layers)
    before = model(images)
    correction = attach(model, Plan(distortion="blur", filters={layer.name: (0, 1) for layer in layers[:2]}), images)
    assert not torch.equal(model(images), before)
    with correction.disabled():
        assert torch.equal(model(images), before)


@pytest.mark.parametrize(
    ("processor", "reason"),
    [
        ({"image_processor_type": "ViTImageProcessor", "rescale_factor": 1.0}, "its rescale_factor 1 is not supported"),
        ({"image_processor_type": "ViTImageProcessor", "size": {"height": 20, "width": 40}}, "only square images"),
        ({"image_processor_type": "MobileViTImageProcessor"}, r"MobileViTImageProcessorPil \(do_flip_channel_order\) prepares"),
        (
            {"image_processor_type": "PerceiverImageProcessor"},
            "PerceiverImageProcessorPil prepares images in another way than by",
        ),
        (
            {"image_processor_type": "ViTImageProcessor", "do_rescale": False},
            "ViTImageProcessorPil prepares images in another way",
        ),
        ({"image_processor_type": "EfficientNetImageProcessor", "rescale_offset": True}, r"EfficientNet\w+ \(rescale_offset\)"),
        (
            {"image_processor_type": "DetrImageProcessor"},
            r"DetrImageProcessorPil \(.*do_pad.*\) prepares images in another way",
        ),
    ],
)
def test_what_cannot_be_prepared_is_refused(processor: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(DeepcorrectError, match=reason):
        load_model(saved(tmp_path, processor))


def test_a_network_without_preprocessing_or_of_no_such_name_is_refused(tmp_path: Path) -> None:
    spec = saved(tmp_path, {})
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(DeepcorrectError, match=f"{spec}: "):
        load_model(spec)


class Missing:
    """A library that no import finds."""

    def __init__(self, library: str) -> None:
        self.library = library

    def find_spec(self, name: str, *_: object) -> None:
        if name == self.library:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_a_library_that_is_missing_is_named_with_its_remedy(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Missing(library), *sys.meta_path])
    with pytest.raises(DeepcorrectError, match=f"{library}:resnet50: {library} is not installed; pip install {library}"):
        load_model(f"{library}:resnet50")


def test_a_library_that_does_not_fit_torch_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    with pytest.raises(
        DeepcorrectError,
        match=r"timm cannot be imported with this version of torch: operator .* install both from the same index",
    ):
        load_model("timm:resnet18")


def fetched(spec: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Callable[[Image.Image], Tensor], nn.Module]:
    """What the library itself does with an image, and its network, whose random weights it will then fetch."""
    name, _, network = spec.partition(":")
    library = pytest.importorskip(name)
    torch.manual_seed(0)
    if name == "torchvision":
        found, weights = library.models.get_model(network), library.models.get_model_weights(network).DEFAULT
        monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *_, **__: found.state_dict())
        return weights.transforms(), found.eval()
    found, config = library.create_model(network), library.get_pretrained_cfg(network)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *_, **__: found.state_dict())
    settings = library.data.resolve_data_config(pretrained_cfg=config.to_dict())
    return library.data.create_transform(**settings, is_training=False), found.eval()


@pytest.mark.parametrize(
    "spec",
    [
        "torchvision:shufflenet_v2_x0_5",
        "torchvision:efficientnet_b1",
        "timm:lcnet_050.ra2_in1k",
        "timm:vit_tiny_r_s16_p8_224.augreg_in21k_ft_in1k",
    ],
)
@torch.no_grad()
def test_a_library_s_network_sees_what_its_own_transform_gives_it(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transform, network = fetched(spec, monkeypatch)
    pixels = np.random.RandomState(0).randint(0, 256, (90, 130, 3)).astype(np.uint8)
    image = Image.fromarray(pixels).resize((520, 361))
    image.save(tmp_path / "image.png")
    expected, model = find_preprocessing(spec), load_model(spec)
    assert expected is not None
    resized = decode("image", partial(Image.open, tmp_path / "image.png"), expected.resize, grey=False)
    images = as_float(torch.tensor(resized).permute(2, 0, 1)[None])
    given = transform(image)[None]
    assert torch.allclose(model.get_submodule("prepare")(images), given, atol=1e-5)
    assert torch.allclose(model(images), network(given), atol=1e-3)


def test_a_network_whose_images_are_padded_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm")
    config = replace(timm.get_pretrained_cfg("resnet18.a1_in1k"), crop_pct=1.15)
    monkeypatch.setattr("timm.get_pretrained_cfg", lambda name: config)
    with pytest.raises(DeepcorrectError, match=r"its crop_pct, 1.15, pads images"):
        find_preprocessing("timm:resnet18.a1_in1k")
