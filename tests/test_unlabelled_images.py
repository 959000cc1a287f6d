"""Images without labels in any folders, on the command line and at the front door."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import deepcorrect as dc
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.images import UNLABELLED
from deepcorrect.datasets.unlabelled import learn_from
from deepcorrect.report.page import build_report
from deepcorrect.runs.results import read_results
from tests.command_line import QUICK, one_line, run
from tests.conftest import labelled_by, make_toy, random_images

BLUR = dc.GaussianBlur(levels=(0.8, 1.6))
RECIPE = dc.get_recipe("fast", "correct", epochs=2, batch_size=32, precision="fp32")


def save(pixels: Tensor, folder: Path, name: Callable[[int], str] = "{}.png".format) -> Path:
    """Images (N, C, H, W) as files."""
    for index, image in enumerate(pixels):
        path = folder / name(index)
        path.parent.mkdir(parents=True, exist_ok=True)
        shown = image.permute(1, 2, 0).numpy()
        Image.fromarray(shown[..., 0] if shown.shape[-1] == 1 else shown).save(path)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Forty pictures in folders of any depth, a hidden one, and files of other kinds."""
    depths = ("{}.png", "holiday/{}.png", "holiday/train/val/{}.bmp", "2024/ä ö/{}.png")
    save(random_images(40).images, tmp_path / "photos", lambda index: depths[index % 4].format(index))
    save(random_images(1).images, tmp_path / "photos" / ".thumbnails")
    (tmp_path / "photos" / "film.mov").write_bytes(b"")
    return tmp_path / "photos"


def test_every_image_is_read_once_whatever_its_folder(photos: Path) -> None:
    told: list[str] = []
    data = dc.load_dataset(f"images:{photos}", warn=told.append)
    sizes = [len(part) for part in (data.train, data.validation, data.test)]
    assert sizes == [28, 4, 8]
    pixels = torch.cat([part.held().images for part in (data.train, data.validation, data.test)])
    wanted = {image.numpy().tobytes() for image in random_images(40).images}
    assert {image.numpy().tobytes() for image in pixels} == wanted
    assert data.classes == ()
    assert {int(label) for label in torch.cat([data.train.labels, data.test.labels])} == {UNLABELLED}
    assert any("1 .mov" in line for line in told)
    assert any("1 hidden image" in line for line in told)
    assert "without labels" in repr(data)
    again = dc.load_dataset(f"images:{photos}")
    assert again.fingerprint() == data.fingerprint()


def test_what_is_no_folder_of_images_is_refused(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "empty" / "inside").mkdir(parents=True)
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "one.mov").write_bytes(b"")
    save(random_images(2).images, tmp_path / "two")
    mixed = save(random_images(6).images, tmp_path / "mixed")
    save(random_images(6, size=16).images, tmp_path / "mixed" / "large")
    with pytest.raises(dc.DeepcorrectError, match="missing: no such folder"):
        dc.load_dataset(f"images:{tmp_path / 'missing'}")
    with pytest.raises(dc.DeepcorrectError, match=r"no images that can be read, in it or in its sub-folders$"):
        dc.load_dataset(f"images:{tmp_path / 'empty'}")
    with pytest.raises(dc.DeepcorrectError, match=r"sub-folders \(there are 1 .mov\)"):
        dc.load_dataset(f"images:{tmp_path / 'films'}")
    with pytest.raises(dc.DeepcorrectError, match="too few images for a validation set; give ten or more"):
        dc.load_dataset(f"images:{tmp_path / 'two'}", whole=False)
    with pytest.raises(dc.DeepcorrectError, match="16x16 pixels, others 8x8; give resize"):
        dc.load_dataset(f"images:{mixed}")
    (photos / "broken.png").write_bytes(b"no image")
    with pytest.raises(dc.DeepcorrectError, match=r"broken.png: not a readable image"):
        dc.load_dataset(f"images:{photos}")
    told: list[str] = []
    assert len(dc.load_dataset(f"images:{photos}", skip_bad=True, whole=True, warn=told.append).test) == 40
    assert any("broken.png" in line for line in told)


def test_images_that_are_tested_on_are_not_trained_on(tmp_path: Path) -> None:
    root = tmp_path / "labelled"
    for part in ("train", "val", "test"):
        save(random_images(24).images, root / part, lambda index: f"{'ab'[index % 2]}/{index}.png")

    def tried(folder: Path, labelled: str) -> Dataset:
        return learn_from(dc.load_dataset(f"images:{folder}"), dc.load_dataset(labelled))

    data = tried(root / "train", f"folder:{root}")  # they are not tested on
    assert len(data.test) == 24
    assert data.name == f"images:{root / 'train'}, tested on folder:{root}"
    for folder in (root, root / "test", root / "test" / "b"):
        with pytest.raises(dc.DeepcorrectError, match=r"is one of the images of .* that are tested on"):
            tried(folder, f"folder:{root}")
    (tmp_path / "link").symlink_to(root / "test" / "a")
    with pytest.raises(dc.DeepcorrectError, match="tested on"):
        tried(tmp_path / "link", f"folder:{root}")
    with pytest.raises(dc.DeepcorrectError, match="3x8x8, those of digits are 1x8x8"):
        tried(root / "train", "digits")


def test_the_front_door_ranks_corrects_and_measures_without_labels(photos: Path, tmp_path: Path) -> None:
    """As if the labels were there, on a network that classifies these images as labelled."""
    data = dc.load_dataset(f"images:{photos}")
    network = make_toy("batch-norm")
    everything = random_images(40)
    labelled_by(network, everything)
    named = {image.numpy().tobytes(): index for index, image in enumerate(everything.images)}

    def labelled(part: Any) -> Any:
        images = part.held().images
        where = [named[image.numpy().tobytes()] for image in images]
        with torch.no_grad():
            return images, network(as_float(everything.images)).argmax(1)[where]

    wanted = dc.rank(network, labelled(data.validation), BLUR, layers=1)
    ranking = dc.rank(network, data, BLUR, layers=1, unlabelled=True)
    assert ranking.scores == wanted.scores
    with pytest.raises(dc.DeepcorrectError, match="the images have no labels, which ranking needs"):
        dc.rank(network, data, BLUR, layers=1)
    filters, out = ranking.top(0.5), tmp_path / "run"
    by_labels = dc.correct(
        network, labelled(data.train), labelled(data.validation), BLUR, filters=filters, recipe=RECIPE.without_labels()
    )  # fmt: skip
    weights = {name: value.tolist() for name, value in by_labels.state_dict().items()}
    by_labels.detach()
    with pytest.raises(dc.DeepcorrectError, match="have no labels"):
        dc.correct(network, data, data, BLUR, filters=filters, recipe=RECIPE)
    correction = dc.correct(network, data, data, BLUR, filters=filters, recipe=RECIPE, unlabelled=True, out=out)
    assert {name: value.tolist() for name, value in correction.state_dict().items()} == weights
    records = read_results(out).records
    assert [record.agreement for record in records] == [True, True]
    evaluation = dc.evaluate(network, data.validation, BLUR, unlabelled=True)
    assert evaluation.metrics == {"agreement": records[1].top1}
    correction.detach()
    (before,) = dc.assess(network, data.validation, BLUR, unlabelled=True)
    assert before.top1 == records[0].top1
    assert before.top1[0] == 1
    page = build_report([out], tmp_path / "report.html").read_text()
    assert "Agreement with the clean answers under distortion" in page
    assert "so this is no accuracy" in page
    assert "Validation agreement while training" in page
    assert "accuracy" not in page.replace("so this is no accuracy", "").replace("mean accuracies", "").replace(
        "by mean accuracy", ""
    )


@pytest.fixture
def digits_without_labels(tmp_path: Path, digits: Dataset) -> Path:
    """Some of the training images of the digits."""
    return save(digits.train.take(torch.arange(300)).held().images, tmp_path / "unlabelled")


@pytest.mark.usefixtures("no_page")
def test_the_command_line_corrects_without_labels(
    baseline: Path, digits_without_labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["--epochs", "1", "--batch-size", "64", "--device", "cpu", "--precision", "fp32", "--grey", "--levels", "45"]
    common = (*quick, "--layers", "1", "--images", "20", "--distortion", "noise", "--unlabelled", digits_without_labels)
    code, out, told = run(capsys, "correct", baseline, *common, "--data", "digits", "--out", tmp_path / "fix", "--json")
    assert code == 0, told
    records = json.loads(out)["records"]
    assert [record["agreement"] for record in records] == [False, False]
    assert "accuracy by the labels of the test images" in told
    plain = run(
        capsys, "evaluate", baseline, "--data", "digits", "--distortion", "noise", "--levels", "45", "--json", *QUICK[6:]
    )
    assert json.loads(plain[1])["top1"] == records[0]["top1"]
    code, out, told = run(capsys, "correct", baseline, *common, "--out", tmp_path / "alone")
    assert code == 0, told
    assert "Agreement with the clean answers under noise (60 test images)" in out
    assert "measured is agreement with them" in told
    again = run(capsys, "correct", baseline, *common, "--out", tmp_path / "alone")
    assert again[:2] == (0, out)
    settings = json.loads((tmp_path / "alone" / "config.json").read_text())["settings"]
    assert settings["data"] == f"images:{digits_without_labels}"
    assert settings["recipe"]["distill"] == 1
    samples = json.loads((tmp_path / "alone" / "samples.json").read_text())
    assert all(label.endswith(" (the clean answer)") for label in samples["labels"])
    correction = tmp_path / "alone" / "correction.safetensors"
    code, out, told = run(
        capsys, "evaluate", baseline, "--correction", correction, "--unlabelled", digits_without_labels, *quick[4:]
    )  # fmt: skip
    assert code == 0, told
    assert "60 test images" in out  # and not those that it was trained on
    for command in ("assess", "rank"):
        code, out, told = run(
            capsys, command, baseline, "--unlabelled", digits_without_labels, "--distortion", "noise", *quick[4:],
            *(("--layers", "1", "--images", "20") if command == "rank" else ()),
        )  # fmt: skip
        assert code == 0, told
    code, _, told = run(
        capsys, "assess", baseline, "--unlabelled", digits_without_labels, "--data", "digits", *quick[4:]
    )  # fmt: skip
    assert "takes either these images or those of --data digits" in one_line(told)
    code, _, told = run(capsys, "finetune", baseline, "--unlabelled", tmp_path / "nowhere", *quick)
    assert "no such folder" in one_line(told)
