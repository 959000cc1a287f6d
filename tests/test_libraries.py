"""Pretrained networks of libraries: their preprocessing is the library's own, and what is missing is named."""

from __future__ import annotations

import json
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from deepcorrect.correction import Plan, attach
from deepcorrect.datasets.decoding import Resize, decode
from deepcorrect.errors import DeepcorrectError
from deepcorrect.layers import convolutions, find_layers
from deepcorrect.loading import as_float
from deepcorrect.models import find_preprocessing, load_model

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
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path)
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


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_a_library_that_is_missing_is_named_with_its_remedy(library: str) -> None:
    if find_spec(library):
        pytest.skip(f"{library} is installed")
    with pytest.raises(DeepcorrectError, match=f"{library}:resnet50: {library} is not installed; pip install {library}"):
        load_model(f"{library}:resnet50")


def skip_without(library: str) -> None:
    """One may be installed and still not import beside this torch."""
    try:
        import_module(library)
    except Exception as error:
        pytest.skip(f"{library} does not import: {error}")


def test_torchvision_s_preprocessing_is_its_own() -> None:
    skip_without("torchvision")
    expected = find_preprocessing("torchvision:resnet50")
    assert expected is not None
    assert (expected.resize, expected.crop) == (Resize(232), 224)


def test_timm_s_preprocessing_is_its_own() -> None:
    skip_without("timm")
    expected = find_preprocessing("timm:resnet50.a1_in1k")
    assert expected is not None
    assert (expected.resize, expected.crop) == (Resize(235, interpolation="bicubic"), 224)
