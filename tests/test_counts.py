"""Every count of the paper, exactly."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from deepcorrect.adapters.attach import attach
from deepcorrect.adapters.corrected import Adapter
from deepcorrect.adapters.plan import Plan
from deepcorrect.adapters.units import CorrectionUnit, unit_shape
from deepcorrect.evaluation.cost import count_parameters, multiply_accumulates
from deepcorrect.models.layers import convolutions, find_layers
from deepcorrect.models.paper.alexnet import AlexNet
from deepcorrect.models.paper.allcnn import AllCNN

FILTERS = (96, 96, 96, 192, 192, 192)
COUNTS = (50, 50, 50, 100, 100, 100)
LAST_THREE = ("conv7", "conv8", "conv9")
EXAMPLE = torch.zeros(1, 3, 32, 32)


def corrected(layers: int) -> dict[str, tuple[int, ...]]:
    return {f"conv{place + 1}": tuple(range(COUNTS[place])) for place in range(layers)}


def first(layers: int) -> tuple[str, ...]:
    return tuple(f"conv{place + 1}" for place in range(layers))


def test_baseline() -> None:
    assert count_parameters(AllCNN().parameters()) == 1_389_804


@pytest.mark.parametrize(("layers", "expected"), [(1, 2_880), (3, 169_344), (6, 1_000_512), (9, 1_389_804)])
def test_finetune(layers: int, expected: int) -> None:
    correction = attach(AllCNN(), Plan(distortion="blur", retrained=first(layers)), EXAMPLE)
    assert count_parameters(correction.parameters()) == expected


@pytest.mark.parametrize(
    ("layers", "retrained", "expected"),
    [
        (1, (), 80_954),
        (3, (), 242_862),
        (6, (), 505_674),
        (1, LAST_THREE, 470_246),
        (3, LAST_THREE, 632_154),
        (6, LAST_THREE, 894_966),
    ],
)
def test_deepcorr(layers: int, retrained: tuple[str, ...], expected: int) -> None:
    plan = Plan(distortion="blur", filters=corrected(layers), retrained=retrained)
    correction = attach(AllCNN(), plan, EXAMPLE)
    assert count_parameters(correction.parameters()) == expected
    assert all(parameter.requires_grad for parameter in correction.parameters())


def test_multiply_accumulates_of_a_corrected_network_are_those_of_its_parts() -> None:
    network = AllCNN()
    before = multiply_accumulates(network, EXAMPLE)
    correction = attach(network, Plan(distortion="blur", filters=corrected(1)), EXAMPLE)
    adapter = correction.adapters["conv1"]
    assert isinstance(adapter, Adapter)
    unit = multiply_accumulates(adapter.unit, torch.zeros(1, 50, 32, 32))
    assert multiply_accumulates(network, EXAMPLE) == before + unit
    with correction.disabled():
        assert multiply_accumulates(network, EXAMPLE) == before


def test_multiply_accumulates_of_a_grouped_layer_are_counted_once() -> None:
    network = nn.Sequential(nn.Conv2d(4, 8, 3, groups=2)).eval()
    example = torch.zeros(1, 4, 5, 5)
    before = multiply_accumulates(network, example)
    assert before == (8 * 2 * 9 + 8) * 9
    correction = attach(network, Plan(distortion="blur", filters={"0": (0, 1)}), example)
    adapter = correction.adapters["0"]
    assert isinstance(adapter, Adapter)
    assert multiply_accumulates(network, example) == before + multiply_accumulates(adapter.unit, torch.zeros(1, 2, 3, 3))


class Permuted(nn.Module):
    """Channels last, as ConvNeXt has them."""

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(0, 2, 3, 1)


def test_multiply_accumulates_of_every_toy_are_those_of_its_layers_and_units(toy: nn.Module) -> None:
    example = torch.rand(2, 3, 8, 8)
    layers = find_layers(toy, example)
    before = multiply_accumulates(toy, example)
    assert before == sum(count_parameters(a.module.parameters()) * math.prod(a.output_shape[1:]) * a.uses for a in layers)
    plan = Plan(distortion="blur", filters={layer.name: (0, 1) for layer in convolutions(layers)})
    correction = attach(toy, plan, example)
    units = 0
    for layer, adapter in zip(convolutions(layers), correction.adapters.values(), strict=True):
        assert isinstance(adapter, Adapter)
        units += layer.uses * multiply_accumulates(adapter.unit, torch.zeros(1, 2, *layer.output_shape[1:]))
    assert multiply_accumulates(toy, example) == before + units


class Attention(nn.Module):
    """Two heads on 16 positions of 8 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, images: Tensor) -> Tensor:
        tokens = images.flatten(2).transpose(1, 2)
        mixed: Tensor = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return mixed


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: nn.Sequential(nn.Flatten(2), nn.Linear(16, 5)), 8 * (16 + 1) * 5),
        (lambda: nn.Sequential(nn.Unflatten(3, (2, 2)), nn.Linear(2, 5, bias=False)), 8 * 4 * 2 * 2 * 5),
        (lambda: nn.Sequential(nn.ChannelShuffle(2), Permuted(), nn.Linear(8, 5)), 4 * 4 * (8 + 1) * 5),
        (
            lambda: nn.Sequential(nn.ConvTranspose2d(8, 3, 2, 2), nn.Flatten(2), nn.Conv1d(3, 2, 3)),
            8 * 3 * 64 + 3 * 64 + 10 * 2 * 62,
        ),
        (Attention, 16 * (8 + 1) * 3 * 8 + 2 * 16 * 16 * 8 + 16 * (8 + 1) * 8),
    ],
)
def test_multiply_accumulates_at_many_positions(make: Callable[[], nn.Module], expected: int, dtype: torch.dtype) -> None:
    network = make().to(dtype).train()
    network.register_forward_hook(lambda module, args, output: output.clamp(-1, 1))
    assert multiply_accumulates(network, torch.rand(3, 8, 4, 4, dtype=dtype)) == expected
    assert network.training


class LooksAtGradients(nn.Module):
    """A convolution and its gradient, both inside the forward pass, and a dense layer in inference mode."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Tensor:
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.conv(images).square().sum(), images)
        with torch.inference_mode():
            logits: Tensor = self.head(self.conv(gradient.detach()).mean((2, 3)))
            return logits


def test_multiply_accumulates_whatever_the_modes_of_autograd() -> None:
    conv, backward, head = (27 + 1) * 4 * 36, 27 * 4 * 36, (4 + 1) * 5
    assert multiply_accumulates(LooksAtGradients(), torch.rand(1, 3, 8, 8)) == 2 * conv + backward + head


def test_alexnet() -> None:
    with torch.device("meta"):
        network = AlexNet()
    assert count_parameters(network.parameters()) == 60_965_224


def test_alexnet_output_positions_and_grouping() -> None:
    network = AlexNet(classes=10).eval()
    shapes: dict[str, torch.Size] = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _, __, output, name=name: shapes.update({name: output.shape}))
    with torch.no_grad():
        network(torch.rand(1, 3, 227, 227))
    assert [shapes[f"conv{place}"][-2:].numel() for place in range(1, 6)] == [3025, 729, 169, 169, 169]


TABLE_10 = {
    "wide": ((270_288, 739_200, 739_200, 739_200, 328_960), (8.16e8, 5.38e8, 1.24e8, 1.24e8, 5.54e7)),
    "lite": ((314_568, 345_408, 345_408, 345_408, 328_960), (9.49e8, 2.51e8, 5.82e7, 5.82e7, 5.54e7)),
    "bottleneck": ((40_680, 287_040, 287_040, 287_040, 127_872), (1.22e8, 2.08e8, 4.83e7, 4.83e7, 2.15e7)),
}
SIDES = (55, 27, 13, 13, 13)


@pytest.mark.parametrize("name", TABLE_10)
@pytest.mark.parametrize("place", range(5))
def test_table_10(name: str, place: int) -> None:
    channels = (72, 192, 192, 192, 128)[place]
    unit = CorrectionUnit(channels, unit_shape(name, channels, place + 1)).eval()
    parameters, operations = TABLE_10[name]
    assert count_parameters(unit.parameters()) == parameters[place]
    found = multiply_accumulates(unit, torch.zeros(1, channels, SIDES[place], SIDES[place]))
    digit = 10 ** (len(str(found)) - 3)
    assert found // digit * digit == operations[place]  # the table cuts after three digits: 2.087e8 is 2.08e8 there


def test_deepcorr_5_without_batch_normalisation() -> None:
    counts = (72, 192, 192, 192, 128)
    units = [
        CorrectionUnit(count, unit_shape("wide", count, place + 1, batch_norm=False)) for place, count in enumerate(counts)
    ]
    total = sum(count_parameters(unit.parameters()) for unit in units)
    assert total == sum(TABLE_10["wide"][0]) - 3 * 2 * sum(counts)  # three normalisations of D channels less, in each unit
