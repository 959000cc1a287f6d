"""The weights in the package, measured again on the real test images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from experiments.cells import RESULTS
from experiments.tables import PAGE, page
from torch import nn

from deepcorrect.adapters.attach import load_correction
from deepcorrect.adapters.file import read_header
from deepcorrect.base.device import resolve_precision
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json
from deepcorrect.datasets import Images, load_dataset
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.evaluation.cost import count_parameters
from deepcorrect.evaluation.sweep import evaluate
from deepcorrect.models import load_model
from deepcorrect.models.shipped import FOLDER, shipped_correction, shipped_model, shipped_names
from deepcorrect.runs.results import Record, Results

EXAMPLE = torch.zeros(1, 3, 32, 32)
CPU = torch.device("cpu")


def published(name: str) -> list[Record]:
    """The records of the cell that a shipped network comes from."""
    index = read_json(FOLDER / "index.json")
    entry = (index["models"] | index["corrections"])[name]
    return Results.model_validate(read_json(RESULTS / f"{entry['cell']}.json")).records


def test_the_results_page_shows_the_saved_results() -> None:
    assert PAGE.read_text() == page()


@pytest.mark.parametrize("name", shipped_names("corrections"))
def test_a_shipped_correction_fits_its_network_and_has_the_published_count(name: str) -> None:
    network = load_model("allcnn-cifar100")
    path = shipped_correction(name)
    assert path is not None
    correction = load_correction(path, network)
    assert count_parameters(correction.parameters()) == published(name)[-1].trainable_parameters


def test_a_shipped_correction_is_put_on_the_network_inside_a_wrapper() -> None:
    path = shipped_correction("deepcorr-6-blur")
    assert path is not None
    alone, wrapped = load_model("allcnn-cifar100"), nn.Sequential(nn.Identity(), load_model("allcnn-cifar100"))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    load_correction(path, alone)
    assert next(iter(load_correction(path, wrapped.eval()).plan.filters)) == "1.conv1"
    assert torch.equal(wrapped(images), alone(images))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@torch.no_grad()
def test_a_shipped_correction_is_put_on_the_network_in_another_precision(dtype: torch.dtype) -> None:
    path = shipped_correction("deepcorr-6-blur")
    assert path is not None
    single, other = load_model("allcnn-cifar100"), load_model("allcnn-cifar100").to(dtype)
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    load_correction(path, single)
    load_correction(path, other)
    wanted = single(images)
    spread = float(wanted.std())
    assert float((other(images.to(dtype)).float() - wanted).abs().max()) < spread * (0.2 if dtype == torch.bfloat16 else 0.02)


@pytest.fixture(scope="module")
def test_images(data_root: Path) -> Images:
    """The 10,000 of CIFAR-100."""
    return load_dataset("cifar100", root=data_root).test


def measured_again(name: str, images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Top-1 of a shipped network on clean images and at the third level: as found here, and as published."""
    network = load_model("allcnn-cifar100").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    path = shipped_correction(name)
    distortion = "blur"
    if path is not None:
        load_correction(path, network, EXAMPLE)
        distortion = read_header(path).distortion
    record = next(r for r in reversed(published(name)) if r.distortion == distortion)
    precision = resolve_precision("auto", CPU)
    found = evaluate(network, images, get_distortion(distortion), (record.levels[3],), classes=100, precision=precision)
    return found.top1, (record.top1[0], record.top1[3])


@pytest.mark.parametrize("name", shipped_names("corrections"))
def test_a_shipped_correction_corrects(name: str, test_images: Images) -> None:
    """On a few images, within four standard errors of the published figure; all of them are ``make verify``'s."""
    images = 200
    for found, wanted in zip(*measured_again(name, test_images.balanced(images, seed=0)), strict=True):
        assert found == pytest.approx(wanted, abs=4 * (wanted * (1 - wanted) / images) ** 0.5)


@pytest.mark.verify
@pytest.mark.parametrize("name", [*shipped_names("models"), *shipped_names("corrections")])
def test_the_published_figure_is_measured_again(name: str, test_images: Images) -> None:
    found, wanted = measured_again(name, test_images)
    assert found == pytest.approx(wanted, abs=0.003)


def test_a_damaged_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from deepcorrect.models import shipped

    (tmp_path / "index.json").write_text((shipped.FOLDER / "index.json").read_text())
    (tmp_path / "allcnn-cifar100.safetensors").write_bytes(b"damaged")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(DeepcorrectError, match="its SHA-256 is not the published one"):
        shipped_model("allcnn-cifar100")
