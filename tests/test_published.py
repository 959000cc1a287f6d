"""Published corrupted images: the right file and row for every test image, or a refusal."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import deepcorrect as dc
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.decoding import CentreCrop
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.cifar_c import read_array
from deepcorrect.models.preprocessing import Prepared, Preprocessing
from deepcorrect.pipeline.job import Job
from deepcorrect.runs.results import Run
from tests.command_line import one_line, run
from tests.conftest import make_toy

COUNT, SIDE = 10, 8
LABELS = np.array([3, 1, 4, 1, 0, 2, 3, 0, 2, 4])


def shade(severity: int, index: int) -> int:
    """Of all pixels of a published image: no two are alike."""
    return 20 * severity + index


def rows(severities: int = 5) -> np.ndarray:
    shades = [shade(severity + 1, index) for severity in range(severities) for index in range(COUNT)]
    return np.array(shades, np.uint8)[:, None, None, None].repeat(SIDE, 1).repeat(SIDE, 2).repeat(3, 3)


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    folder = tmp_path / "CIFAR-5-C"
    folder.mkdir()
    for name in ("snow", "fog", "another"):
        np.save(folder / f"{name}.npy", rows())
    np.save(folder / "labels.npy", np.tile(LABELS, 5).astype(np.uint8))
    return folder


@pytest.fixture
def data() -> Dataset:
    images = torch.randint(0, 256, (COUNT, 3, SIDE, SIDE), dtype=torch.uint8)
    test = ImageSet.whole(images, torch.from_numpy(LABELS))
    return Dataset("own", tuple("abcde"), "cifar", test, test, test)


def matched(distortion: Distortion, images: ImageSet) -> Distortion:
    return distortion.matched(images, (1, 2, 3, 4, 5), (SIDE, SIDE))


def shades(images: Tensor) -> list[int]:
    """Of images that have one shade each."""
    assert torch.equal(images.amin((1, 2, 3)), images.amax((1, 2, 3)))
    return (images.float().mean((1, 2, 3)) * 255).round().int().tolist()


def test_a_folder_stands_for_what_is_in_it_in_the_order_of_the_literature(cifar: Path) -> None:
    assert [each.name for each in dc.get_distortions(f"cifar-c:{cifar}")] == ["cifar-c/snow", "cifar-c/fog", "cifar-c/another"]
    for spec in (f"cifar-c:{cifar}/fog", f"cifar-c:{cifar / 'fog.npy'}"):
        assert dc.get_distortion(spec).name == "cifar-c/fog"
    with pytest.raises(DeepcorrectError, match=r"that is several \(cifar-c/snow, cifar-c/fog, cifar-c/another\); give one$"):
        dc.get_distortion(f"cifar-c:{cifar}")


@pytest.mark.parametrize("repeated", [True, False])
def test_every_image_gets_its_own_row(cifar: Path, data: Dataset, repeated: bool) -> None:
    if not repeated:
        np.save(cifar / "labels.npy", LABELS.astype(np.int64))
    some = data.test.take(torch.tensor([7, 2, 9]))
    for images in (data.test, some):
        fog = matched(dc.get_distortion(f"cifar-c:{cifar}/fog"), images)  # type: ignore[arg-type]
        for severity in (1, 3, 5):
            for order in (torch.arange(len(images)), torch.arange(len(images)).flip(0), torch.tensor([1])):
                indices = images.indices[order]
                found = fog.at(torch.zeros(len(order), 3, SIDE, SIDE, dtype=torch.float64), severity, indices, seed=0)
                assert found.dtype == torch.float64
                assert shades(found) == [shade(severity, index) for index in indices.tolist()]
    clean = torch.rand(1, 3, SIDE, SIDE)
    assert fog.at(clean, 0, torch.tensor([7]), 0) is clean
    with pytest.raises(DeepcorrectError, match="asked for images with which its files were not matched"):
        fog.at(clean, 1, torch.tensor([3]), 0)


def test_it_can_be_copied_and_pickled(cifar: Path, data: Dataset) -> None:
    fog = matched(dc.get_distortion(f"cifar-c:{cifar}/fog"), data.test)  # type: ignore[arg-type]
    for again in (pickle.loads(pickle.dumps(fog)), copy.deepcopy(fog)):
        assert again == fog
        assert torch.equal(*(each.at(torch.zeros(1, 3, SIDE, SIDE), 2, torch.tensor([4]), 0) for each in (again, fog)))


def test_the_array_stays_on_disk(cifar: Path) -> None:
    assert isinstance(read_array(cifar / "fog.npy"), np.memmap)


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "objects": (
        lambda file: np.save(file, np.array([Bomb(file.with_name("boom"))], object), allow_pickle=True),
        "it holds Python objects",
    ),
    "a pickle": (lambda file: file.write_bytes(pickle.dumps(Bomb(file.with_name("boom")))), "it holds Python objects"),
    "truncated": (lambda file: file.write_bytes(file.read_bytes()[:-100]), "truncated or no .npy file"),
    "empty": (lambda file: file.write_bytes(b""), "truncated or no .npy file"),
    "floats": (lambda file: np.save(file, rows() / 255), r"\(50, 8, 8, 3\) of float64, not \(images, height"),
    "channels first": (lambda file: np.save(file, rows().transpose(0, 3, 1, 2)), r"\(50, 3, 8, 8\) of uint8, not"),
    "no images": (lambda file: np.save(file, rows()[:0]), r"\(0, 8, 8, 3\) of uint8, not"),
    "one image less": (lambda file: np.save(file, rows()[:-1]), "49 images are not five severities of as many"),
    "missing": (lambda file: file.unlink(), "no such file"),
}  # fmt: skip


@pytest.mark.parametrize("how", HOSTILE)
def test_an_unsound_array_is_refused_and_never_unpickled(how: str, cifar: Path) -> None:
    spoil, said = HOSTILE[how]
    spoil(cifar / "fog.npy")
    with pytest.raises(DeepcorrectError, match=rf"^{cifar}/fog\.npy: .*{said}") as refused:
        dc.get_distortion(f"cifar-c:{cifar}/fog")
    assert "\n" not in str(refused.value)
    assert not (cifar / "boom").exists()


MISALIGNED: dict[str, tuple[Callable[[Path], object], str]] = {
    "another order": (lambda file: np.save(file, np.tile(LABELS[::-1], 5)), "label 4 for image 0, which has label 3"),
    "one label": (
        lambda file: np.save(file, np.tile(np.where(np.arange(COUNT) == 7, 1, LABELS), 5)),
        "labels.npy: label 1 for image 7, which has label 0 in the test data; measure on the test images that",
    ),
    "four severities": (lambda file: np.save(file.with_name("fog.npy"), rows(4)[:-20]), "20 images, but labels.npy has"),
    "severities that differ": (lambda file: np.save(file, np.append(np.tile(LABELS, 4), LABELS[::-1])), "other labels at one"),
    "floats": (lambda file: np.save(file, np.tile(LABELS, 5) * 1.0), r"labels.npy has \(50,\) of float64"),
    "objects": (lambda file: np.save(file, LABELS.astype(object), allow_pickle=True), "labels.npy: .*Python objects"),
    "no labels": (lambda file: file.unlink(), "labels.npy: no such file"),
    "another size": (lambda file: np.save(file.with_name("fog.npy"), rows()[:, 1:]), "images of 3x7x8 values, the test"),
}  # fmt: skip


@pytest.mark.parametrize("how", MISALIGNED)
def test_files_of_other_images_are_refused(how: str, cifar: Path, data: Dataset) -> None:
    spoil, said = MISALIGNED[how]
    spoil(cifar / "labels.npy")
    job = Job(make_toy("plain"), data)
    with pytest.raises(DeepcorrectError, match=said):
        dc.assess(job, [(dc.get_distortion(f"cifar-c:{cifar}/fog"), (1, 2))])
    with pytest.raises(DeepcorrectError, match=said):
        dc.evaluate(job.model, data, f"cifar-c:{cifar}/fog")


def test_more_test_images_than_labels_are_refused(cifar: Path, data: Dataset) -> None:
    twice = ImageSet.whole(data.test.held().images.repeat(2, 1, 1, 1), torch.from_numpy(LABELS).repeat(2))
    with pytest.raises(DeepcorrectError, match=r"labels\.npy: labels of 10 images, the test data has more"):
        matched(dc.get_distortion(f"cifar-c:{cifar}/fog"), twice)


class Shade(nn.Module):
    """Answers every image with the class of its published row: its shade, modulo 20, has a label."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 1)
        self.register_buffer("labels", torch.from_numpy(LABELS))

    def forward(self, images: Tensor) -> Tensor:
        shades = (images.mean((1, 2, 3)) * 255).round().long() % 20
        known: Tensor = self.labels  # type: ignore[assignment]
        right = nn.functional.one_hot(known[shades.clamp_max(COUNT - 1)], 5).float()
        answers: Tensor = right + 0 * self.conv(images).mean((2, 3))
        return answers


def test_a_network_that_knows_the_rows_answers_correctly_at_every_severity(cifar: Path, data: Dataset, tmp_path: Path) -> None:
    network = Shade()
    records = dc.assess(network, data, f"cifar-c:{cifar}", out=tmp_path / "run")
    assert [record.distortion for record in records] == ["cifar-c/snow", "cifar-c/fog", "cifar-c/another"]
    assert {record.levels for record in records} == {(0, 1, 2, 3, 4, 5)}
    assert {record.top1[1:] for record in records} == {(1, 1, 1, 1, 1)}
    assert dc.evaluate(network, data, f"cifar-c:{cifar}/fog", (4,)).top1[1] == 1
    assert dc.assess(network, data, f"cifar-c:{cifar}", out=tmp_path / "run") == records
    np.save(cifar / "snow.npy", 255 - rows())
    with pytest.raises(DeepcorrectError, match="holds a run with function of cifar-c/snow = "):
        dc.assess(network, data, f"cifar-c:{cifar}", out=tmp_path / "run")


USES: dict[str, Callable[[nn.Module, Dataset, Distortion, Path], object]] = {
    "rank": lambda network, data, fog, out: dc.rank(network, data, fog, out=out),
    "rank a job": lambda network, data, fog, out: _rank_job(Job(network, data, run=Run(out / "run", "rank", {})), fog),
    "correct": lambda network, data, fog, out: dc.correct(network, data, data, fog, filters={"0": (1,)}, out=out),
    "finetune": lambda network, data, fog, out: dc.finetune(network, data, data, fog, layers=1, out=out),
    "train": lambda network, data, fog, out: fog(torch.zeros(2, 3, 8, 8), torch.ones(2), generator=torch.Generator()),
    "mix": lambda network, data, fog, out: dc.Mixture([fog, dc.GaussianBlur()]),
    "compose": lambda network, data, fog, out: dc.Composition([dc.GaussianBlur(), fog]),
}


def _rank_job(job: Job, fog: Distortion) -> None:
    from deepcorrect.models.layers import convolutions
    from deepcorrect.pipeline.rank import rank

    layers = convolutions(job.layers)
    rank(job, fog, (1.0,), layers, dc.RankingOptions(), {layer.name: 0.5 for layer in layers})


@pytest.mark.parametrize("use", USES)
def test_it_is_for_measuring_test_images_alone(use: str, cifar: Path, data: Dataset, tmp_path: Path) -> None:
    fog = matched(dc.get_distortion(f"cifar-c:{cifar}/fog"), data.test)  # type: ignore[arg-type]
    with pytest.raises(DeepcorrectError, match=r"serve to measure, not to rank.*; give distortion='fog', which is computed$"):
        USES[use](make_toy("plain"), data, fog, tmp_path)
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize("command", ["rank", "correct", "finetune"])
def test_the_command_line_refuses_it_before_anything_is_written(
    command: str, cifar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (command, "smallcnn", "--data", "digits", "--limit", "2", "--out", tmp_path / "run", "--distortion")
    code, _, error = run(capsys, *words, f"cifar-c:{cifar}/fog")
    assert code != 0
    assert one_line(error).endswith("to be combined; give --distortion fog, which is computed")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """``val`` with two classes of three photographs, 12 x 12, and ``C`` with fog of each at five severities, 8 x 8."""
    for label, name in enumerate(("n01", "n02")):
        for index in range(3):
            folders = [(tmp_path / "val" / name, 12, 0)]
            folders += [
                (tmp_path / "C" / "weather" / "fog" / str(s) / name, SIDE, shade(s, 3 * label + index)) for s in range(1, 6)
            ]
            for folder, side, value in folders:
                folder.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (side, side), (value,) * 3).save(folder / f"{label}{index}.png")
    return tmp_path


def test_files_are_found_by_the_class_and_name_of_a_test_image(photographs: Path) -> None:
    data = dc.load_dataset(f"folder:{photographs / 'val'}", whole=True)
    (fog,) = dc.get_distortions(f"imagenet-c:{photographs / 'C'}")
    assert fog == dc.get_distortion(f"imagenet-c:{photographs / 'C' / 'weather' / 'fog'}")
    some = data.test.take(torch.tensor([4, 1]))
    found = fog.matched(some, (2, 5), (SIDE, SIDE)).at(torch.zeros(2, 3, 12, 12), 5, some.indices, 0)
    assert found.shape == (2, 3, SIDE, SIDE)
    assert shades(found) == [shade(5, 4), shade(5, 1)]


def test_a_network_sees_them_as_they_are_and_never_cropped_again(photographs: Path) -> None:
    data = dc.load_dataset(f"folder:{photographs / 'val'}", whole=True)
    seen: list[tuple[int, ...]] = []
    inside = nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    inside.register_forward_pre_hook(lambda module, given: seen.append(tuple(given[0].shape[1:])))
    spec = f"imagenet-c:{photographs / 'C'}"
    crop = Prepared(inside, Preprocessing(None, CentreCrop(SIDE)))
    assert dc.assess(crop, data, spec)[0].levels == (0, 1, 2, 3, 4, 5)
    assert set(seen) == {(3, SIDE, SIDE)}
    for network in (inside, Prepared(inside, Preprocessing(None, CentreCrop(6)))):
        with pytest.raises(
            DeepcorrectError, match=r"fog/1/n01/00\.png: 8x8 pixels, but the network sees (12x12|6x6) pixels of"
        ):
            dc.assess(network, data, spec)


def test_missing_images_are_named(photographs: Path, data: Dataset) -> None:
    fog = dc.get_distortion(f"imagenet-c:{photographs / 'C'}")
    images = dc.load_dataset(f"folder:{photographs / 'val'}", whole=True).test
    with pytest.raises(DeepcorrectError, match="its files are found by the names of the test images; give these as folder:DIR"):
        fog.matched(data.test, (1,), (SIDE, SIDE))
    fogged = photographs / "C" / "weather" / "fog"
    (fogged / "3" / "n02" / "11.png").unlink()
    with pytest.raises(DeepcorrectError, match=r"fog/3/n02/11\.png: no such file"):
        fog.matched(images, (1, 3), (SIDE, SIDE)).at(torch.zeros(6, 3, 12, 12), 3, images.indices, 0)
    (fogged / "4" / "n02").rename(fogged / "4" / "n03")
    with pytest.raises(DeepcorrectError, match=r"fog/4/n02: no such folder"):
        fog.matched(images, (1, 4), (SIDE, SIDE))
    assert fog.matched(images, (1, 2), (SIDE, SIDE)) == fog
    with pytest.raises(DeepcorrectError, match="no folders corruption/severity/class there"):
        dc.get_distortion(f"imagenet-c:{photographs / 'val'}")
    with pytest.raises(DeepcorrectError, match="nowhere: no such folder"):
        dc.get_distortion(f"imagenet-c:{photographs / 'nowhere'}")
