"""Gains and choices in files: each is of one network, one set of images and one distortion, and says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram, export
from torch.fx import Node

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json, write_json, write_tensors
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.models.layers import Layer, convolutions, find_layers
from deepcorrect.pipeline.ideal import measure_ideal
from deepcorrect.pipeline.job import Job
from deepcorrect.ranking.attribution import attribute_filters
from deepcorrect.ranking.exact import rank_filters
from deepcorrect.ranking.gain_files import GainFiles
from deepcorrect.ranking.gains import GainMeter
from deepcorrect.ranking.joint import rank_jointly
from deepcorrect.ranking.result import Ranking
from deepcorrect.runs.results import Run
from deepcorrect.swapping import graph as graphs
from tests.conftest import make_toy, random_images

NOISE = get_distortion("noise")
LEVEL = 60.0


@pytest.fixture(scope="module")
def meter() -> GainMeter:
    return GainMeter(make_toy("plain"), random_images(6), NOISE)


@pytest.fixture(scope="module")
def layer(meter: GainMeter) -> Layer:
    return convolutions(find_layers(meter.model, as_float(meter.images.held().images[:2])))[0]


def test_gains_of_some_filters_are_those_of_these_filters(meter: GainMeter, layer: Layer, tmp_path: Path) -> None:
    whole = meter.measure(layer, LEVEL).each
    GainFiles(meter, tmp_path).measure(layer, LEVEL, filters=[0, 1])
    for parts in (GainFiles(meter, tmp_path), GainFiles(meter, tmp_path)):
        found = parts.measure(layer, LEVEL, filters=[5, 4]).each
        assert torch.equal(found[:, [4, 5]], whole[:, [4, 5]])
        assert not found[:, [0, 1]].any()
    assert len(list(tmp_path.iterdir())) == 2


def other_network(meter: GainMeter) -> GainMeter:
    return replace(meter, model=make_toy("plain", seed=1))


def other_activation(meter: GainMeter) -> GainMeter:
    parts = [nn.Tanh() if isinstance(part, nn.ReLU) else part for part in meter.model.children()]
    return replace(meter, model=nn.Sequential(*parts))


def other_labels(meter: GainMeter) -> GainMeter:
    held = meter.images.held()
    return replace(meter, images=ImageSet(held.images, (held.labels + 1) % 5, held.indices))


OTHERS: dict[str, Callable[[GainMeter], GainMeter]] = {
    "network": other_network,
    "network ": other_activation,
    "images": lambda meter: replace(meter, images=random_images(6, seed=1)),
    "images ": other_labels,
    "distortion": lambda meter: replace(meter, distortion=Distortion("black", lambda images, level: images * 0, {})),
    "seed": lambda meter: replace(meter, seed=1),
    "precision": lambda meter: replace(meter, precision="bf16"),
}


@pytest.mark.parametrize("differing", OTHERS)
def test_gains_and_choices_of_something_else_are_refused(
    differing: str, meter: GainMeter, layer: Layer, tmp_path: Path
) -> None:
    file = tmp_path / f"0-{LEVEL}.safetensors"
    GainFiles(meter, tmp_path).measure(layer, LEVEL)
    kept = tmp_path / "chosen.json"
    write_json(kept, {"of": meter.provenance(), "chosen": {}})
    other = OTHERS[differing](meter)
    reason = rf"holds work .*{differing.strip()}.*; choose another folder or delete it"
    with pytest.raises(DeepcorrectError, match=rf"{file}: {reason}") as error:
        GainFiles(other, tmp_path)
    assert "\n" not in str(error.value)
    with pytest.raises(DeepcorrectError, match=rf"{kept}: {reason}"):
        rank_jointly(other, (LEVEL,), layers=[layer], counts={layer.name: 2}, kept=kept)


def test_what_does_not_say_what_it_is_of_or_is_cut_short_is_refused(meter: GainMeter, layer: Layer, tmp_path: Path) -> None:
    file = tmp_path / f"0-{LEVEL}.safetensors"
    gains = meter.measure(layer, LEVEL)
    write_tensors(file, vars(gains))
    with pytest.raises(DeepcorrectError, match="does not say what it is of"):
        GainFiles(meter, tmp_path)
    file.unlink()
    GainFiles(meter, tmp_path).measure(layer, LEVEL)
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(DeepcorrectError, match=r"cannot be read .*; delete it to have it made again"):
        GainFiles(meter, tmp_path)
    with pytest.raises(DeepcorrectError, match="gains cannot be kept there"):
        GainFiles(meter, file)
    kept = tmp_path / "chosen.json"
    write_json(kept, {"0": [1, 2]})
    with pytest.raises(DeepcorrectError, match="does not say what it is of"):
        rank_jointly(meter, (LEVEL,), layers=[layer], counts={"0": 2}, kept=kept)


def test_a_choice_continues_with_the_same_settings_only(meter: GainMeter, layer: Layer, tmp_path: Path) -> None:
    kept = tmp_path / "chosen.json"
    options: dict[str, Any] = {"layers": [layer], "counts": {"0": 2}, "block": 1, "kept": kept}
    first = rank_jointly(meter, (LEVEL,), **options)
    assert rank_jointly(meter, (LEVEL,), **options) == first
    for change in ({"counts": {"0": 3}}, {"block": 2}, {"score": "margin"}):
        with pytest.raises(DeepcorrectError, match=f"holds work with {next(iter(change))}"):
            rank_jointly(meter, (LEVEL,), **{**options, **change})
    with pytest.raises(DeepcorrectError, match="holds work with levels"):
        rank_jointly(meter, (LEVEL, 90.0), **options)
    write_json(kept, read_json(kept) | {"chosen": {"0": [99]}})
    with pytest.raises(DeepcorrectError, match="does not hold chosen filters"):
        rank_jointly(meter, (LEVEL,), **options)


def test_layers_of_any_name_have_files(meter: GainMeter, layer: Layer, tmp_path: Path) -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = make_toy("plain")
            self.network._modules = {
                name if name != "0" else "a/b: *?": part for name, part in self.network._modules.items()
            }  # fmt: skip

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.network(images)
            return logits

    model = Named().eval()
    layers = convolutions(find_layers(model, as_float(meter.images.held().images[:2])))[:1]
    assert "/" in layers[0].name
    found = [rank_filters(model, meter.images, NOISE, (LEVEL,), layers=layers, parts=tmp_path) for _ in range(2)]
    assert found[0] == found[1]
    assert all(file.is_file() and "/" not in file.name for file in tmp_path.iterdir())


@pytest.fixture
def job(dataset: Dataset, tmp_path: Path) -> Job:
    return Job(make_toy("plain"), dataset, run=Run(tmp_path / "run", "rank", {}))


def test_ideal_corrections_of_something_else_are_refused_and_a_network_is_captured_once(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured: list[object] = []

    def counted(*given: Any, **options: Any) -> ExportedProgram:
        captured.append(given)
        return export(*given, **options)

    monkeypatch.setattr(graphs, "export", counted)
    layers = convolutions(job.layers)[:2]
    ranking = Ranking(
        "noise", (LEVEL,), 10, 0, (0.0,), {layer.name: tuple(map(float, range(layer.filters))) for layer in layers}
    )
    first = measure_ideal(job, NOISE, (LEVEL,), ranking, layers, (0.5,), images=10)
    assert len(captured) == 1
    assert measure_ideal(job, NOISE, (LEVEL,), ranking, layers, (0.5,), images=10) == first
    with pytest.raises(DeepcorrectError, match='holds the ideal corrections with distortion = "noise", not "blur"'):
        measure_ideal(job, get_distortion("blur"), (LEVEL,), ranking, layers, (0.5,), images=10)
    with pytest.raises(DeepcorrectError, match="holds the ideal corrections with levels"):
        measure_ideal(job, NOISE, (90.0,), ranking, layers, (1.0,), images=10)


def test_images_are_distorted_once_a_level_and_estimates_run_what_follows_the_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[float] = []

    def fade(images: Tensor, level: Tensor) -> Tensor:
        drawn.append(float(level[0]))
        return images * (1 - level.view(-1, 1, 1, 1))

    model = make_toy("residual")
    meter = GainMeter(model, random_images(60), Distortion("fade", fade, {}))
    layers = convolutions(find_layers(model, as_float(meter.images.held().images[:2])))
    for layer in layers:
        for level in (0.5, 0.7):
            meter.measure(layer, level)
    assert drawn == pytest.approx([0.5, 0.5, 0.7, 0.7])
    graph = meter.graph
    assert graph is not None
    sizes: list[int] = []
    run = graph.run

    def counted(nodes: Sequence[Node], *given: Any, **options: Any) -> dict[Node, Any]:
        sizes.append(len(nodes))
        return run(nodes, *given, **options)

    monkeypatch.setattr(graph, "run", counted)
    attribute_filters(meter, (0.5,), layers=layers[-1:], steps=5)
    assert sum(size < len(graph.nodes) / 2 for size in sizes) >= 10
    assert len(drawn) == 4
