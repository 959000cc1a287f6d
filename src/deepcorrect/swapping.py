"""Run a network on distorted images as if some filters of a layer had seen the clean ones: patching, channel by channel.

A ``Swap`` prepares a batch once: the clean and the distorted pass. Then any number of pairs of a filter and an image are
finished, many to a pass, and only what comes after the layer is run. ``deepcorrect.graph_swap`` does so on a captured graph;
where there is none, hooks put the channels in and the whole network runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor, nn

from deepcorrect.datasets.images import Images
from deepcorrect.errors import DeepcorrectError, first_line
from deepcorrect.graph import Graph, capture
from deepcorrect.graph_swap import GraphSwap, rows
from deepcorrect.independence import agree, require_own_answers
from deepcorrect.inspection import looking
from deepcorrect.layers import Layer
from deepcorrect.loading import batches
from deepcorrect.runtime import laid_out, out_of_memory

IMAGES_A_BATCH = 50


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


def swaps_of(model: nn.Module, images: Images, device: torch.device) -> Swaps:
    """What swaps the filters of a network that is run on some images, in batches of ``IMAGES_A_BATCH``."""
    return Swaps(model, laid_out(next(batches(images, IMAGES_A_BATCH, device)).images, model))


class Swaps:
    """What swaps the filters of a network's layers: made once for each, and compared with hooks on some images.

    Attributes:
        model: takes images (B, C, H, W) in [0, 1], returns logits. It is run in eval mode and left as it was.
        images: some of those that it is run on, one or more, in their memory layout.
        reasons: why a layer is swapped by hooks, by name.
    """

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        self.model = model
        self.images = images
        self.reasons: dict[str, str] = {}
        self._uncaptured = ""
        self._made: dict[str, Swap] = {}

    @cached_property
    def graph(self) -> Graph | None:
        """The network captured, if it can be; in single precision, whatever it is run in."""

        def keep(reason: str) -> None:
            self._uncaptured = reason

        with _plain(self.images.device):
            return capture(self.model, self.images.clone(), tell=keep)

    @property
    def outputs(self) -> int:
        """How many logits the network gives an image."""
        return self._inspected[0]

    def of(self, layer: Layer) -> Swap:
        """What swaps a layer's filters.

        Raises:
            DeepcorrectError: the network does not answer every image by itself, or the layer does not.
        """
        if layer.name not in self._made:
            wrong = self._inspected[1].get(layer.name)
            if wrong:
                raise DeepcorrectError(
                    f"layer {layer.name} {wrong}: which image a row is of cannot be told; leave it out with --layers"
                )
            with _plain(self.images.device):
                self._made[layer.name] = self._make(layer)
        return self._made[layer.name]

    @cached_property
    def _inspected(self) -> tuple[int, dict[str, str]]:
        with _plain(self.images.device):
            return require_own_answers(self.model, self.images.clone())

    def _make(self, layer: Layer) -> Swap:
        hooks = HookSwap(self.model, layer, self.images.shape[1:])
        if self.graph is None:
            self.reasons[layer.name] = self._uncaptured
            return hooks
        swap = GraphSwap(self.graph, layer)
        reason = swap.problem or self._compare(swap, hooks)
        if not reason:
            return swap
        self.reasons[layer.name] = reason
        return hooks

    def _compare(self, swap: GraphSwap, hooks: HookSwap) -> str:
        """How a swap on the graph differs from one by hooks, of two filters on two images; nothing where it does not."""
        few = torch.cat([self.images[:4], self.images[:1].flip(3), self.images[:1].flip(2), self.images[:1].flip(2, 3)])[:4]
        last = swap.channels - 1
        filters = torch.tensor([0, 0, last, last], device=few.device)
        images = torch.tensor([1, 0, 1, 0], device=few.device)
        with looking(self.model), torch.no_grad():
            wanted = hooks.prepare(few[:2], few[2:])
            try:
                found = swap.prepare(few[:2], few[2:])
                pairs = found.finish(filters, images), wanted.finish(filters, images), wanted.logits[images]
                whole = found.answer([0, last]), wanted.answer([0, last]), wanted.logits
            except Exception as error:
                if out_of_memory(error) or isinstance(error, DeepcorrectError):
                    raise
                return first_line(error)
        for answer, by_hooks, before in (pairs, whole):
            if not agree(answer, by_hooks, scale=float((by_hooks - before).nan_to_num(0, 0, 0).abs().max())):
                return "a swap in the captured graph gives another answer than one by a hook"
        return ""


@contextmanager
def _plain(device: torch.device) -> Iterator[None]:
    """Single precision and tensors that autograd takes, whatever surrounds it."""
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield


class HookSwap:
    """Swaps a layer's filters in a network that cannot be captured: the whole network runs, a hook puts channels in."""

    def __init__(self, model: nn.Module, layer: Layer, image_shape: Sequence[int]) -> None:
        self.model = model
        self.layer = layer
        self._image_shape = tuple(image_shape)

    @cached_property
    def bytes_a_pair(self) -> int:
        """Memory that finishing a pair takes, about."""
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
        """Logits of a copy of the images, which a network may write into, with a hook on the layer."""
        layer = self._swap.layer
        calls = 0

        def checked(module: nn.Module, args: object, output: Tensor) -> Tensor | None:
            nonlocal calls
            if not isinstance(output, Tensor) or output.ndim != 4 or len(output) != len(images):
                shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
                raise self._refusal(f"its output, {shape}, has not a row for each of {len(images)} images")
            calls += 1
            return hook(calls - 1, output) if self._calls is None or calls <= self._calls else None

        handle = layer.module.register_forward_hook(checked)
        try:
            logits: Tensor = self._swap.model(images.clone())
        finally:
            handle.remove()
        if calls != self._calls and (self._calls is not None or not calls):
            raise self._refusal(f"it runs {calls} time(s), {self._calls or 0} for the clean images")
        return logits.float()

    def _refusal(self, reason: str) -> DeepcorrectError:
        return DeepcorrectError(f"layer {self._swap.layer.name}: {reason}, so it cannot be ranked; leave it out with --layers")


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
            model(torch.zeros(2, *shape, device=layer.module.weight.device))
    return max(1, sum(sizes) // 2)
