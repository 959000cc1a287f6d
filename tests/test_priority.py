from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.models.layers import convolutions, find_layers
from deepcorrect.ranking.exact import rank_filters
from deepcorrect.ranking.result import Ranking, choose_globally, choose_locally
from tests.conftest import TOYS, labelled_by, make_toy, random_images

NOISE = get_distortion("noise")
LEVELS = (40.0, 90.0)


def brute_force(model: nn.Module, images: ImageSet, distortion: Distortion, level: float, layer: str) -> list[int]:
    """Right predictions for each filter, by a hook and a full forward pass per filter, image by image."""
    module = model.get_submodule(layer)
    hits: list[int] = []
    clean = as_float(images.images)
    distorted = distortion.at(clean, level, images.indices, 0)
    outputs: list[list[Tensor]] = []
    for image in clean:
        calls: list[Tensor] = []
        handle = module.register_forward_hook(lambda _, __, output, calls=calls: calls.append(output.clone()))
        model(image[None])
        handle.remove()
        outputs.append(calls)
    for filter_ in range(outputs[0][0].shape[1]):
        right = 0
        for image, label, calls in zip(distorted, images.labels, outputs, strict=True):
            kept = iter(calls)

            def swap(_: nn.Module, __: object, output: Tensor, kept: Iterator[Tensor] = kept, place: int = filter_) -> Tensor:
                swapped = output.clone()
                swapped[:, place] = next(kept)[:, place]
                return swapped

            handle = module.register_forward_hook(swap)
            right += int(model(image[None]).argmax(1).item() == label.item())
            handle.remove()
        hits.append(right)
    return hits


@pytest.mark.parametrize("memory", [1, 250_000_000])
@pytest.mark.parametrize("name", sorted(TOYS))
def test_priority_equals_brute_force_for_every_filter(name: str, memory: int, images: ImageSet) -> None:
    model = make_toy(name)
    images = labelled_by(model, images)
    layers = convolutions(find_layers(model, as_float(images.images[:1])))
    ranking = rank_filters(model, images, NOISE, LEVELS, layers=layers, memory=memory)
    with torch.no_grad():
        plain = []
        for level in LEVELS:
            logits = model(NOISE.at(as_float(images.images), level, images.indices, 0))
            plain.append(int((logits.argmax(1) == images.labels).sum()))
        assert ranking.baseline == tuple(right / len(images) for right in plain)
        for layer in layers:
            found = [brute_force(model, images, NOISE, level, layer.name) for level in LEVELS]
            gains = [
                sum(right[filter_] - base for right, base in zip(found, plain, strict=True)) for filter_ in range(layer.filters)
            ]
            counts = [round(score * len(LEVELS) * len(images)) for score in ranking.scores[layer.name]]
            assert counts == gains, layer.name
            assert len(set(counts)) > 1, "a comparison of equal counts would prove little"


def test_a_network_whose_answer_is_known() -> None:
    """Class 0 iff red is brighter than green; the distortion blackens red. Only the filter that reads red can help."""
    network = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    conv, linear = network[0], network[4]
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(linear, nn.Linear)
    with torch.no_grad():
        conv.weight.copy_(torch.eye(3).view(3, 3, 1, 1))
        linear.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0]]))
        linear.bias.zero_()
    blacken = Distortion("no-red", lambda images, severity: images * torch.tensor([0.0, 1, 1]).view(1, 3, 1, 1), {})
    red, green = torch.tensor([200, 100, 50]), torch.tensor([100, 200, 50])
    pictures = torch.stack([red] * 6 + [green] * 4).to(torch.uint8).view(10, 3, 1, 1).expand(10, 3, 4, 4).contiguous()
    images = ImageSet.whole(pictures, torch.tensor([0] * 6 + [1] * 4))
    layers = find_layers(network, as_float(pictures[:1]))[:1]
    ranking = rank_filters(network, images, blacken, (1.0,), layers=layers)
    assert ranking.baseline == (0.4,)
    assert ranking.scores == {"0": pytest.approx((0.6, 0.0, 0.0))}
    assert ranking.local("0") == (0, 1, 2)


def test_ranking_leaves_the_network_as_it_was(toy: nn.Module) -> None:
    images = random_images(10)
    before = {name: value.clone() for name, value in toy.state_dict().items()}
    layers = [layer for layer in convolutions(find_layers(toy, as_float(images.images[:1]))) if layer.uses == 1]
    rank_filters(toy, images, NOISE, (40.0,), layers=layers)
    assert all(torch.equal(before[name], value) for name, value in toy.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in toy.modules())


@pytest.fixture
def ranking() -> Ranking:
    scores: dict[str, tuple[float, ...]] = {"a": (0.1, 0.4, 0.2, 0.0), "b": (0.3, 0.3, 0.25, -0.1)}
    return Ranking("blur", (1.0,), 100, 0, (0.5,), scores)


def test_local_choice_takes_each_layers_best_and_breaks_ties_by_index(ranking: Ranking) -> None:
    assert choose_locally(ranking, {"a": 0.5, "b": 0.25}) == {"a": (1, 2), "b": (0,)}


def test_global_choice_takes_as_many_over_all_layers(ranking: Ranking) -> None:
    assert choose_globally(ranking, {"a": 0.5, "b": 0.5}) == {"a": (1,), "b": (0, 1, 2)}


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5, float("nan")])
def test_a_share_outside_its_range_is_refused(ranking: Ranking, share: float) -> None:
    with pytest.raises(DeepcorrectError, match=r"^share=.*outside \(0, 1\]"):
        choose_locally(ranking, {"a": share})


def test_a_layer_without_enough_filters_is_refused(ranking: Ranking) -> None:
    with pytest.raises(DeepcorrectError, match=r"layer a has 4 filter\(s\), of which this is none"):
        choose_locally(ranking, {"a": 0.1})


def test_rankings_are_saved_and_read_again(ranking: Ranking, tmp_path: Path) -> None:
    ranking.save(tmp_path / "ranking.json")
    assert Ranking.load(tmp_path / "ranking.json") == ranking
    content = json.loads((tmp_path / "ranking.json").read_text())
    assert content["local"] == {"a": [1, 2, 0, 3], "b": [0, 1, 2, 3]}
    assert content["global"][:3] == [["a", 1], ["b", 0], ["b", 1]]
    (tmp_path / "other.json").write_text('{"scores": 3}')
    with pytest.raises(DeepcorrectError, match="not a ranking"):
        Ranking.load(tmp_path / "other.json")
