"""Run a network on distorted images as if some filters of a layer had seen the clean ones: patching, channel by channel.

A ``Swap`` prepares a batch once: the clean and the distorted pass. Then any number of pairs of a filter and an image are
finished, many to a pass, and only what comes after the layer is run. ``deepcorrect.graph_swap`` does so on a captured graph;
where there is none, hooks put the channels in and the whole network runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from deepcorrect.graph import Graph
from deepcorrect.graph_swap import GraphSwap, rows
from deepcorrect.layers import Layer


class Batch(Protocol):
    """A batch of images, passed through clean and distorted.

    Attributes:
        logits: (B, classes), of the distorted images.
        changes: (B, C), whether a filter's swap can change an image's result.
    """

    logits: Tensor

    @property
    def changes(self) -> Tensor: ...

    def answer(self, filters: Sequence[int]) -> Tensor:
        """Logits (B, classes) with some filters swapped together."""

    def finish(self, filters: Tensor, images: Tensor) -> Tensor:
        """Logits (P, classes) of P pairs of a filter and an image of the batch; equal filters stand together."""


class Swap(Protocol):
    """Swaps a layer's filters in a network; to finish a pair takes about ``bytes_a_pair`` of memory."""

    @property
    def bytes_a_pair(self) -> int: ...

    def prepare(self, clean: Tensor, distorted: Tensor) -> Batch:
        """Pass images through, clean and distorted."""


def make_swap(model: nn.Module, graph: Graph | None, layer: Layer, image_shape: Sequence[int]) -> Swap:
    """On the graph where the layer is found in it, else by hooks."""
    if graph is not None:
        swap = GraphSwap(graph, layer)
        if swap.usable:
            return swap
    return HookSwap(model, layer, image_shape)


class HookSwap:
    """Swaps a layer's filters in a network that cannot be captured: the whole network runs, a hook puts channels in."""

    def __init__(self, model: nn.Module, layer: Layer, image_shape: Sequence[int]) -> None:
        self.model = model
        self.module = layer.module
        self.bytes_a_pair = _bytes_an_image(model, layer, image_shape)

    def prepare(self, clean: Tensor, distorted: Tensor) -> HookBatch:
        """Pass images through, clean and distorted."""
        return HookBatch(self, clean, distorted)


class HookBatch:
    """A batch through the whole network."""

    def __init__(self, swap: HookSwap, clean: Tensor, distorted: Tensor) -> None:
        self._swap = swap
        self._distorted = distorted
        self._wanted: list[Tensor] = []
        self._run(clean, lambda call, output: self._wanted.append(output.clone()))
        held: list[Tensor] = []

        self.logits = self._run(distorted, lambda call, output: held.append(output.clone()))
        changed = [(wanted != output).flatten(2).any(2) for wanted, output in zip(self._wanted, held, strict=True)]
        self._changes = torch.stack(changed).any(0)

    @property
    def changes(self) -> Tensor:
        """(B, C), whether a filter's swap can change an image's result."""
        return self._changes

    def answer(self, filters: Sequence[int]) -> Tensor:
        """Logits (B, classes) with some filters swapped together."""
        index = torch.as_tensor(filters, dtype=torch.int64, device=self._distorted.device)
        return self._run(
            self._distorted, lambda call, output: output.index_copy(1, index, self._wanted[call][:, index])
        )  # fmt: skip

    def finish(self, filters: Tensor, images: Tensor) -> Tensor:
        """Logits (P, classes) of P pairs of a filter and an image of the batch."""
        pairs = torch.arange(len(filters), device=filters.device)

        def put(call: int, output: Tensor) -> Tensor:
            output = output.clone()
            output[pairs, filters] = self._wanted[call][images, filters]
            return output

        return self._run(rows(self._distorted, images), put)

    def _run(self, images: Tensor, hook: Callable[[int, Tensor], Tensor | None]) -> Tensor:
        calls = itertools.count()
        handle = self._swap.module.register_forward_hook(lambda module, args, output: hook(next(calls), output))
        try:
            logits: Tensor = self._swap.model(images)
            return logits.float()
        finally:
            handle.remove()


def _bytes_an_image(model: nn.Module, layer: Layer, shape: Sequence[int]) -> int:
    """What the outputs of all modules of a network take for one image, kept at once."""
    sizes: list[int] = []

    def note(module: nn.Module, args: object, output: object) -> None:
        sizes.append(output.nbytes if isinstance(output, Tensor) else 0)

    handles = [module.register_forward_hook(note) for module in model.modules() if not list(module.children())]
    try:
        weight = layer.module.weight
        model(torch.zeros(2, *shape, device=weight.device))
    finally:
        for handle in handles:
            handle.remove()
    return max(1, sum(sizes) // 2)
