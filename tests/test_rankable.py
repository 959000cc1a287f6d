"""Which networks cannot be ranked, and what a ranking leaves behind."""

from __future__ import annotations

import io
import logging
import sys
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.batches import as_float
from deepcorrect.models.layers import convolutions, find_layers
from deepcorrect.ranking.attribution import estimate_gains
from deepcorrect.ranking.exact import rank_filters
from deepcorrect.ranking.gains import GainMeter
from deepcorrect.swapping import fusion, normal_form
from deepcorrect.swapping import graph as graphs
from deepcorrect.swapping.graph import capture
from deepcorrect.swapping.graph_swap import GraphSwap
from deepcorrect.swapping.hook_swap import HookSwap
from deepcorrect.tasks.classification import CLASSIFICATION
from tests.conftest import make_toy, random_images
from tests.strange import LEVEL, NOISE, Forward, Net, conv, frames, prepared, swapped

scores_of = CLASSIFICATION.score

REFUSED: dict[str, tuple[Forward, str]] = {
    "batch statistics": (lambda net, x: net.run("a", x) - net.run("a", x).mean(0), "depends on the other images"),
    "attention over the batch": (
        lambda net, x: (lambda y: (y @ y.T).softmax(1) @ y)(net.run("a", x).mean((2, 3))), "depends on the other images",
    ),
    "other neighbours": (lambda net, x: net.run("a", x) + net.run("a", x).roll(1, 0), "depends on the other images"),
    "random": (lambda net, x: F.dropout(net.run("a", x)), "differently each time"),
    "turned around": (lambda net, x: net.run("a", x.flip(0)).flip(0), "layer parts.a has rows that stand in another order"),
    "in two halves": (
        lambda net, x: torch.cat([net.run("a", x[: len(x) // 2]), net.run("a", x[len(x) // 2 :])]),
        "layer parts.a has outputs of 1 rows for 3 images",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_network_that_mixes_images_is_refused(name: str) -> None:
    torch.manual_seed(0)
    forward, reason = REFUSED[name]
    net = Net(forward, a=conv()).eval()
    images = random_images(8)
    layers = convolutions(find_layers(net, as_float(images.images[:2])))
    with pytest.raises(DeepcorrectError, match=reason) as error:
        rank_filters(net, images, NOISE, (LEVEL,), layers=layers)
    assert "\n" not in str(error.value)


@torch.no_grad()
def test_layers_before_frames_are_ranked_and_those_of_frames_refused() -> None:
    torch.manual_seed(0)
    net = Net(frames, a=conv(), b=conv(6))
    images, clean, distorted = prepared(net)
    before, behind = convolutions(find_layers(net, clean[:2]))
    meter = GainMeter(net, images, NOISE)
    found = meter.measure(before, LEVEL).each
    gain = scores_of(swapped(net, before.module, [2], clean, distorted), images.labels) - scores_of(
        net(distorted), images.labels
    )
    torch.testing.assert_close(found[1:, 2], gain[1:], atol=1e-5, rtol=1e-4)
    with pytest.raises(DeepcorrectError, match=r"layer parts.b has outputs of 6 rows for 3 images.*leave it out of layers"):
        meter.measure(behind, LEVEL)
    with pytest.raises(
        DeepcorrectError, match=r"layer parts.b: its output, \(8, 6, 8, 6\), does not have one row for each of 4 images"
    ):
        HookSwap(net, behind, clean.shape[1:]).prepare(clean[:4], distorted[:4])


class Scripted(nn.Sequential):
    """Hooks cannot be put on what is inside of its script."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            script = torch.jit.script(nn.Sequential(nn.Conv2d(6, 6, 3), nn.ReLU()).eval())
        super().__init__(nn.Conv2d(3, 6, 3), nn.ReLU(), script, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))


class Undecided(nn.Module):
    """Cannot be captured: it does otherwise where one fixed value asks for that."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.conv(images).mean((2, 3)))
        return logits if images.amax().item() < 99 else -logits


@pytest.mark.parametrize("build", [Scripted, Undecided])
@torch.no_grad()
def test_what_is_not_captured_is_swapped_by_hooks_for_a_reason(build: type[nn.Module]) -> None:
    torch.manual_seed(0)
    net = build()
    images, clean, distorted = prepared(net)
    layer = convolutions(find_layers(net, clean[:2]))[0]
    meter = GainMeter(net, images, NOISE)
    found = meter.measure(layer, LEVEL).each
    assert isinstance(meter.swap(layer), HookSwap)
    assert meter.swaps.reasons[layer.name]
    assert "\n" not in meter.swaps.reasons[layer.name]
    gain = scores_of(swapped(net, layer.module, [1], clean, distorted), images.labels)
    torch.testing.assert_close(found[1:, 1], (gain - scores_of(net(distorted), images.labels))[1:], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), KeyboardInterrupt()])
def test_too_little_memory_is_no_reason_to_rank_slowly(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(graphs, "export", fail)
    with pytest.raises(type(error)):
        capture(make_toy("plain"), torch.rand(3, 3, 8, 8))


def test_other_failures_are_told_and_a_network_is_left_as_it_was(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[object] = []

    def fail(*_: object, **__: object) -> None:
        print("said by the network")
        logging.getLogger("mine").error("still heard")
        seen.extend([logging.root.manager.disable, sys.stdout])
        raise ValueError("the first line\nthe second")

    monkeypatch.setattr(graphs, "export", fail)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    model = make_toy("batch-norm").train()
    model[1].eval()  # type: ignore[index]
    modes = [module.training for module in model.modules()]
    buffers = [value.clone() for value in model.buffers()]
    state = torch.random.get_rng_state()
    reasons: list[str] = []
    assert capture(model, torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)), tell=reasons.append) is None
    assert reasons == ["the first line"]
    assert seen == [0, sys.stdout]
    assert "still heard" in caplog.text
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(*pair) for pair in zip(buffers, model.buffers(), strict=True))
    assert torch.equal(state, torch.random.get_rng_state())


class Keeping(nn.Module):
    """Keeps what it saw last, and how often it ran."""

    runs: Tensor
    last: Tensor | None = None

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)
        self.register_buffer("runs", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        self.runs += 1
        self.last = self.conv(images)
        logits: Tensor = self.linear(self.last.mean((2, 3)))
        return logits


def test_a_ranking_leaves_modes_buffers_and_attributes_as_they_were() -> None:
    net = Keeping()
    net.conv.eval()
    images = random_images(6)
    layers = convolutions(find_layers(net.eval(), as_float(images.images[:2])))
    net.train()
    net.conv.eval()
    runs, last = net.runs.clone(), net.last
    rank_filters(net, images, NOISE, (LEVEL,), layers=layers)
    assert (net.training, net.conv.training, net.linear.training) == (True, False, True)
    assert torch.equal(net.runs, runs)
    assert net.last is last


def test_labels_outside_the_outputs_are_refused() -> None:
    net = make_toy("plain")
    images = random_images(6, classes=9)
    layers = convolutions(find_layers(net, as_float(images.images[:2])))[:1]
    with pytest.raises(DeepcorrectError, match=r"images are labelled \d to \d, the network has 5 outputs"):
        rank_filters(net, images, NOISE, (LEVEL,), layers=layers)


def test_a_network_in_double_precision_is_scored_in_single() -> None:
    images = random_images(6)
    net = make_toy("plain")
    layers = convolutions(find_layers(net, as_float(images.images[:2])))[:1]
    wanted = GainMeter(net, images, NOISE).measure(layers[0], LEVEL).each
    found = GainMeter(net.double(), images, NOISE).measure(layers[0], LEVEL).each
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)

    class Casting(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = super().forward(images.double())  # type: ignore[no-untyped-call]
            return logits

    cast = Casting(*net.children())
    found = GainMeter(cast, images, NOISE).measure(layers[0], LEVEL).each
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


class Masked(nn.Module):
    """One of its classes is never to be answered."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.network = make_toy("plain")
        self.register_buffer("mask", torch.tensor([0.0, 0, 0, -torch.inf, 0]))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images) + self.mask
        return logits


def test_infinite_logits_are_taken_as_they_are_and_nan_is_refused() -> None:
    images = random_images(6)
    plain = Masked()
    layers = convolutions(find_layers(plain, as_float(images.images[:2])))[:1]
    meter = GainMeter(plain, images, NOISE)
    assert not meter.measure(layers[0], LEVEL).each.isnan().any()
    assert isinstance(meter.swap(layers[0]), GraphSwap)
    plain.mask.fill_(torch.nan)
    with pytest.raises(DeepcorrectError, match="answers to distorted images are NaN"):
        rank_filters(plain, images, NOISE, (LEVEL,), layers=layers)


def test_an_estimate_without_gradients_is_refused() -> None:
    net = Net(lambda net, x: net.run("a", x).argmax(1, keepdim=True).float().expand(-1, 6, -1, -1), a=conv()).eval()
    images = random_images(6)
    layers = convolutions(find_layers(net, as_float(images.images[:2])))
    with pytest.raises(DeepcorrectError, match=r"layer parts\.a: the answers have no gradient by it; use method='exact'"):
        estimate_gains(GainMeter(net, images, NOISE), (LEVEL,), layers=layers, score="margin")


@pytest.mark.parametrize("lacking", ["batch normalisation", "convolutions"])
def test_without_an_operation_private_to_torch_the_gains_are_the_same(lacking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, images = make_toy("batch-norm"), random_images(20)
    layer = find_layers(network, as_float(images.images[:2]))[0]
    wanted = GainMeter(network, images, NOISE).measure(layer, 60.0)
    if lacking == "convolutions":
        monkeypatch.setattr(fusion, "_PRIVATE", ("no_such_operation",))
    else:
        monkeypatch.setattr(normal_form, "_BATCH_NORM", None)
    meter = GainMeter(network, images, NOISE)
    found = meter.measure(layer, 60.0)
    assert isinstance(meter.swap(layer), GraphSwap)
    assert torch.allclose(found.each, wanted.each, atol=1e-5)
