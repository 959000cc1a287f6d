"""A user's network measured and ranked on data of their own: as a job does, and left as it was."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import deepcorrect as dc
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.models.layers import convolutions
from deepcorrect.pipeline.baselines import assess as assess_job
from deepcorrect.pipeline.rank import rank as rank_job
from deepcorrect.ranking.result import Ranking
from deepcorrect.runs.results import read_results
from tests.conftest import labelled_by, make_toy, random_images

BLUR = dc.GaussianBlur(levels=(0.8, 1.6))
LEVELS = (0.8, 1.6)
NONE: Any = None
OTHER: Any = "other"


@pytest.fixture
def network() -> nn.Module:
    """A network that has been asked nothing yet, in training mode."""
    return make_toy("batch-norm").train()


@pytest.fixture
def own() -> TensorDataset:
    """Images in [0, 1] that the network classifies correctly."""
    images = labelled_by(make_toy("batch-norm"), random_images(80))
    return TensorDataset(as_float(images.images), images.labels)


def state(network: nn.Module) -> list[Any]:
    """All that a look at a network must leave alone, and the global random states."""
    tensors = [value.clone() for value in network.state_dict().values()]
    about = [(value.stride(), value.requires_grad, value.device, value.data_ptr()) for value in network.parameters()]
    modes = [module.training for module in network.modules()]
    streams = [torch.get_rng_state().tolist(), str(np.random.get_state(legacy=False)), random.getstate()]
    return [[value.tolist() for value in tensors], about, modes, streams]


def traced(network: nn.Module, own: TensorDataset) -> nn.Module:
    return torch.jit.trace(network.eval(), own.tensors[0])  # type: ignore[no-any-return, no-untyped-call]


def job_of(network: nn.Module, own: TensorDataset) -> dc.Job:
    images = dc.as_images(own)
    data = Dataset("own", tuple("01234"), "cifar", images.take(torch.arange(0)), images, images)
    return dc.Job(network, data)


def test_a_network_is_measured_as_a_job_measures_it_and_left_as_it_was(network: nn.Module, own: TensorDataset) -> None:
    before = state(network)
    found = dc.evaluate(network, DataLoader(own, 7, shuffle=True), BLUR)
    records = dc.assess(network, own, (BLUR, "noise"))
    several = dc.assess(network, own, ["blur"], levels=LEVELS)
    assert state(network) == before
    wanted = assess_job(
        job_of(make_toy("batch-norm"), own), [(BLUR, LEVELS), (dc.get_distortion("noise"), (5, 10, 15, 20, 25, 30))]
    )
    assert records == wanted
    assert several == wanted[:1]
    assert found.levels == (0.0, *LEVELS)
    assert found.top1 == wanted[0].top1
    assert len(found.per_class[0]) == 5


def test_a_network_is_ranked_as_a_job_ranks_it_and_left_as_it_was(network: nn.Module, own: TensorDataset) -> None:
    before = state(network)
    ranking = dc.rank(network, own, BLUR, images=50, layers=2, seed=3)
    assert state(network) == before
    job = job_of(make_toy("batch-norm"), own)
    job.seed = 3
    layers = convolutions(job.layers)
    shares = {layer.name: 0.5 for layer in layers}
    assert ranking == rank_job(job, BLUR, LEVELS, layers[:2], dc.RankingOptions(images=50), shares)
    names = [layer.name for layer in layers]
    assert list(dc.rank(network, own, BLUR, images=20).scores) == names
    assert list(dc.rank(network, own, BLUR, images=20, layers=[names[2], names[0]]).scores) == [names[2], names[0]]
    estimated = dc.rank(network, own, BLUR, levels=1.6, images=50, layers=names[1], method="attribution", verify=2)
    assert (estimated.method, estimated.levels, list(estimated.scores)) == ("attribution", (1.6,), names[1:2])


def test_the_sizes_of_images_choose_the_levels(network: nn.Module) -> None:
    small, large = ((torch.rand(2, 3, side, side), [0, 1]) for side in (64, 65))
    assert dc.evaluate(network, small, "blur").levels == (0, 0.5, 1, 1.5, 2, 2.5, 3)
    assert dc.evaluate(network, large, "blur").levels == (0, 1, 2, 3, 4, 5, 6)
    assert dc.evaluate(network, small, "blur", ()).levels == (0,)
    assert dc.evaluate(network, small, "blur", 2).levels == (0, 2)


def test_a_run_folder_keeps_what_is_measured(network: nn.Module, own: TensorDataset, tmp_path: Path) -> None:
    records = dc.assess(network, own, BLUR, out=tmp_path / "assess")
    assert read_results(tmp_path / "assess").records == records
    assert dc.assess(network, DataLoader(own), BLUR, out=tmp_path / "assess") == records
    ranking = dc.rank(network, own, BLUR, images=30, layers=1, out=str(tmp_path / "rank"))
    assert Ranking.load(tmp_path / "rank" / "ranking.json") == ranking
    assert dc.rank(network, own, BLUR, images=30, layers=1, out=tmp_path / "rank") == ranking
    others = TensorDataset(own.tensors[0].flip(3), own.tensors[1])
    for data, options in ((others, {"images": 30}), (own, {"images": 31})):
        with pytest.raises(dc.DeepcorrectError, match="holds a run with"):
            dc.rank(network, data, BLUR, layers=1, out=tmp_path / "rank", **options)  # type: ignore[arg-type]


def test_an_interrupted_ranking_is_continued(network: nn.Module, own: TensorDataset, tmp_path: Path) -> None:
    from deepcorrect.ranking.gains import GainMeter

    measure = GainMeter.measure
    measured: list[str] = []

    def interrupted(meter: GainMeter, layer: Any, level: float, **options: Any) -> Any:
        if len(measured) == 3:
            measured.append("again")
            raise KeyboardInterrupt
        measured.append(layer.name)
        return measure(meter, layer, level, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GainMeter, "measure", interrupted)
        with pytest.raises(KeyboardInterrupt):
            dc.rank(network, own, BLUR, images=30, layers=2, out=tmp_path)
        ranking = dc.rank(network, own, BLUR, images=30, layers=2, out=tmp_path)
    assert len(measured) == 3 + 1 + 1  # two levels of the first layer and one of the second are there
    assert ranking == dc.rank(network, own, BLUR, images=30, layers=2)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda net, own: dc.rank(net, own.tensors[0], BLUR), "the images have no labels, which ranking needs"),
        (lambda net, own: dc.evaluate(net, own.tensors[0], BLUR), "the images have no labels, which measuring accuracy needs"),
        (lambda net, own: dc.assess(net, own.tensors[0], BLUR), "the images have no labels, which measuring accuracy needs"),
        (lambda net, own: dc.rank(net, own, "sleet"), r"distortion='sleet': unknown distortion 'sleet'; known: .*blur"),
        (lambda net, own: dc.rank(net, own, BLUR, levels=(0, 1)), r"levels=\(0, 1\): give one or more finite numbers above 0"),
        (lambda net, own: dc.rank(net, own, BLUR, layers=4), "layers=4: the network has 3 such layers; give 1 to 3, or names"),
        (lambda net, own: dc.rank(net, own, BLUR, layers=["stem"]), "unknown layer 'stem'; the network has 0, 3, 6"),
        (lambda net, own: dc.rank(net, own, BLUR, layers=[]), r"layers=\[\]: name one layer at least"),
        (lambda net, own: dc.rank(net, own, NONE), "a distortion of type NoneType: give a distortion such as GaussianBlur"),
        (lambda net, own: dc.rank(net, own, BLUR, method=OTHER), "method='other': unknown; use exact, attribution, joint"),
        (lambda net, own: dc.rank(net, own, BLUR, precision=OTHER), "precision='other': unknown; use fp32 or bf16"),
        (lambda net, own: dc.evaluate(net, own, BLUR, seed=-1), "seed=-1: give an integer from 0 to 4294967295"),
        (lambda net, own: dc.assess(net, own, ()), "no distortion to assess under"),
        (lambda net, own: dc.rank(net, own, BLUR, images=0), "images=0: at least one image is needed"),
        (
            lambda net, own: dc.rank(net, (own.tensors[0], own.tensors[1] + 3), BLUR),
            r"arrays: label \d lies outside its 5 classes",
        ),
        (
            lambda net, own: dc.evaluate(net, (own.tensors[0], own.tensors[1] + 3), BLUR),
            r"arrays: label \d lies outside its 5 classes",
        ),
        (lambda net, own: dc.evaluate(net, own.tensors[0][:, :1], BLUR), "no labels"),
        (
            lambda net, own: dc.evaluate(net, (own.tensors[0][:, :1], own.tensors[1]), BLUR),
            "the network does not take the 1x8x8",
        ),
        (lambda net, own: dc.rank(traced(net, own), own, BLUR), "is a TorchScript module"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_what_cannot_be_measured_is_refused_and_the_network_left_as_it_was(
    call: Any, reason: str, network: nn.Module, own: TensorDataset
) -> None:
    before = state(network.eval())
    with pytest.raises(dc.DeepcorrectError, match=reason) as raised:
        call(network, own)
    assert "\n" not in str(raised.value)
    assert state(network) == before


def test_fewer_named_classes_than_outputs_are_refused(network: nn.Module, own: TensorDataset) -> None:
    class Folder(list[Any]):
        classes: tuple[str, ...] = ("cat", "dog")
        targets = (0, 1) * 10

    data = Folder([(own.tensors[0][index], index % 2) for index in range(20)])
    with pytest.raises(
        dc.DeepcorrectError, match=r"^Folder names 2 classes, the network has 5 outputs, and nothing says which"
    ):
        dc.assess(network, data, BLUR)
    Folder.classes = ("cat", "dog", "cow", "hen", "emu", "fox")
    assert dc.assess(network, data, BLUR)[0].images == 20


def test_what_the_old_forms_gave_they_still_give(network: nn.Module, own: TensorDataset) -> None:
    images = dc.as_images(own)
    job = job_of(make_toy("batch-norm"), own)
    done: list[int] = []
    found = dc.evaluate(network, images, dc.get_distortion("blur"), LEVELS, classes=7, progress=done.append, batch_size=30)
    assert (len(found.per_class[0]), sum(done)) == (7, 3 * 80)
    assert dc.assess(job, [(BLUR, LEVELS)]) == dc.assess(job=job, ladders=[(BLUR, LEVELS)])
    layers = dc.find_layers(network, own.tensors[0][:2])[:1]
    (ranked,) = dc.rank_filters(network, images, BLUR, (1.6,), layers=layers).scores.values()
    assert [ranked] == list(dc.rank(network, own, BLUR, levels=1.6, layers=1).scores.values())
