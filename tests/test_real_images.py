"""Real images that are ruined already decide what a mixture is trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

import deepcorrect as dc
from deepcorrect.base.processes import Part
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.distortions.matching import mixing_shares
from deepcorrect.pipeline.correct import finetune
from deepcorrect.pipeline.real import Resemblance
from deepcorrect.runs.results import Run
from deepcorrect.training.batches import distort_share
from tests.command_line import one_line, run
from tests.conftest import make_toy, random_images
from tests.test_unlabelled_images import save


def added(name: str, base: float) -> dc.Distortion:
    """Adds ``base`` plus its level to every pixel, so that a pixel tells what an image suffered."""
    return dc.Distortion(name, lambda images, level: images + base + level.view(-1, 1, 1, 1), levels=(1, 2, 3))


MIXTURE = dc.Mixture([added("a", 10), added("b", 20)])
WEIGHTS = ((1, 0, 3), (4, 0, 0))


def drawn(mixture: dc.Mixture, levels: tuple[float, ...] = (1, 2, 3), seed: int = 0) -> Tensor:
    """What 8,000 images of a training batch suffered."""
    zeros, stream = torch.zeros(8000, 1, 1, 1), torch.Generator().manual_seed(seed)
    return distort_share(zeros, 1.0, mixture, levels, stream, Part(0, 8000, 8000)).flatten()


def test_members_and_steps_are_drawn_as_often_as_their_weights_say() -> None:
    seen = drawn(MIXTURE.weighted(WEIGHTS))
    shares = {value: float((seen == value).float().mean()) for value in seen.unique().tolist()}  # type: ignore[no-untyped-call]
    assert shares == pytest.approx({11.0: 1 / 8, 13.0: 3 / 8, 21.0: 4 / 8}, abs=0.025)
    some = drawn(MIXTURE.weighted(WEIGHTS), (2.0, 3.0))
    assert set(some.tolist()) == {13.0}
    with pytest.raises(dc.DeepcorrectError, match="its weights are 0 at all of these levels"):
        drawn(MIXTURE.weighted(WEIGHTS), (2.0,))


def test_equal_weights_are_no_others_than_none() -> None:
    equal, none = (drawn(mixture) for mixture in (MIXTURE.weighted(((2, 2, 2), (2, 2, 2))), MIXTURE))
    for seen in (equal, none):
        shares = [float((seen == value).float().mean()) for value in (11, 12, 13, 21, 22, 23)]
        assert shares == pytest.approx([1 / 6] * 6, abs=0.025)


def test_a_process_draws_its_part_of_the_batch() -> None:
    mixture, zeros = MIXTURE.weighted(WEIGHTS), torch.zeros(10, 1, 1, 1)
    whole = distort_share(zeros, 0.8, mixture, (1, 2, 3), torch.Generator().manual_seed(1), Part(0, 10, 10))
    mine = [
        distort_share(zeros[start:end], 0.8, mixture, (1, 2, 3), torch.Generator().manual_seed(1), Part(start, end, 10))
        for start, end in ((0, 5), (5, 10))
    ]
    assert torch.equal(torch.cat(mine), whole)


def test_weights_that_do_not_fit_are_refused() -> None:
    for weights in (((1, 1, 1),), ((1, 1), (1, 1)), ((1, 1, 1), (1, 1))):
        with pytest.raises(dc.DeepcorrectError, match="weights: give 2 rows of 3, for members and steps"):
            MIXTURE.weighted(weights)
    for wrong in (((0, 0, 0), (0, 0, 0)), ((1, -1, 0), (1, 0, 0)), ((1, float("nan"), 0), (1, 0, 0))):
        with pytest.raises(dc.DeepcorrectError, match="finite numbers of 0 or more"):
            MIXTURE.weighted(wrong)
    assert MIXTURE.weighted(WEIGHTS) != MIXTURE
    assert MIXTURE.weighted(WEIGHTS).fitted("cifar").weights == WEIGHTS


def test_shares_of_kinds_are_found_even_where_single_images_cannot_be_told_apart() -> None:
    """Normal clouds one standard deviation apart: counting each image as its likeliest kind would be far off."""
    stream = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 4, 0], [0, 0, 4]])

    def cloud(kind: int, count: int) -> Tensor:
        return centres[kind] + torch.randn(count, 3, generator=stream)

    known = [cloud(kind, 500) for kind in range(4)]
    wanted = (0.1, 0.5, 0.4, 0.0)
    seen = torch.cat([cloud(kind, round(3000 * share)) for kind, share in enumerate(wanted)])
    shares = mixing_shares([5 * part + 7 for part in known], 5 * seen + 7)
    assert float(shares.sum()) == pytest.approx(1)
    assert shares.tolist() == pytest.approx(wanted, abs=0.06)
    with pytest.raises(dc.DeepcorrectError, match="two kinds"):
        mixing_shares(known[:1], seen)


MIX = dc.Mixture([dc.GaussianBlur(levels=(0.8, 2)), dc.GaussianNoise(levels=(10, 60))])


def test_what_real_images_look_like_is_told_from_unlabelled_ones() -> None:
    """A quarter clean, half of them under the second blur, a quarter under the first noise: other images than are compared."""
    model = make_toy("batch-norm")
    state = {name: value.clone() for name, value in model.state_dict().items()}
    clean, ruined = random_images(300, seed=1).unlabelled(), random_images(400, seed=2)
    pixels = as_float(ruined.images)
    blur, noise = MIX.members
    real = torch.cat(
        [
            pixels[:100],
            blur.at(pixels[100:300], 2, ruined.indices[100:300], 5),
            noise.at(pixels[300:], 10, ruined.indices[300:], 5).clamp(0, 1),
        ]
    )
    found = dc.resemblance(model, clean, real.clamp(0, 1), MIX)
    assert found.images == 400
    assert found.clean == pytest.approx(0.25, abs=0.1)
    assert found.shares["blur"] == pytest.approx((0, 0.5), abs=0.1)
    assert found.shares["noise"] == pytest.approx((0.25, 0), abs=0.1)
    weights = found.weighted.weights
    assert weights is not None
    for row, shares in zip(weights, found.shares.values(), strict=True):
        assert row == pytest.approx([share / (1 - found.clean) + 1 / 4 for share in shares])
    assert "What 400 real images look like" in str(found)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert dc.resemblance(model, clean, real.clamp(0, 1), MIX) == found


def test_what_cannot_be_compared_is_refused() -> None:
    model, images = make_toy("plain"), random_images(20)
    with pytest.raises(dc.DeepcorrectError, match="distortion='blur': real images decide the shares of a mixture"):
        dc.resemblance(model, images, images, "blur")
    with pytest.raises(dc.DeepcorrectError, match="16x16"):
        dc.resemblance(model, images, random_images(20, size=16), MIX)
    with pytest.raises(dc.DeepcorrectError, match="look like none of blur, noise"):
        _ = Resemblance(MIX, 1.0, {"blur": (0.0, 0.0), "noise": (0.0, 0.0)}, 5).weighted


def test_a_run_folder_tells_one_mixture_from_another_by_its_weights(dataset: Dataset, tmp_path: Path) -> None:
    recipe = dc.get_recipe("fast", "finetune", epochs=1, batch_size=32, precision="fp32")
    weights = ((1, 0), (0, 1)), ((1, 0), (1, 0))
    finetune(
        dc.Job(make_toy("plain"), dataset, run=Run(tmp_path, "finetune", {})), MIX.weighted(weights[0]), (1, 2), ["0"], recipe
    )  # fmt: skip
    job = dc.Job(make_toy("plain"), dataset, run=Run(tmp_path, "finetune", {}))
    with pytest.raises(dc.DeepcorrectError, match="weights"):
        finetune(job, MIX.weighted(weights[1]), (1, 2), ["0"], recipe)


@pytest.mark.usefixtures("no_page")
def test_the_command_line_steers_a_mixture(
    baseline: Path, digits: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = as_float(digits.test.take(torch.arange(60)).held().images)
    noisy = dc.GaussianNoise(levels=(90,)).at(pixels, 90, torch.arange(60), 0).clamp(0, 1)
    real = save((noisy * 255).round().byte(), tmp_path / "real")
    quick = ["--data", "digits", "--epochs", "1", "--batch-size", "64", "--device", "cpu", "--precision", "fp32", "--grey"]
    common = ("finetune", baseline, "--layers", "1", "--real", real, *quick)
    code, out, told = run(capsys, *common, "--distortion", "mix:blur,noise", "--out", tmp_path / "run")
    assert code == 0, told
    assert "What 60 real images look like" in out
    settings = json.loads((tmp_path / "run" / "config.json").read_text())["settings"]
    blur, noise = settings["weights of mix:blur,noise"]
    assert sum(noise[3:]) > 0.7 + 3 / 12
    assert sum(blur) + sum(noise) == pytest.approx(2)
    code, _, told = run(capsys, *common, "--distortion", "noise")
    assert "--distortion noise: real images decide the shares of a mixture" in one_line(told)
