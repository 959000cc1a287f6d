"""Distortions one after the other, and one at random an image; how they are named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import deepcorrect as dc
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.distortions.base import Distortion, Ladder
from deepcorrect.distortions.combined import Composition, Mixture
from deepcorrect.distortions.registry import GROUPS, get_distortion, get_distortions, parse_ladder, parse_levels
from deepcorrect.distortions.streams import Streams

IMAGES = torch.rand(8, 3, 6, 5, generator=torch.Generator().manual_seed(0))


def darkened(images: Tensor, severity: Tensor) -> Tensor:
    return images * severity.view(-1, 1, 1, 1)


def raised(images: Tensor, severity: Tensor) -> Tensor:
    return images + severity.view(-1, 1, 1, 1)


def shaken(images: Tensor, severity: Tensor, streams: Streams) -> Tensor:
    return images + severity.view(-1, 1, 1, 1) * streams.normal("shake", tuple(images.shape[1:]))


DARK = Distortion("dark", darkened, levels=(0.5, 0.25, 0.125))
RAISED = Distortion("raised", raised, levels=(10, 20, 30, 40, 50))
SHAKEN = Distortion("shaken", shaken, levels=(1, 2, 3), random="streams")
KINDS = Distortion("kinds", raised, {"cifar": (1, 2), "imagenet": (100, 200, 300)})


def test_a_composition_distorts_in_order_by_the_levels_of_its_members() -> None:
    composition = Composition([DARK, RAISED])
    assert composition.name == "dark+raised"
    assert composition.levels() == (1, 2, 3)
    assert composition.severities(RAISED) == (10, 30, 50)
    for step, (factor, added) in enumerate([(0.5, 10), (0.25, 30), (0.125, 50)], start=1):
        assert torch.allclose(composition.at(IMAGES, step, torch.arange(8), 0), IMAGES * factor + added)
    other_order = Composition([RAISED, DARK]).at(IMAGES, 1, torch.arange(8), 0)
    assert torch.allclose(other_order, (IMAGES + 10) * 0.5)
    assert composition.parts((1, 3)) == [Ladder(composition, (1, 3))]


def test_a_mixture_draws_one_member_for_each_image() -> None:
    mixture = Mixture([DARK, RAISED, SHAKEN])
    images = torch.ones(3000, 1, 1, 2)
    step = torch.arange(3000) % 3 + 1.0
    mixed = mixture(images, step, generator=torch.Generator().manual_seed(1))[:, 0, 0]
    for each, (dark, high) in enumerate([(0.5, 11), (0.25, 31), (0.125, 51)]):
        own = mixed[each::3]
        shares = [(own == value).all(1).float().mean().item() for value in (dark, high)]
        assert shares == pytest.approx([1 / 3, 1 / 3], abs=0.06)
        rest = own[(own != dark).all(1) & (own != high).all(1)] - 1
        assert rest.std().item() == pytest.approx(each + 1, rel=0.15)


def test_a_member_is_drawn_and_distorts_by_seed_index_and_severity_alone() -> None:
    mixture, indices = Mixture([DARK, RAISED, SHAKEN]), torch.tensor([5, 2, 90, 14, 3, 8, 1, 0])
    whole = mixture.at(IMAGES, 2, indices, 4)
    order = torch.tensor([6, 0, 3, 1, 2, 7, 5, 4])
    assert torch.equal(mixture.at(IMAGES[order], 2, indices[order], 4), whole[order])
    assert torch.equal(torch.cat([mixture.at(IMAGES[i : i + 1], 2, indices[i : i + 1], 4) for i in range(8)]), whole)
    assert not torch.equal(mixture.at(IMAGES, 2, indices, 5), whole)
    assert not torch.equal(mixture.at(IMAGES, 3, indices, 4), whole)


def test_steps_that_draw_by_the_same_name_draw_numbers_of_their_own() -> None:
    again = Distortion("again", shaken, levels=(1, 2, 3), random="streams")
    twice = Composition([SHAKEN, again]).at(torch.zeros(50, 3, 20, 20), 1, torch.arange(50), 0)
    assert twice.std().item() == pytest.approx(2**0.5, rel=0.02)


def test_a_mixture_is_measured_under_each_member_at_its_own_severities() -> None:
    mixture = Mixture([DARK, RAISED])
    assert mixture.parts((1, 2, 3)) == [Ladder(DARK, (0.5, 0.25, 0.125)), Ladder(RAISED, (10, 30, 50))]
    assert mixture.parts((3,)) == [Ladder(DARK, (0.125,)), Ladder(RAISED, (50,))]


def test_levels_follow_the_data_of_all_members() -> None:
    mixture = Mixture([KINDS, RAISED])
    assert mixture.levels("cifar") == (1, 2)
    assert mixture.levels("imagenet") == (1, 2, 3)
    fitted, levels = parse_ladder(mixture, None, "imagenet")
    assert list(levels) == [1, 2, 3]
    assert fitted.parts((2,)) == [Ladder(KINDS, (200,)), Ladder(RAISED, (30,))]
    for unfitted in (lambda: mixture.at(IMAGES, 1, torch.arange(8), 0), lambda: mixture.parts((1,))):
        with pytest.raises(DeepcorrectError, match=r"^distortion kinds has levels only for cifar, imagenet, not for 'default'"):
            unfitted()


def test_combinations_nest() -> None:
    nested = Composition([Mixture([DARK, RAISED], "either"), SHAKEN])
    assert nested.name == "either+shaken"
    distorted = nested.at(torch.ones(400, 1, 1, 1), 1, torch.arange(400), 0).flatten()
    assert (distorted > 6).float().mean().item() == pytest.approx(0.5, abs=0.1)
    mixed = Mixture([Composition([DARK, RAISED]), SHAKEN]).at(torch.ones(400, 1, 1, 1), 1, torch.arange(400), 0)
    assert (mixed == 10.5).float().mean().item() == pytest.approx(0.5, abs=0.1)


def test_names_combine() -> None:
    for spec, kind, members in (
        ("jpeg+blur", Composition, ["jpeg_compression", "blur"]),
        ("mix:blur,noise", Mixture, ["blur", "noise"]),
        ("mix:noises", Mixture, list(GROUPS["noises"])),
        ("mix:noises,blur+gaussian_noise", Mixture, [*GROUPS["noises"], "blur+gaussian_noise"]),
    ):
        distortion = get_distortion(spec)
        assert isinstance(distortion, kind)
        assert [member.name for member in distortion.members] == members
        assert distortion == get_distortion(spec)
    assert [each.name for each in get_distortions("blur,noises,mix:blur,noise")] == [
        "blur",
        *GROUPS["noises"],
        "mix:blur,noise",
    ]
    assert get_distortion("mix:blur,noise").name == "mix:blur,noise"
    assert get_distortion("blur+noise") != get_distortion("noise+blur")


def test_the_distortions_of_a_file_combine_whatever_it_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "a+b"
    folder.mkdir()
    for file in (tmp_path / "own.py", folder / "c+d.py"):
        file.write_text(
            "from deepcorrect.distortions.registry import register\n"
            "@register('test-dimmer', levels=(1, 2))\n"
            "def dim(images, severity):\n"
            "    return images / 2\n"
        )
        for spec, name in (
            (f"{file}:test-dimmer", "test-dimmer"),
            (f"{file}:test-dimmer+blur", "test-dimmer+blur"),
            (f"noise+{file}:test-dimmer+blur", "noise+test-dimmer+blur"),
        ):
            assert get_distortion(spec).name == name
        mixture = get_distortion(f"mix:{file}:test-dimmer,blur")
        assert isinstance(mixture, Mixture)
        assert [each.name for each in mixture.members] == ["test-dimmer", "blur"]
        with pytest.raises(DeepcorrectError, match=rf"{file.name} registers no distortion 'other'".replace("+", r"\+")):
            get_distortion(f"blur+{file}:other")
    with pytest.raises(DeepcorrectError, match=r"/x\+y.py: no such Python file"):
        get_distortion(f"{folder}/x+y.py:dim")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("", "the name of a distortion is missing"),
        (",", "the name of a distortion is missing"),
        ("blur,", "the name of a distortion is missing"),
        ("mix:", "the name of a distortion is missing"),
        ("mix:blur,", "the name of a distortion is missing"),
        ("mix:,blur,noise", "the name of a distortion is missing"),
        ("blur+", "the name of a distortion is missing"),
        ("+blur", "the name of a distortion is missing"),
        ("blur++noise", "the name of a distortion is missing"),
        ("mix:blur,fogg", "unknown distortion 'fogg'; did you mean fog; known: .*blur"),
        ("blur+fogg", "unknown distortion 'fogg'; did you mean fog; known: .*blur"),
        ("blur+noises", "noises stands for gaussian_noise, shot_noise, impulse_noise; name one of them"),
        ("mix:blur,noise,blur", "blur is named twice"),
        ("mix:noises,shot_noise", "shot_noise is named twice"),
        ("blur,noise,blur", "blur is named twice"),
    ],
)
def test_names_that_make_no_distortion_are_refused(spec: str, reason: str) -> None:
    escaped = spec.replace("+", r"\+")
    for either in (get_distortion, get_distortions):
        with pytest.raises(DeepcorrectError, match=f"^distortion='{escaped}': {reason}"):
            either(spec)


def test_several_are_no_single_one() -> None:
    with pytest.raises(DeepcorrectError, match=r"^distortion='noises': that is several \(.*\); give one, or mix:noises$"):
        get_distortion("noises")


@pytest.mark.parametrize("members", [[], [DARK], [DARK, DARK], [DARK, RAISED, Distortion("dark", raised, levels=(1,))]])
def test_a_combination_is_of_two_or_more_each_once(members: list[Distortion]) -> None:
    for kind in (dc.Mixture, dc.Composition):
        with pytest.raises(DeepcorrectError, match=r"made of two or more distortions, each once, not of (none|dark)"):
            kind(members)


@pytest.mark.parametrize("wrong", [0.5, 2.5, 4, 6, -1, 1e9])
@pytest.mark.parametrize("kind", [Mixture, Composition])
def test_a_severity_that_is_no_step_is_refused(kind: type[Mixture] | type[Composition], wrong: float) -> None:
    distortion = kind([DARK, RAISED], "both")
    severity = torch.tensor([1.0, 2, 3, 1, 2, wrong, 1, 1])
    message = r"both has the severities 1, 2, 3 alone$"
    for measured in (
        lambda: distortion.at(IMAGES, wrong, torch.arange(8), 0),
        lambda: distortion(IMAGES, severity, generator=torch.Generator()),
        lambda: distortion.require_levels((1, wrong)),
    ):
        with pytest.raises(DeepcorrectError, match=message):
            measured()
    if wrong > 0:
        with pytest.raises(DeepcorrectError, match=message):
            parse_levels(f"1,{wrong}", distortion, "cifar")


def test_a_severity_of_zero_is_the_clean_image_in_an_evaluation_and_refused_in_training() -> None:
    mixture = Mixture([DARK, RAISED])
    assert torch.equal(mixture.at(IMAGES, 0, torch.arange(8), 0), IMAGES)
    with pytest.raises(DeepcorrectError, match=r"^levels='0': "):
        mixture(IMAGES, torch.zeros(8), generator=torch.Generator())
