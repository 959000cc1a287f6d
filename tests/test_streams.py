"""Random numbers by image and name."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from deepcorrect.base.processes import Part
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.distortions.streams import Streams

IMAGES = torch.zeros(6, 3, 4, 5)
KEYS: list[tuple[int, ...]] = [(key, 7) for key in (4, 0, 9, 2, 5, 1)]
DRAWS: dict[str, Callable[[Streams, str, tuple[int, ...]], Tensor]] = {
    "normal": lambda streams, name, shape: streams.normal(name, shape),
    "uniform": lambda streams, name, shape: streams.uniform(name, shape, -2, 5),
    "integers": lambda streams, name, shape: streams.integers(name, -3, 4, shape),
    "many integers": lambda streams, name, shape: streams.integers(name, 0, 10**12, shape),
    "poisson": lambda streams, name, shape: streams.poisson(
        name, torch.full((streams.integers("", 0, 2).numel(), *shape), 7.5)
    ),
}
every_draw = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)


def streams_of(keys: list[tuple[int, ...]]) -> Streams:
    return Streams(keys, IMAGES[: len(keys)])


@every_draw
def test_numbers_of_an_image_do_not_depend_on_the_others(draw: Callable[..., Tensor]) -> None:
    together = draw(streams_of(KEYS), "a", (5, 3))
    assert together.shape == (6, 5, 3)
    for row, key in enumerate(KEYS):
        assert torch.equal(draw(streams_of([key]), "a", (5, 3))[0], together[row])
    assert torch.equal(draw(streams_of(KEYS[::-1]), "a", (5, 3)), together.flip(0))
    taken = streams_of(KEYS).take(torch.tensor([3, 1]), IMAGES[:2])
    assert torch.equal(draw(taken, "a", (5, 3)), together[[3, 1]])


@every_draw
def test_the_same_call_gives_the_same_numbers_whatever_was_drawn_before(draw: Callable[..., Tensor]) -> None:
    streams = streams_of(KEYS)
    first = draw(streams, "a", (40,))
    draw(streams, "b", (40,))
    assert torch.equal(draw(streams, "a", (40,)), first)
    state = torch.random.get_rng_state()
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    draw(streams, "c", (40,))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.random.random() == expected


@every_draw
def test_names_keys_and_steps_have_numbers_of_their_own(draw: Callable[..., Tensor]) -> None:
    streams = streams_of([(1,), (2,), (1, 0), (0, 1)])
    numbers = [draw(each, name, (400,)) for each in (streams, streams.within("a"), streams.within("b")) for name in "xy"]
    numbers.append(draw(streams.within("a").within("b"), "x", (400,)))
    rows = torch.cat(numbers).double()
    for one, other in itertools.combinations(rows, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.25


def test_numbers_have_the_distribution_asked_for() -> None:
    streams = Streams([(key,) for key in range(50)], torch.zeros(50, 1))
    uniform = streams.uniform("u", (400,), -2, 5).double()
    assert stats.kstest(streams.normal("n", (400,)).double().flatten(), "norm").pvalue > 1e-3
    assert stats.kstest(uniform.flatten(), stats.uniform(-2, 7).cdf).pvalue > 1e-3
    values, often = np.unique(streams.integers("i", -3, 4, (400,)), return_counts=True)
    assert values.tolist() == [-3, -2, -1, 0, 1, 2, 3]
    assert stats.chisquare(often).pvalue > 1e-3
    rates = torch.tensor([0.0, 0.5, 40.0]).expand(50, 400, 3)
    photons = streams.poisson("p", rates).double()
    assert torch.allclose(photons.mean((0, 1)), rates[0, 0].double(), rtol=0.03)
    assert torch.allclose(photons.var((0, 1)), rates[0, 0].double(), rtol=0.06)


def test_integers_reach_both_ends_and_no_further() -> None:
    streams = Streams([(key,) for key in range(20)], torch.zeros(20, 1))
    for low, high in ((-128, 128), (-129, 128), (0, 129), (127, 128), (5, 6)):
        drawn = streams.integers("i", low, high, (4000,))
        assert drawn.dtype == torch.int64
        assert (int(drawn.min()), int(drawn.max())) == (low, high - 1)


def test_a_number_an_image_has_no_further_axis() -> None:
    streams = streams_of(KEYS)
    for drawn in (streams.normal("a"), streams.uniform("a"), streams.integers("a", 0, 9)):
        assert drawn.shape == (6,)
        assert len(set(drawn.tolist())) > 2


@every_draw
def test_no_images_have_no_numbers(draw: Callable[..., Tensor]) -> None:
    assert draw(streams_of([]), "a", (5, 3)).shape == (0, 5, 3)


def test_numbers_have_the_precision_of_the_images() -> None:
    streams = Streams(KEYS, IMAGES.double())
    assert streams.normal("a").dtype == streams.uniform("a").dtype == streams.poisson("a", torch.ones(6)).dtype == torch.float64


def test_evaluation_depends_on_seed_index_and_severity() -> None:
    first = Streams.of_images(5, [3, 4], 2.0, IMAGES[:2]).normal("a", (100,))
    assert torch.equal(Streams.of_images(5, [4], 2.0, IMAGES[:1]).normal("a", (100,))[0], first[1])
    for seed, index, severity in ((6, 3, 2.0), (5, 30, 2.0), (5, 3, 2.5)):
        other = Streams.of_images(seed, [index], severity, IMAGES[:1]).normal("a", (100,))[0]
        assert abs(np.corrcoef(first[0], other)[0, 1]) < 0.4


def test_the_numbers_of_plain_noise_are_what_they_always_were() -> None:
    bits = int(np.array([20.0]).view(np.uint64)[0])
    stream = np.random.Generator(np.random.Philox(np.random.SeedSequence((5, 3, bits))))
    expected = torch.from_numpy(stream.standard_normal((3, 4, 5), dtype=np.float32))
    noisy = get_distortion("noise").at(IMAGES[:1], 20, torch.tensor([3]), seed=5)
    assert torch.equal(noisy[0], 20 / 255 * expected)


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
@pytest.mark.parametrize("name", ["shot_noise", "glass_blur", "motion_blur", "mix:gaussian_noise,zoom_blur,impulse_noise"])
def test_processes_that_share_a_batch_distort_it_as_one_does(name: str, processes: int) -> None:
    images = torch.rand(11, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    severity = torch.tensor([1.0, 2, 3, 4, 5, 5, 4, 3, 2, 1, 3])

    def distorted(distortion: Distortion, part: Part) -> Tensor:
        own = torch.Generator().manual_seed(8)
        return distortion(part.of(images), part.of(severity), generator=own, part=part)

    whole = distorted(get_distortion(name), Part(0, 11, 11))
    ends = np.linspace(0, 11, processes + 1).astype(int).tolist()
    shares = [distorted(get_distortion(name), Part(start, stop, 11)) for start, stop in itertools.pairwise(ends)]
    assert torch.equal(torch.cat(shares), whole)
