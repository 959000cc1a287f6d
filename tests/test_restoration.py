"""Images restored first: nearer to the clean ones, told of as a row of its own."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor

from deepcorrect import cli
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets import load_dataset
from deepcorrect.datasets.batches import as_float
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.distortions.restoration import restored


def error(images: Tensor, wanted: Tensor) -> float:
    return float((images - wanted).square().mean())


@pytest.mark.parametrize(
    ("restorer", "package", "kind", "severity", "share"),
    [("wiener", "skimage", "blur", 1.0, 0.3), ("wiener", "skimage", "blur", 2.0, 0.5), ("bm3d", "bm3d", "noise", 20.0, 0.5)],
)
def test_a_restored_image_is_nearer_to_the_clean_one(
    restorer: str, package: str, kind: str, severity: float, share: float, data_root: Path
) -> None:
    pytest.importorskip(package)
    images = load_dataset("cifar100", root=data_root).test.take(torch.arange(8)).held()
    clean = as_float(images.images)
    distortion = get_distortion(kind)
    plain = distortion.at(clean, severity, images.indices, 0)
    better = restored(distortion, restorer).at(clean, severity, images.indices, 0)
    assert better.shape == clean.shape
    assert better.dtype == clean.dtype
    assert error(better, clean) < share * error(plain, clean)
    assert torch.equal(restored(distortion, restorer).at(clean, 0, images.indices, 0), clean)


def test_a_restorer_for_another_distortion_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeepcorrectError, match="restore='bm3d': not for blur; there is bm3d for noise, wiener for blur"):
        restored(get_distortion("blur"), "bm3d")
    if find_spec("bm3d") is None:
        with pytest.raises(DeepcorrectError, match="bm3d is not installed; pip install bm3d"):
            restored(get_distortion("noise"), "bm3d")


def test_a_restored_network_is_a_row_of_its_own(
    baseline: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("skimage")
    found = []
    for options in ((), ("--restore", "wiener")):
        command = ["evaluate", str(baseline), "--data", "digits", "--levels", "0.8", "--limit", "10", *options, "--json"]
        monkeypatch.setattr(sys, "argv", ["deepcorrect", *command])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
        found.append(json.loads(capsys.readouterr().out))
    plain, better = found
    assert (plain["name"], better["name"]) == ("baseline", "baseline after wiener")
    assert (plain["distortion"], plain["top1"][0]) == (better["distortion"], better["top1"][0])
    assert better["top1"][1] > plain["top1"][1]
