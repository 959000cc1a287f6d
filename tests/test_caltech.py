"""A real ImageNet network on real photographs: EfficientNet-Lite0 on Caltech-101."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
import torch
from experiments.caltech import halves
from experiments.caltech import page as study
from PIL import Image

from deepcorrect.adapters.attach import load_correction
from deepcorrect.base.files import read_json
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.decoding import decode
from deepcorrect.models import find_preprocessing, load_model

NETWORK = f"{Path(__file__).parent.parent / 'experiments' / 'caltech' / 'efficientnet_lite0.py'}:make"
IMAGENET = {"dalmatian": 251, "accordion": 401, "grand_piano": 579, "panda": 388}


@pytest.fixture
def caltech() -> Path:
    root = Path(os.environ.get("DEEPCORRECT_DATA", "data")) / "caltech-101"
    if not root.is_dir():
        pytest.skip(f"no Caltech-101 under {root.parent} (set DEEPCORRECT_DATA to the folder that holds caltech-101)")
    return root


@torch.no_grad()
def test_it_knows_the_classes_that_imagenet_has_too(caltech: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    model, expected = load_model(NETWORK), find_preprocessing(NETWORK)
    assert expected is not None
    right = []
    for category, output in IMAGENET.items():
        files = sorted((caltech / category).glob("*.jpg"))[:5]
        pixels = [torch.tensor(decode(file.name, partial(Image.open, file), expected.resize, grey=False)) for file in files]
        answers = model(as_float(torch.stack(pixels).permute(0, 3, 1, 2))).argmax(1)
        right += [int(answer) == output for answer in answers]
    assert sum(right) >= 0.85 * len(right)


def test_the_page_shows_the_saved_results() -> None:
    assert study.PAGE.read_text() == study.page()
    records = read_json(study.RESULTS / "noise.json")["records"]
    (line,) = [
        line for line in study.page().splitlines() if line.startswith("| deepcorr-6 | " + f"{records[1]['top1'][0]:.4f}")
    ]
    clean, *distorted = records[0]["top1"]
    regained = (sum(records[1]["top1"][1:]) - sum(distorted)) / (6 * clean - sum(distorted))
    assert f"| {regained:.0%} |" in line


@pytest.mark.parametrize("distortion", ["blur", "noise"])
def test_the_kept_corrections_fit_the_network_with_its_head(distortion: str) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    model = load_model(NETWORK.replace(":make", ":with_head"))
    correction = load_correction(study.RESULTS / f"deepcorr-6-{distortion}.safetensors", model, torch.rand(2, 3, 256, 256))
    assert correction.plan.distortion == distortion
    record = read_json(study.RESULTS / f"{distortion}.json")["records"][1]
    assert sum(parameter.numel() for parameter in correction.parameters()) == record["trainable_parameters"]


def test_halves_share_no_category_and_no_photograph(tmp_path: Path) -> None:
    categories = ["Faces", "Faces_easy", "anchor", "ant", "barrel", "bass", "beaver"]
    for category in categories:
        (tmp_path / "all" / category).mkdir(parents=True)
        (tmp_path / "all" / category / "image.jpg").write_bytes(category.encode())
    for _ in range(2):
        halves.main([str(tmp_path / "all")])
    source, target = (tmp_path / f"caltech-{name}" for name in ("source", "target"))
    assert sorted(file.read_text() for file in source.glob("*/*.jpg")) == ["Faces", "Faces_easy", "ant", "bass"]
    assert sorted(file.read_text() for file in target.glob("*/*.jpg")) == ["anchor", "barrel", "beaver"]
    with pytest.raises(SystemExit):
        halves.main([str(tmp_path / "nowhere")])
