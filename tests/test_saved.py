"""What a run saves for its page: it is what the network says and is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from deepcorrect.base.files import read_json
from deepcorrect.datasets.batches import batches
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.evaluation.answers import read_answers
from deepcorrect.models.layers import convolutions
from deepcorrect.pipeline.correct import CorrectionOptions, correct
from deepcorrect.pipeline.ideal import measure_ideal
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.measure import measure
from deepcorrect.pipeline.penultimate import keep_penultimate
from deepcorrect.pipeline.rank import RankingOptions
from deepcorrect.ranking.result import Ranking
from deepcorrect.runs.architecture import Architecture
from deepcorrect.runs.ideal import read_ideal
from deepcorrect.runs.penultimate import read_penultimate
from deepcorrect.runs.results import Run
from deepcorrect.training.recipes import get_recipe

NOISE = get_distortion("noise")
LEVELS = (30.0, 60.0, 90.0)


@pytest.fixture
def job(digits: Dataset, small: nn.Module, tmp_path: Path) -> Job:
    return Job(small, digits, run=Run(tmp_path / "run", "correct", {}))


def test_answers_are_those_of_the_record(job: Job) -> None:
    assert job.run is not None
    for name in ("baseline", "other"):
        record = measure(job, name, NOISE, LEVELS, 0)
        saved = read_answers(job.run.path, "noise", name)
        assert saved is not None
        assert saved.top.shape == (4, len(job.data.test))
        assert saved.right.double().mean(1).tolist() == pytest.approx(record.top1)
    assert read_answers(job.run.path, "blur", "baseline") is None


def test_penultimate_features_are_what_the_last_layer_receives(job: Job) -> None:
    keep_penultimate(job, NOISE, LEVELS, "baseline")
    assert job.run is not None
    saved = read_penultimate(job.run.path)
    assert saved is not None
    assert saved.levels.tolist() == [0, 60, 90]
    assert torch.bincount(saved.labels).tolist() == [20] * 10
    found = saved.features["baseline"]
    last = job.model.get_submodule(job.layers[-1].name)
    seen: list[torch.Tensor] = []
    handle = last.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    everything = next(batches(job.data.test, len(job.data.test), job.device))
    with torch.no_grad():
        job.model(NOISE.at(everything.images, 90.0, everything.indices, job.seed))
    handle.remove()
    values = seen[0].mean((2, 3)) if seen[0].ndim == 4 else seen[0]
    places = [int(place) for label in range(10) for place in (job.data.test.labels == label).nonzero()[:20, 0]]
    torch.testing.assert_close(found[2], values[places].half().float(), atol=2e-3, rtol=2e-3)


def test_the_drawing_of_a_correction_has_its_layers_and_units(job: Job) -> None:
    options = CorrectionOptions(("conv1", "conv2"), (0.5, 0.25), ranking="random", unit="wide")
    recipe = get_recipe("fast", "correct", epochs=1, batch_size=64, precision="fp32")
    correction, records = correct(job, NOISE, LEVELS, options, recipe)
    assert job.run is not None
    assert records[1].name == "deepcorr-2-random"
    assert not job.run.file("ranking.json").exists()
    correction.detach()
    drawn = Architecture.model_validate(read_json(job.run.file("architecture.json"))).layers
    assert [(layer.name, layer.output) for layer in drawn] == [(layer.name, layer.output_shape) for layer in job.layers]
    units = {layer.name: layer.unit for layer in drawn if layer.unit}
    assert {name: unit.filters for name, unit in units.items()} == {
        name: len(filters) for name, filters in correction.plan.filters.items()
    }
    assert units["conv1"].kernels == (5, 5)
    assert units["conv2"].kernels == (3, 3)
    assert not any(layer.retrained for layer in drawn)
    saved = read_penultimate(job.run.path)
    assert saved is not None
    assert set(saved.features) == {"baseline", "deepcorr-2-random"}


def test_random_filters_follow_the_seed(digits: Dataset, small: nn.Module) -> None:
    from deepcorrect.ranking.result import choose_randomly

    filters, shares = {"a": 40, "b": 40}, {"a": 0.5, "b": 0.5}
    first = choose_randomly(filters, shares, seed=0)
    assert first == choose_randomly(filters, shares, seed=0)
    assert first != choose_randomly(filters, shares, seed=1)
    assert first["a"] != first["b"]
    assert all(len(set(chosen)) == 20 and set(chosen) <= set(range(40)) for chosen in first.values())


def test_ideal_curves_begin_at_the_network_as_it_is_and_continue(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    assert job.run is not None
    layers = convolutions(job.layers)[:2]
    scores = {layer.name: tuple(float(place) for place in range(layer.filters)) for layer in layers}
    ranking = Ranking("noise", LEVELS, 10, 0, (0.0,) * 3, scores)
    found = measure_ideal(job, NOISE, LEVELS, ranking, layers, (0.5, 1.0), images=100)
    assert read_ideal(job.run.path) == found
    test = job.data.test.balanced(100, job.seed)
    bare = Job(job.model, replace(job.data, test=test))
    before = measure(bare, "baseline", NOISE, LEVELS, 0)
    for layer in layers:
        assert found.top1[layer.name][0] == pytest.approx(before.top1[1:])
    assert found.top1["conv1"][2] == pytest.approx([before.top1[0]] * 3)  # all of the first layer clean: the network is, too
    monkeypatch.setattr("deepcorrect.ranking.ideal.evaluate_ideal", lambda *_, **__: pytest.fail("measured again"))
    assert measure_ideal(job, NOISE, LEVELS, ranking, layers, (0.5, 1.0), images=100) == found


def test_the_kernels_of_the_first_layer_are_kept(job: Job) -> None:
    from deepcorrect.pipeline.rank import rank

    layers = convolutions(job.layers)[:1]
    rank(job, NOISE, LEVELS, layers, RankingOptions(images=10, method="attribution"), {layers[0].name: 0.5})
    assert job.run is not None
    kept = load_file(job.run.file("kernels.safetensors"))
    assert torch.equal(kept[layers[0].name], layers[0].module.weight)
