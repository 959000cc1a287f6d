"""Networks in half and double precision: measured and ranked as in single precision, up to rounding; not trained for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import deepcorrect as dc
from deepcorrect.base.device import dtype_of, laid_out
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.swapping.graph_swap import GraphBatch, GraphSwap
from deepcorrect.swapping.hook_swap import HookSwap
from deepcorrect.swapping.swaps import Swaps
from tests.conftest import labelled_by, make_toy, random_images

DTYPES = [torch.float16, torch.bfloat16, torch.float64]
BLUR = dc.GaussianBlur(levels=(0.8, 1.6))
TOYS = ["batch-norm", "in-place residual", "twice"]
PLAN = dc.Plan(distortion="blur", filters={"0": (1, 5)})


def own(name: str) -> tuple[Tensor, Tensor]:
    images = labelled_by(make_toy(name), random_images(60))
    return as_float(images.images), images.labels


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_network_is_measured_in_its_own_precision(dtype: torch.dtype, name: str) -> None:
    data, network = own(name), make_toy(name)
    wanted = dc.evaluate(network, data, BLUR)
    network.to(dtype)
    found = dc.evaluate(network, data, BLUR)
    assert {value.dtype for value in network.parameters()} == {dtype}
    clean = network(data[0].to(dtype)).argmax(1)
    assert found.answers is not None
    assert torch.equal(found.answers.top[0], clean)
    loss = 0.0 if dtype == torch.float64 else 0.1
    assert found.top1 == pytest.approx(wanted.top1, abs=loss)
    assert [record.top1 for record in dc.assess(network, data, BLUR)] == [found.top1]


@pytest.mark.parametrize("method", ["exact", "attribution", "joint"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_network_is_ranked_in_its_own_precision(dtype: torch.dtype, method: Any) -> None:
    data, network = own("batch-norm"), make_toy("batch-norm")
    options: dict[str, Any] = {"layers": 2, "method": method, "score": "probability"}
    wanted = dc.rank(network, data, BLUR, **options)
    found = dc.rank(network.to(dtype), data, BLUR, **options)
    assert found.baseline == pytest.approx(wanted.baseline, abs=0.0 if dtype == torch.float64 else 0.1)
    if method == "joint":
        assert found.order.keys() == wanted.order.keys()
        return
    for layer, scores in wanted.scores.items():
        largest = max(map(abs, scores))
        share = {torch.float16: 0.05, torch.bfloat16: 0.3, torch.float64: 1e-4}[dtype]
        assert found.scores[layer] == pytest.approx(scores, abs=share * largest)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_swaps_of_half_precision_are_compared_in_single(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that gives another answer than hooks by a little is found out where that is not within rounding."""
    images = torch.rand(4, 3, 8, 8)
    network = make_toy("batch-norm").to(dtype)
    layer = dc.find_layers(network, images.to(dtype))[0]
    assert isinstance(Swaps(network, images.to(dtype)).of(layer), GraphSwap)
    finish: Callable[..., Tensor] = GraphBatch.finish

    def wrong(batch: GraphBatch, filters: Tensor, indices: Tensor) -> Tensor:
        return finish(batch, filters, indices) * 1.01

    monkeypatch.setattr(GraphBatch, "finish", wrong)
    swaps = Swaps(network, images.to(dtype))
    assert isinstance(swaps.of(layer), HookSwap)
    assert swaps.reasons == {"0": "a swap in the captured graph gives another answer than one by a hook"}


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_correction_is_attached_and_not_trained(dtype: torch.dtype) -> None:
    data, network = own("batch-norm"), make_toy("batch-norm").to(dtype)
    reason = rf"computes in {str(dtype)[6:]}, and training needs float32: call its \.float\(\) first, and convert the network"
    with pytest.raises(dc.DeepcorrectError, match=reason):
        dc.correct(network, data, data, BLUR, filters=PLAN.filters)
    with pytest.raises(dc.DeepcorrectError, match=reason):
        dc.finetune(network, data, data, BLUR, layers=1)
    images = dc.as_images(data)
    job = dc.Job(network, Dataset("own", tuple("01234"), "cifar", images, images, images))
    options = dc.CorrectionOptions(layers=("0",), shares=(0.5,))
    with pytest.raises(dc.DeepcorrectError, match=reason):
        dc.correct(job, BLUR, (0.8,), options, dc.get_recipe("fast", "correct"))
    before = network(data[0].to(dtype))
    correction = dc.attach(network, PLAN, data)
    assert {value.dtype for value in correction.parameters()} == {dtype}
    with torch.no_grad():
        for value in correction.parameters():
            value.add_(1)
    assert not torch.equal(network(data[0].to(dtype)), before)
    with correction.disabled():
        assert torch.equal(network(data[0].to(dtype)), before)


def test_images_are_given_in_the_precision_of_the_first_convolution() -> None:
    mixed = nn.Sequential(nn.Conv2d(3, 4, 1).half(), nn.Flatten(), nn.Linear(4, 2))
    assert dtype_of(mixed) == torch.float16
    assert dtype_of(nn.Sequential(nn.Flatten(), nn.Linear(4, 2).bfloat16())) == torch.bfloat16
    for network in (nn.Identity(), nn.Conv2d(3, 4, 1), nn.Embedding(3, 2).requires_grad_(False).to(torch.float32)):
        assert dtype_of(network) == torch.float32
        images = torch.rand(2, 3, 4, 4)
        assert laid_out(images, network).dtype == torch.float32
    last = nn.Conv2d(3, 4, 3).to(torch.float16, memory_format=torch.channels_last)  # type: ignore[call-overload]
    given = laid_out(torch.rand(2, 3, 4, 4), last)
    assert (given.dtype, given.is_contiguous(memory_format=torch.channels_last)) == (torch.float16, True)
