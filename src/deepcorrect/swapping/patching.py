"""Look into a running network, and swap some channels of a layer's output (section 4.1): ideal correction.

Hooks live inside a context manager and nothing is left behind. ::

    with capture(model, ["conv1"]) as clean:
        model(images)
    with patched(model, "conv1", [3, 17], clean["conv1"][:, [3, 17]]):
        logits = model(distorted)     # as if filters 3 and 17 had seen the clean images
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def capture(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of layers, by name, of the last forward pass inside the context.

    The tensors are copies: an activation that works in place does not change them.
    """
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> object:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            outputs[name] = output.detach().clone()

        return hook

    with ExitStack() as stack:
        for name in layers:
            handle = model.get_submodule(name).register_forward_hook(keep(name))  # type: ignore[arg-type]
            stack.callback(handle.remove)
        yield outputs


@contextmanager
def patched(model: nn.Module, layer: str, channels: Sequence[int] | Tensor, values: Tensor) -> Iterator[None]:
    """Replace ``channels`` of a layer's output by ``values``, (B, len(channels), H, W), in every pass inside the context."""
    index = torch.as_tensor(channels, dtype=torch.int64, device=values.device)

    def swap(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output.index_copy(1, index, values.to(output.dtype))

    handle = model.get_submodule(layer).register_forward_hook(swap)
    try:
        yield
    finally:
        handle.remove()
