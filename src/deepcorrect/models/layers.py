"""The layers of a network in forward order: which can be corrected, and which batch normalisation follows each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.hooks import RemovableHandle

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument
from deepcorrect.models.inspection import answers, inspecting, require_watchable, tensors
from deepcorrect.models.normalization import is_batch_norm
from deepcorrect.models.stand_in import own_modules, switched_off


@dataclass(frozen=True)
class Layer:
    """A convolution or dense layer.

    Attributes:
        name: as in ``model.get_submodule``.
        module: the layer itself.
        norm: name of the batch normalisation that is the only reader of the layer's output, if there is one.
        output_shape: for one image; (C, H, W) of a convolution, (C,) or (positions, C) of a dense layer.
        uses: how many times one forward pass runs it.
    """

    name: str
    module: nn.Conv2d | nn.Linear
    norm: str | None
    output_shape: tuple[int, ...]
    uses: int = 1

    @property
    def filters(self) -> int:
        """Output channels."""
        return self.output_shape[0 if isinstance(self.module, nn.Conv2d) else -1]


class _Readers(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records what reads the outputs of layers: the batch normalisation that is running, or another operation (None)."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.running: nn.Module | None = None
        self._readers: dict[nn.Module, set[nn.Module | None]] = {}
        self._inputs: dict[nn.Module, list[nn.Module | None]] = {}
        self._outputs: dict[int, tuple[nn.Module, Tensor]] = {}  # it keeps the tensors alive, so that no id is used again

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in tensors((args, kwargs)):
            if id(value) in self._outputs:
                self._readers.setdefault(self._outputs[id(value)][0], set()).add(self.running)
        return func(*args, **(kwargs or {}))

    def give(self, layer: nn.Module, output: Tensor) -> None:
        """Record the output of a layer."""
        self._outputs[id(output)] = (layer, output)

    def start(self, norm: nn.Module, values: object) -> None:
        """Record that a normalisation starts on its input."""
        self.running = norm
        for value in tensors(values):
            self._inputs.setdefault(norm, []).append(self._outputs.get(id(value), (None,))[0])

    def norm_of(self, layer: nn.Module, uses: int) -> nn.Module | None:
        """The normalisation that is the only reader of all outputs of a layer and reads nothing else, if there is one."""
        readers = self._readers.get(layer, set())
        norm = next(iter(readers)) if len(readers) == 1 else None
        return norm if norm is not None and self._inputs[norm] == [layer] * uses else None


def find_layers(model: nn.Module, example: Tensor) -> list[Layer]:
    """Convolutions and dense layers in the order in which a forward pass first reaches them.

    A correction on the network is switched off meanwhile: the layers are the network's own, under their own names. Layers
    inside TorchScript cannot be reached and are left out.

    Args:
        model: in any mode; it is run once in eval mode, and left as it was.
        example: one batch of images (B, C, H, W), on the model's device.

    Raises:
        DeepcorrectError: the network fails on the example, or its layers cannot be observed, for instance because it is
            compiled.
    """
    require_watchable(model)
    names = own_modules(model)
    outputs: dict[nn.Conv2d | nn.Linear, Tensor] = {}
    uses: dict[nn.Conv2d | nn.Linear, int] = {}
    readers = _Readers()

    def note_output(module: nn.Module, args: object, output: object) -> None:
        assert isinstance(module, nn.Conv2d | nn.Linear)
        if not isinstance(output, Tensor):
            raise DeepcorrectError(
                f"layer {names[module]} returns {type(output).__name__} instead of a tensor; does a hook change its output?"
            )
        uses[module] = uses.get(module, 0) + 1
        outputs[module] = output
        readers.give(module, output)

    def start(norm: nn.Module, args: object, options: object) -> None:
        readers.start(norm, (args, options))

    def stop(norm: nn.Module, args: object, output: object) -> None:
        readers.running = None

    handles: list[RemovableHandle] = []
    try:
        for module in names:
            if isinstance(module, nn.Conv2d | nn.Linear):
                handles.append(module.register_forward_hook(note_output))
            elif is_batch_norm(module):
                handles.append(module.register_forward_pre_hook(start, with_kwargs=True))
                handles.append(module.register_forward_hook(stop))
        with inspecting(model), switched_off(model.modules()), readers:
            answers(model, example)
    finally:
        for handle in handles:
            handle.remove()
    layers = []
    for layer, count in uses.items():
        norm = readers.norm_of(layer, count)
        layers.append(Layer(names[layer], layer, None if norm is None else names[norm], tuple(outputs[layer].shape[1:]), count))
    if not layers and any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise DeepcorrectError(
            "the network is TorchScript, whose layers cannot be reached; use the Python module that it was made from"
        )
    return layers


def convolutions(layers: Sequence[Layer]) -> list[Layer]:
    """The layers that can have correction units.

    Raises:
        DeepcorrectError: there is none.
    """
    chosen = [layer for layer in layers if isinstance(layer.module, nn.Conv2d)]
    if not chosen:
        raise DeepcorrectError(
            "the network has no torch.nn.Conv2d, so there is nothing to correct; use finetune (correct a quantised network "
            "before it is quantised)"
        )
    return chosen


def named(layers: Sequence[Layer], name: str) -> Layer:
    """The layer of a name.

    Raises:
        DeepcorrectError: there is none of that name; the message lists those there are.
    """
    for layer in layers:
        if layer.name == name:
            return layer
    raise DeepcorrectError(f"unknown layer {name!r}; the network has {', '.join(layer.name for layer in layers)}")


def pick(layers: Sequence[Layer], given: str) -> list[Layer]:
    """Layers from text: ``3`` (the first three), ``all``, or names separated by commas, in the order given.

    Raises:
        DeepcorrectError: the network has fewer layers, or none of a name.
    """
    if given == "all":
        return list(layers)
    if not given.isdigit():
        return list(dict.fromkeys(named(layers, name.strip()) for name in given.split(",") if name.strip()))
    if not 1 <= int(given) <= len(layers):
        raise DeepcorrectError(
            f"{argument('layers', given)}: the network has {len(layers)} such layers; give 1 to {len(layers)}, or names"
        )
    return list(layers[: int(given)])
