"""The layers of a network in forward order: which can be corrected, and which batch normalisation follows each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from deepcorrect.errors import DeepcorrectError
from deepcorrect.normalization import is_batch_norm


@dataclass(frozen=True)
class Layer:
    """A convolution or dense layer.

    Attributes:
        name: as in ``model.get_submodule``.
        module: the layer itself.
        norm: name of the batch normalisation that takes its output directly, if one does and does nothing else.
        output_shape: of one image, (C, H, W) or (C,).
        uses: how often one forward pass runs it.
    """

    name: str
    module: nn.Conv2d | nn.Linear
    norm: str | None
    output_shape: tuple[int, ...]
    uses: int = 1

    @property
    def filters(self) -> int:
        """Output channels."""
        return self.output_shape[0]


@torch.no_grad()
def find_layers(model: nn.Module, example: Tensor) -> list[Layer]:
    """Convolutions and dense layers in the order in which a forward pass first reaches them.

    Args:
        model: in any mode; it is run once in eval mode and put back.
        example: one batch of images (B, C, H, W), on the model's device.
    """
    names = {module: name for name, module in model.named_modules()}
    outputs: dict[nn.Module, Tensor] = {}
    uses: dict[nn.Conv2d | nn.Linear, int] = {}
    norms: dict[nn.Module, set[nn.Module]] = {}

    def note_output(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d | nn.Linear)
        uses[module] = uses.get(module, 0) + 1
        outputs[module] = output

    def note_norm(norm: nn.Module, args: tuple[Tensor, ...]) -> None:
        for layer, output in outputs.items():
            if output is args[0]:
                norms.setdefault(layer, set()).add(norm)

    handles: list[RemovableHandle] = []
    for module in names:
        if isinstance(module, nn.Conv2d | nn.Linear):
            handles.append(module.register_forward_hook(note_output))
        elif is_batch_norm(module):
            handles.append(module.register_forward_pre_hook(note_norm))
    training = model.training
    try:
        model.eval()(example)
    finally:
        for handle in handles:
            handle.remove()
        model.train(training)
    found = []
    for layer, count in uses.items():
        follower = norms.get(layer, set())
        norm = names[next(iter(follower))] if len(follower) == 1 else None
        found.append(Layer(names[layer], layer, norm, tuple(outputs[layer].shape[1:]), count))
    return found


def convolutions(layers: Sequence[Layer]) -> list[Layer]:
    """Those layers that take correction units.

    Raises:
        DeepcorrectError: there is none.
    """
    found = [layer for layer in layers if isinstance(layer.module, nn.Conv2d)]
    if not found:
        raise DeepcorrectError(
            "the network has no torch.nn.Conv2d, so there is nothing to correct; use finetune (and one that is quantised is to "
            "be corrected before that)"
        )
    return found


def named(layers: Sequence[Layer], name: str) -> Layer:
    """The layer of that name.

    Raises:
        DeepcorrectError: there is none; the known ones are listed.
    """
    for layer in layers:
        if layer.name == name:
            return layer
    raise DeepcorrectError(f"unknown layer {name!r}; the network has {', '.join(layer.name for layer in layers)}")


def pick(layers: Sequence[Layer], given: str) -> list[Layer]:
    """Layers from an option: ``3`` (the first three), ``all``, or names separated by commas, in the order given.

    Raises:
        DeepcorrectError: there are fewer, or none of that name.
    """
    if given == "all":
        return list(layers)
    if not given.isdigit():
        return list(dict.fromkeys(named(layers, name.strip()) for name in given.split(",") if name.strip()))
    if not 1 <= int(given) <= len(layers):
        raise DeepcorrectError(
            f"--layers {given}: the network has {len(layers)} such layers; give 1 to {len(layers)}, or names"
        )
    return list(layers[: int(given)])
