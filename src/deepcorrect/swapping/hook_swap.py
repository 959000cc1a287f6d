"""Swaps by hooks, in a network that cannot be captured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property

import torch
from torch import Tensor, nn

from deepcorrect.base.device import dtype_of
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument
from deepcorrect.models.layers import Layer
from deepcorrect.swapping.graph_swap import rows
from deepcorrect.tasks.base import Task
from deepcorrect.tasks.classification import CLASSIFICATION


class HookSwap:
    """Swaps a layer's filters in a network that cannot be captured: the whole network runs, and a hook replaces channels."""

    def __init__(self, model: nn.Module, layer: Layer, image_shape: Sequence[int], task: Task = CLASSIFICATION) -> None:
        self.model = model
        self.task = task
        self.layer = layer
        self._image_shape = tuple(image_shape)

    @cached_property
    def bytes_a_pair(self) -> int:
        """About how many bytes of memory it takes to finish a pair."""
        return _bytes_an_image(self.model, self.layer, self._image_shape)

    def prepare(self, clean: Tensor, distorted: Tensor) -> HookBatch:
        """Pass images through, clean and distorted.

        Raises:
            DeepcorrectError: the layer's output has not a row an image.
        """
        return HookBatch(self, clean, distorted)


class HookBatch:
    """A batch through the whole network."""

    def __init__(self, swap: HookSwap, clean: Tensor, distorted: Tensor) -> None:
        self._swap = swap
        self._distorted = distorted
        self._wanted: list[Tensor] = []
        self._calls: int | None = None
        self._run(clean, lambda call, output: self._wanted.append(output.clone()))
        self._calls = len(self._wanted)
        held: list[Tensor] = []
        self.outputs = self._run(distorted, lambda call, output: held.append(output.clone()))
        changed = [(wanted != output).flatten(2).any(2) for wanted, output in zip(self._wanted, held, strict=True)]
        self._changes = torch.stack(changed).any(0)

    @property
    def changes(self) -> Tensor:
        """(B, C), whether a filter's swap can change an image's result."""
        return self._changes

    def answer(self, filters: Sequence[int]) -> Tensor:
        """Outputs (B, ...) with some filters swapped together."""
        index = torch.as_tensor(filters, dtype=torch.int64, device=self._distorted.device)
        return self._run(
            self._distorted, lambda call, output: output.index_copy(1, index, self._wanted[call][:, index])
        )  # fmt: skip

    def finish(self, filters: Tensor, images: Tensor) -> Tensor:
        """Outputs (P, ...) of P pairs of a filter and an image of the batch."""
        pairs = torch.arange(len(filters), device=filters.device)

        def put(call: int, output: Tensor) -> Tensor:
            output = output.clone()
            output[pairs, filters] = self._wanted[call][images, filters]
            return output

        return self._run(rows(self._distorted, images), put)

    def _run(self, images: Tensor, hook: Callable[[int, Tensor], Tensor | None]) -> Tensor:
        """Outputs of a copy of the images, which a network may write into, with a hook on the layer."""
        layer = self._swap.layer
        calls = 0

        def checked(module: nn.Module, args: object, output: Tensor) -> Tensor | None:
            nonlocal calls
            if not isinstance(output, Tensor) or output.ndim != 4 or len(output) != len(images):
                shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
                raise self._refusal(f"its output, {shape}, does not have one row for each of {len(images)} images")
            calls += 1
            return hook(calls - 1, output) if self._calls is None or calls <= self._calls else None

        handle = layer.module.register_forward_hook(checked)
        try:
            outputs = self._swap.task.outputs(self._swap.model(images.clone()))
        finally:
            handle.remove()
        if calls != self._calls and (self._calls is not None or not calls):
            raise self._refusal(f"it runs {calls} time(s), {self._calls or 0} for the clean images")
        return outputs.float()

    def _refusal(self, reason: str) -> DeepcorrectError:
        return DeepcorrectError(
            f"layer {self._swap.layer.name}: {reason}, so it cannot be ranked; leave it out of {argument('layers')}"
        )


def _bytes_an_image(model: nn.Module, layer: Layer, shape: Sequence[int]) -> int:
    """What the outputs of all modules of a network take for one image, kept at once; less what runs inside of scripts."""
    sizes: list[int] = []

    def note(module: nn.Module, args: object, output: object) -> None:
        sizes.append(output.nbytes if isinstance(output, Tensor) else 0)

    with ExitStack() as stack:
        for module in model.modules():
            if not list(module.children()) and not isinstance(module, torch.jit.ScriptModule):
                stack.callback(module.register_forward_hook(note).remove)
        with torch.no_grad():
            model(torch.zeros(2, *shape, device=layer.module.weight.device, dtype=dtype_of(model)))
    return max(1, sum(sizes) // 2)
