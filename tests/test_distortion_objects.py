"""Distortions as objects: their levels, what they are equal to, how they read."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import deepcorrect as dc
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.blur import gaussian_blur
from deepcorrect.distortions.registry import parse_levels
from deepcorrect.runs.stages import distortion_traits
from tests.command_line import one_line, run

OBJECTS = (dc.GaussianBlur, dc.GaussianNoise)


def fog(images: Tensor, severity: Tensor) -> Tensor:
    return torch.lerp(images, torch.ones(()), severity.view(-1, 1, 1, 1))


@pytest.mark.parametrize("distortion", OBJECTS)
def test_levels_that_are_given_serve_all_data_in_their_order(distortion: type[Distortion]) -> None:
    for levels in ((3, 1, 2), [3, 1, 2], np.array([3, 1, 2]), torch.tensor([3, 1, 2]), iter((3, 1, 2))):
        made = distortion(levels=levels)  # type: ignore[call-arg]
        assert {ladder: made.levels(ladder) for ladder in ("cifar", "imagenet", "digits", "?")} == dict.fromkeys(
            ("cifar", "imagenet", "digits", "?"), (3.0, 1.0, 2.0)
        )
        assert made.levels() == parse_levels(None, made, "imagenet") == (3.0, 1.0, 2.0)
        assert all(type(level) is float for level in made.levels())


def test_without_levels_they_are_the_papers() -> None:
    assert dc.GaussianBlur().levels("cifar") == (0.5, 1, 1.5, 2, 2.5, 3)
    assert dc.GaussianNoise().levels("imagenet") == (10, 20, 40, 60, 80, 100)
    with pytest.raises(
        DeepcorrectError, match="blur has levels only for cifar, imagenet, digits, not for 'x-ray' data; give le"
    ):
        dc.GaussianBlur().levels("x-ray")


@pytest.mark.parametrize(("name", "distortion"), [("blur", dc.GaussianBlur), ("noise", dc.GaussianNoise)])
def test_an_object_does_what_the_distortion_of_that_name_does(name: str, distortion: type[Distortion]) -> None:
    named, made = dc.get_distortion(name), distortion(levels=(1, 2))  # type: ignore[call-arg]
    assert named == distortion()  # type: ignore[call-arg]
    assert named != made
    images, indices = torch.rand(5, 3, 12, 9), torch.tensor([3, 9, 0, 7, 1])
    assert torch.equal(named.at(images, 2, indices, 5), made.at(images, 2, indices, 5))
    drawn = [either(images, torch.arange(5.0), generator=torch.Generator().manual_seed(3)) for either in (named, made)]
    assert torch.equal(*drawn)
    traits = [distortion_traits(either, (1, 2), images[:1], 0) for either in (named, made)]
    assert traits[0] == traits[1]
    assert traits[0]["distortion"] == name


def test_equality_is_of_what_a_distortion_does() -> None:
    blur = dc.GaussianBlur(levels=(1, 2))
    for same in (dc.GaussianBlur([1.0, 2.0]), copy.deepcopy(blur), pickle.loads(pickle.dumps(blur))):
        assert same == blur
        assert hash(same) == hash(blur)
    assert blur != dc.GaussianBlur(levels=(2, 1))
    other: Distortion = dc.GaussianNoise(levels=(1, 2))
    assert blur != other
    assert Distortion("fog", fog, levels=(1,)) == Distortion("fog", fog, {"default": (1,)})
    assert dc.GaussianBlur((1, 2)) == Distortion("blur", gaussian_blur, levels=(1, 2))
    assert Distortion("fog", fog, levels=(1,)) != Distortion("fog", torch.add, levels=(1,))


def test_a_distortion_reads_as_it_is_made() -> None:
    shown = {
        "GaussianBlur(levels=(1, 2.5))": dc.GaussianBlur(levels=(1, 2.5)),
        "GaussianNoise(levels=(20,))": dc.GaussianNoise([20]),
        "GaussianBlur()": dc.GaussianBlur(),
        "Distortion('fog', fog, levels=(0.2, 0.4))": Distortion("fog", fog, levels=(0.2, 0.4)),
        "Distortion('fog', fog, ladders={'cifar': (1,)}, random=True)": Distortion("fog", fog, {"cifar": (1,)}, True),
        "Distortion('fog', fog)": Distortion("fog", fog),
    }
    names = {"Distortion": Distortion, "fog": fog, "GaussianBlur": dc.GaussianBlur, "GaussianNoise": dc.GaussianNoise}
    for text, distortion in shown.items():
        assert repr(distortion) == text
        assert eval(text, names) == distortion
    assert repr(Distortion("x", torch.nn.Flatten())) == "Distortion('x', Flatten)"


@pytest.mark.parametrize(
    ("levels", "reason"),
    [
        ((), "one or more"),
        ((0, 1), "above 0"),
        ((1, -2), "above 0"),
        ((1, float("nan")), "finite"),
        ((float("inf"),), "finite"),
        ((10**400,), "finite"),
        (2, "numbers"),
        ("123", "numbers"),
        (("mild",), "numbers"),
        ((1, None), "numbers"),
        ((1, 2, 1.0), "1 is given twice"),
    ],
)
def test_levels_that_are_none_are_refused(levels: Any, reason: str) -> None:
    for distortion in OBJECTS:
        with pytest.raises(DeepcorrectError, match=f"^the levels of distortion (blur|noise): .*{reason}"):
            distortion(levels=levels)
    for made in ({"levels": levels}, {"ladders": {"cifar": (1,), "digits": levels}}):
        with pytest.raises(DeepcorrectError, match=f"^the levels of distortion fog: .*{reason}"):
            Distortion("fog", fog, **made)


def test_levels_and_ladders_at_once_are_refused() -> None:
    with pytest.raises(DeepcorrectError, match="levels for all data, or ladders by the kind of data, not both"):
        Distortion("fog", fog, {"cifar": (1,)}, levels=(2,))


def test_a_registration_takes_levels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "dim.py"

    def written(levels: Iterable[float]) -> str:
        file.write_text(
            "from deepcorrect import register\n"
            f"@register('test-dimmed', levels={levels})\n"
            "def dim(images, severity):\n"
            "    return images * (1 - severity.view(-1, 1, 1, 1))\n"
        )
        return f"{file}:test-dimmed"

    command = ("assess", "smallcnn", "--data", "digits", "--limit", "5", "--distortion")
    code, _, error = run(capsys, *command, written((0.5, 0.5)))
    assert (code, "the levels of distortion test-dimmed: 0.5 is given twice" in one_line(error)) == (2, True)
    spec = written((0.5, 0.2))
    assert dc.get_distortion(spec).levels("cifar") == (0.5, 0.2)
    code, _, error = run(capsys, *command, spec, "--levels", "1,1")
    assert (code, "--levels 1,1: 1 is given twice" in one_line(error)) == (2, True)
    code, _, error = run(capsys, *command, "test-nothing-such")
    assert (code, "--distortion test-nothing-such: unknown distortion" in one_line(error)) == (2, True)
