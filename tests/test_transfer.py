"""Features on other data: what is taken, who is compared, and what a run folder keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

import pytest
import torch
from torch import Tensor, nn

from deepcorrect.adapters.attach import attach
from deepcorrect.adapters.plan import Plan
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.processes import Processes
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.division import Counts, divide
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.evaluation import features as taken
from deepcorrect.evaluation.svm import Split, fit_split
from deepcorrect.models.smallcnn import SmallCNN
from deepcorrect.pipeline import transfer as module
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.transfer import Protocol, measure_transfer, transfer
from deepcorrect.runs.results import Run
from deepcorrect.runs.transfer import read_transfer
from tests.command_line import run

NOISE, BLUR = get_distortion("noise"), get_distortion("blur")
PROTOCOL = Protocol("3", Counts(20, 10), splits=3)


class Pixel(nn.Module):
    """The pixel in the middle; counts the images that it has seen."""

    seen = 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return images[..., 4:5, 4:5]


def single_pixel() -> nn.Module:
    """A network of one output and one feature, a pixel, which noise hits with full force."""
    torch.manual_seed(0)
    convolution = nn.Conv2d(1, 1, 7, padding=3, bias=False)
    with torch.no_grad():
        convolution.weight.zero_()[0, 0, 3, 3] = 1
    return nn.Sequential(convolution, Pixel(), nn.Flatten(), nn.Linear(1, 1))


def pixel_job(run: Run | None = None) -> Job:
    """That network on 160 images of two greys."""
    labels = torch.arange(160) % 2
    images = (100 + 12 * labels).to(torch.uint8)[:, None, None, None].repeat(1, 1, 9, 9)
    parts = divide({"all": ImageSet.whole(images, labels)}, Counts(20, 10))
    return Job(single_pixel(), Dataset("greys", ("dark", "light"), "cifar", *parts), run=run, classifies=False)


def averaging(path: Path) -> Path:
    """A correction of that network that takes the mean around the pixel: a seventh of the noise."""
    job = pixel_job()
    correction = attach(job.model, Plan(distortion="noise", retrained=("0",)), job.example)
    with torch.no_grad():
        for weight in correction.parameters():
            weight.fill_(1 / 49)
    correction.save(path)
    return path


def test_a_correction_helps_and_leaves_no_trace(tmp_path: Path) -> None:
    job = pixel_job()
    (bare,) = transfer(job, [(NOISE, (30.0,))], {}, PROTOCOL)[1:]
    clean, baseline, corrected = transfer(job, [(NOISE, (30.0,))], {"mean": averaging(tmp_path / "mean")}, PROTOCOL)
    assert (clean.name, clean.distortion, clean.levels, clean.mean, clean.spread) == ("baseline", "none", (0.0,), 1.0, 0.0)
    assert (corrected.name, corrected.distortion, corrected.levels) == ("mean", "noise", (0.0, 30.0))
    assert baseline == bare
    assert baseline.accuracy[1] < 0.7 < 0.85 < corrected.accuracy[1]
    assert corrected.images == (40, 20, 100)
    assert transfer(job, [(NOISE, (30.0,))], {}, PROTOCOL)[1] == bare


def test_accuracies_are_those_of_the_features_by_hand(digits: Dataset) -> None:
    torch.manual_seed(0)
    model, protocol, levels = SmallCNN().eval(), Protocol("conv4", Counts(10, 5, seed=4), splits=2), (30.0, 60.0)
    found = measure_transfer(Job(model, digits, seed=3), "net", NOISE, levels, protocol)
    sets = [part.held() for part in (digits.train, digits.validation, digits.test)]
    order = torch.cat([part.indices for part in sets]).argsort()
    pixels, labels = (torch.cat([getattr(part, name) for part in sets])[order] for name in ("images", "labels"))
    whole = ImageSet.whole(pixels, labels)
    before = nn.Sequential(*list(model)[: [name for name, _ in model.named_children()].index("conv4")])
    with torch.no_grad():
        taken = [before(NOISE.at(as_float(pixels), level, whole.indices, seed=3)).mean((2, 3)) for level in (0.0, *levels)]
    for seed, split in zip((4, 5), found.splits, strict=True):
        parts = divide({"all": whole}, Counts(10, 5, seed))
        train, validation, test = (part.indices for part in parts)
        assert split == fit_split(taken, labels, (train, validation, test), seed=seed)
    means = [mean(split.accuracy) for split in found.splits]
    assert found.mean == pytest.approx(mean(means))
    assert found.spread == pytest.approx(stdev(means))
    assert found.accuracy == pytest.approx([mean(split.accuracy[place] for split in found.splits) for place in range(3)])
    assert (found.features, found.images, found.levels) == (48, (100, 50, 1647), (0.0, 30.0, 60.0))


def test_the_answer_does_not_depend_on_the_size_of_batches(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    job, protocol = Job(SmallCNN(), digits), Protocol("conv4", Counts(10, 5), splits=1)
    whole = measure_transfer(job, "net", NOISE, (60.0,), protocol)
    monkeypatch.setattr(taken, "BATCH", 33)
    assert measure_transfer(job, "net", NOISE, (60.0,), protocol) == whole


def test_a_run_folder_keeps_features_and_takes_more_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = pixel_job(Run(tmp_path / "run", "transfer", {}))
    pixel = job.model.get_submodule("1")
    assert isinstance(pixel, Pixel)
    correction = averaging(tmp_path / "mean")
    fitted: list[Sequence[Tensor]] = []

    def fit(levels: Sequence[Tensor], labels: Tensor, parts: tuple[Tensor, Tensor, Tensor], *, seed: int) -> Split:
        fitted.append(levels)
        return fit_split(levels, labels, parts, seed=seed)

    monkeypatch.setattr(module, "fit_split", fit)
    pixel.seen = 0
    first = transfer(job, [(NOISE, (30.0,))], {}, PROTOCOL)
    assert (pixel.seen, len(fitted)) == (2 * 160, 6)
    assert transfer(job, [(NOISE, (30.0,))], {}, PROTOCOL) == first
    assert (pixel.seen, len(fitted)) == (2 * 160, 6)
    kept = tmp_path / "run" / "transfer.json"
    assert read_transfer(kept) == first
    assert json.loads(kept.read_text())["provenance"]["versions"]["scikit-learn"]
    kept.unlink()
    assert transfer(job, [(NOISE, (30.0,))], {}, PROTOCOL) == first
    assert (pixel.seen, len(fitted)) == (2 * 160, 12)
    more = transfer(job, [(BLUR, (1.0,)), (NOISE, (30.0, 60.0))], {"mean": correction}, PROTOCOL)
    assert [(record.name, record.distortion) for record in more] == [
        ("baseline", "none"), ("baseline", "blur"), ("baseline", "noise"), ("mean", "noise"),
    ]  # fmt: skip
    assert len(read_transfer(kept)) == 5
    checks = pixel.seen - (2 + 1 + 1 + 3) * 160  # of attaching: a few passes on two images
    assert 0 <= checks < 160


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    job = pixel_job()
    with pytest.raises(DeepcorrectError, match="greys has 2 classes, the network only 1 outputs"):
        Job(single_pixel(), job.data)
    correction = averaging(tmp_path / "mean")
    with pytest.raises(DeepcorrectError, match=r"^correction mean: trained against noise; add that to ladders$"):
        transfer(job, [(BLUR, (1.0,))], {"mean": correction}, PROTOCOL)
    with pytest.raises(DeepcorrectError, match=r"^counts: too few images for 75 and 5 of every class"):
        transfer(job, [], {}, Protocol("3", Counts(75, 5)))
    job.data = Dataset("twice", job.data.classes, "cifar", job.data.train, job.data.validation, job.data.train)
    with pytest.raises(DeepcorrectError, match=r"^twice: divided already"):
        transfer(job, [], {}, PROTOCOL)
    job.processes = Processes(0, 2)
    with pytest.raises(DeepcorrectError, match="in one process"):
        transfer(job, [], {}, PROTOCOL)


def test_the_command(baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: list[object] = ["--data", "digits", "--device", "cpu", "--precision", "fp32"]
    code, _, error = run(capsys, "finetune", baseline, *options, "--layers", "all", "--epochs", "1", "--out", tmp_path / "ft")
    assert code == 0, error
    options += ["--levels", "1", "--split", "20,10", "--splits", "2", "--out", tmp_path / "run"]
    code, out, error = run(capsys, "transfer", baseline, *options)
    assert code == 0, error
    assert "Mean accuracy per category of SVMs under blur" in out
    code, out, _ = run(capsys, "transfer", baseline, *options, "--correction", tmp_path / "ft", "--json")
    found = json.loads(out)
    assert (code, found["data"], found["layer"]) == (0, "digits", "conv4")
    clean, before, after = found["records"]
    assert (clean["levels"], before["levels"], after["name"]) == ([0], [0, 1], str(tmp_path / "ft"))
    assert clean["mean"] > 0.9
    assert after["accuracy"][1] > before["accuracy"][1]
    assert [split["seed"] for split in after["splits"]] == [0, 1]
    assert (tmp_path / "run" / "transfer.json").is_file()
    assert run(capsys, "transfer", baseline, *options, "--correction", tmp_path / "ft", "--json")[1] == out
    code, _, error = run(capsys, "transfer", baseline, *options, "--splits", "3")
    assert (code, "holds a run with splits = 2, not 3" in error) == (2, True)
    code, _, error = run(capsys, "transfer", baseline, *options, "--layer", "nowhere")
    assert (code, "unknown layer 'nowhere'" in error) == (2, True)
