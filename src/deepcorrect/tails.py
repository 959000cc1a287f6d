"""The rest of a network after a layer.

In a plain network modules follow each other in a chain, so what comes after a layer can be run on its own. Other networks
are run whole, with the layer's output put in by a hook.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from deepcorrect.patching import capture

CHANNELWISE = (
    nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.SiLU, nn.GELU, nn.Hardswish, nn.Sigmoid, nn.Tanh,
    nn.Dropout, nn.Dropout2d, nn.Identity, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d,
)  # fmt: skip
"""Modules of which each output channel depends on the same input channel alone, in eval mode."""

_LEAVE_INPUT_ALONE = (nn.Conv2d, nn.Linear, nn.LocalResponseNorm)


@torch.no_grad()
def find_chain(model: nn.Module, example: Tensor) -> list[nn.Module] | None:
    """The leaf modules of a plain network in order, or None where the network is more than a chain of them.

    It is a chain if each leaf takes the very tensor that the leaf before returned, from the images to the logits, and if the
    leaves by themselves give the same logits (functions between them may work in place on that tensor).
    """
    steps: list[tuple[nn.Module, Tensor, Tensor]] = []

    def note(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        steps.append((module, args[0], output) if len(args) == 1 else (module, torch.empty(0), output))

    leaves = [module for module in model.modules() if not list(module.children())]
    handles = [module.register_forward_hook(note) for module in leaves]
    try:
        result = model(example)
        logits = result.clone()
    finally:
        for handle in handles:
            handle.remove()
    expected = example
    for _, given, output in steps:
        if given is not expected:
            return None
        expected = output
    if not steps or result is not expected:
        return None
    replayed = example
    for module, _, _ in steps:
        replayed = module(replayed)
    return [module for module, _, _ in steps] if torch.equal(replayed, logits) else None


class Tail:
    """Everything after one layer: ``activations`` stops at a point behind the layer, ``finish`` goes on from there.

    In a chain that point lies behind all channelwise modules that follow the layer: swapping a channel there gives the same
    prediction as swapping it at the layer's output, and less is left to run.
    """

    def __init__(self, model: nn.Module, chain: Sequence[nn.Module] | None, layer: str) -> None:
        self._model = model
        self._layer = layer
        self._module = model.get_submodule(layer)
        self._rest: Sequence[nn.Module] | None = None
        if chain is not None and sum(module is self._module for module in chain) == 1:
            cut = next(place for place, module in enumerate(chain) if module is self._module) + 1
            while cut < len(chain) and isinstance(chain[cut], CHANNELWISE):
                cut += 1
            self._head, self._rest = chain[:cut], chain[cut:]

    def activations(self, images: Tensor) -> Tensor:
        """What the network holds at that point for ``images``, (B, C, H, W)."""
        if self._rest is None:
            with capture(self._model, [self._layer]) as outputs:
                self._model(images)
            return outputs[self._layer]
        held = images
        for module in self._head:
            held = module(held)
        return held.clone() if held is images else held

    def finish(self, images: Tensor, activations: Tensor) -> Tensor:
        """Logits of a network that holds ``activations`` at that point; these are left as they are."""
        if self._rest is None:
            return self._run_whole(images, activations)
        held = activations
        if self._rest and not isinstance(self._rest[0], _LEAVE_INPUT_ALONE):
            held = activations.clone()
        for module in self._rest:
            held = module(held)
        return held

    def _run_whole(self, images: Tensor, activations: Tensor) -> Tensor:
        replace: Callable[..., Tensor] = lambda module, args, output: activations.clone()  # noqa: E731
        handle = self._module.register_forward_hook(replace)
        try:
            logits: Tensor = self._model(images)
            return logits
        finally:
            handle.remove()
