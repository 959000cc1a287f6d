"""Run a network on distorted images as if some filters of a layer had seen the clean ones: patching, channel by channel.

A ``Swap`` prepares a batch once: the clean and the distorted pass. Then any number of pairs of a filter and an image are
finished, many to a pass, and only what comes after the layer is run.

On a captured graph, what follows the layer falls into three parts:

- the *region*: operations that act channel by channel (normalisation, ReLU, pooling, addition ...). There the swapped value of
  a channel is the value of a pass in which all channels are swapped, so that one such pass serves all filters;
- the *frontier*: what first mixes channels. A convolution is linear in them, so that one channel's difference, convolved with
  one slice of the weights, is added to the output that the distorted images have already; anything else gets its input with
  the one channel put in;
- the *rest*, run as it is.

A pair whose channel is the same at every frontier changes nothing and need not be run: see ``changes``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import Node

from deepcorrect.fusion import fuse
from deepcorrect.graph import CONVOLUTION, Graph, settings
from deepcorrect.layers import Layer

aten = torch.ops.aten
CHANNELWISE = {
    aten.relu.default, aten.relu6.default, aten.hardtanh.default, aten.leaky_relu.default, aten.elu.default, aten.silu.default,
    aten.gelu.default, aten.hardswish.default, aten.hardsigmoid.default, aten.sigmoid.default, aten.tanh.default,
    aten.max_pool2d.default, aten.avg_pool2d.default, aten.adaptive_avg_pool2d.default, aten.adaptive_max_pool2d.default,
    aten.clone.default, aten.dropout.default, aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor,
}  # fmt: skip
"""Operations of which each output channel depends on the same input channel alone, where the shapes agree."""


class Batch(Protocol):
    """A batch of images, passed through clean and distorted.

    Attributes:
        logits: (B, classes), of the distorted images with the prepared channels swapped.
        changes: (B, C), whether a filter's swap can change an image's result.
    """

    logits: Tensor

    @property
    def changes(self) -> Tensor: ...

    def finish(self, filters: Tensor, images: Tensor) -> Tensor:
        """Logits (P, classes) of P pairs of a filter and an image of the batch; equal filters stand together."""


class Swap(Protocol):
    """Swaps a layer's filters in a network."""

    def prepare(self, clean: Tensor, distorted: Tensor, swapped: Sequence[int] = ()) -> Batch:
        """Pass images through, clean and distorted, with the ``swapped`` filters already swapped in the latter."""


def make_swap(model: nn.Module, graph: Graph | None, layer: Layer) -> Swap:
    """On the graph where the layer is found in it, else by hooks."""
    if graph is not None:
        swap = GraphSwap(graph, layer)
        if swap.usable:
            return swap
    return HookSwap(model, layer)


class GraphSwap:
    """Swaps a layer's filters in a captured network."""

    def __init__(self, graph: Graph, layer: Layer) -> None:
        assert isinstance(layer.module, nn.Conv2d)
        self.graph = graph
        self.sites = graph.convolutions(layer.module.weight)
        cone = graph.after(self.sites)
        self.late = [site for site in self.sites if any(needed in cone for needed in site.all_input_nodes)]
        self._by_image = graph.after([graph.images])
        self.channels = layer.module.out_channels
        self.region = self._find_region(cone)
        inside = set(self.region)
        rest = [node for node in graph.nodes if node in cone and node not in inside]
        self.linear = [node for node in rest if self._is_linear(node, inside)]
        mixing = [node for node in rest if node not in self.linear]
        self.mixed = list(dict.fromkeys(needed for node in mixing for needed in node.all_input_nodes if needed in inside))
        self.entries = list(dict.fromkeys([*self.mixed, *(node.all_input_nodes[0] for node in self.linear)]))
        behind = {entry: graph.after([entry]) for entry in self.entries}
        self.first = [entry for entry in self.entries if not any(entry in behind[o] for o in self.entries if o is not entry)]
        used = [needed for node in (*rest, *self.region) for needed in node.all_input_nodes]
        self.outside = list(dict.fromkeys(needed for needed in used if needed not in cone and self._is_batch(needed)))
        self.activated = {node: user for node in self.linear if (user := self._only_user(node)) is not None}
        known = {*(self.activated.get(node, node) for node in self.linear), *self.mixed, *self.outside, graph.images}
        self.rest, self.fused = fuse(graph, graph.before([graph.logits], without=known), unfused=self.late)
        self.usable = bool(self.sites) and graph.logits not in inside

    def prepare(self, clean: Tensor, distorted: Tensor, swapped: Sequence[int] = ()) -> GraphBatch:
        """Pass images through, clean and distorted, with the ``swapped`` filters already swapped in the latter."""
        return GraphBatch(self, clean, distorted, swapped)

    def _is_batch(self, node: Node) -> bool:
        return node in self._by_image and isinstance(node.meta.get("val"), Tensor)

    def _find_region(self, cone: set[Node]) -> list[Node]:
        found = {site for site in self.sites if site not in self.late}
        for node in self.graph.nodes:
            if node in cone and node not in found and node not in self.sites and self._is_channelwise(node, cone, found):
                found.add(node)
        return [node for node in self.graph.nodes if node in found]

    def _is_channelwise(self, node: Node, cone: set[Node], region: set[Node]) -> bool:
        if node.target == CONVOLUTION:
            weight = self.graph.constant(settings(node).weight)
            depthwise = weight is not None and settings(node).groups == self.channels == len(weight)
            return depthwise and settings(node).images in region
        if node.target not in CHANNELWISE:
            return False
        return self._aligned(node) and all(
            needed in region or (needed not in cone and self._aligned(needed)) for needed in node.all_input_nodes
        )

    def _aligned(self, node: Node) -> bool:
        """Whether the last dimension but two counts the layer's channels, or is broadcast over them."""
        value = self.graph.constant(node)
        value = node.meta.get("val") if value is None else value
        if not isinstance(value, Tensor) or value.ndim == 0:
            return True
        if self._is_batch(node):
            return value.ndim == 4 and value.shape[1] in (1, self.channels)
        return value.ndim >= 3 and value.shape[-3] in (1, self.channels)

    @staticmethod
    def _only_user(node: Node) -> Node | None:
        """The ReLU that is all that becomes of a node, if so."""
        users = list(node.users)
        return users[0] if len(users) == 1 and users[0].target == aten.relu.default else None

    def _is_linear(self, node: Node, region: set[Node]) -> bool:
        return (
            node.target == CONVOLUTION
            and settings(node).groups == 1
            and settings(node).images in region
            and node not in self.sites
        )


class GraphBatch:
    """A batch on a captured graph."""

    def __init__(self, swap: GraphSwap, clean: Tensor, distorted: Tensor, swapped: Sequence[int]) -> None:
        self._swap = swap
        graph = swap.graph
        self._distorted = distorted
        self._sites = graph.run(graph.before(swap.sites, without=[graph.images]), {graph.images: clean}, swap.sites)
        self._swapped = torch.as_tensor(swapped, dtype=torch.int64, device=clean.device)

        def replace(node: Node, value: Any) -> Any:
            if node not in self._sites or not len(self._swapped):
                return value
            return value.index_copy(1, self._swapped, self._sites[node][:, self._swapped])

        keep = [*swap.entries, *swap.linear, *swap.outside, *swap.late, graph.logits]
        nodes = graph.before([graph.logits], without=[graph.images])
        self._held = graph.run(nodes, {graph.images: distorted}, keep, replace=replace)
        self._held[graph.images] = distorted
        self.logits: Tensor = self._held[graph.logits].float()

    @cached_property
    def _wanted(self) -> dict[Node, Tensor]:
        """What arrives at the frontier with all channels swapped."""
        swap = self._swap
        given = {node: self._held[node] for node in swap.outside}
        given |= {site: value for site, value in self._sites.items() if site not in swap.late}
        found = swap.graph.run(swap.graph.before(swap.entries, without=given), given, swap.entries)
        return {node: value.contiguous() for node, value in found.items()}

    @property
    def moves(self) -> dict[Node, Tensor]:
        """By how much the values that everything else follows from would move if all channels were swapped, (B, C, H, W) each."""
        late = {site: self._sites[site] - self._held[site] for site in self._swap.late}
        return {node: self._differences[node].transpose(0, 1) for node in self._swap.first} | late

    @cached_property
    def _differences(self) -> dict[Node, Tensor]:
        """What the swap of all channels changes there, (C, B, H, W): each channel's share is read by itself."""
        return {node: (wanted - self._held[node]).transpose(0, 1).contiguous() for node, wanted in self._wanted.items()}

    @cached_property
    def changes(self) -> Tensor:
        """(B, C), whether a filter's swap can change an image's result."""
        changed = [difference.flatten(2).any(2).T for difference in self._differences.values()]
        changed += [(self._sites[site] != self._held[site]).flatten(2).any(2) for site in self._swap.late]
        return torch.stack(changed).any(0)

    def finish(self, filters: Tensor, images: Tensor) -> Tensor:
        """Logits (P, classes) of P pairs of a filter and an image of the batch; equal filters stand together."""
        swap, graph = self._swap, self._swap.graph
        pairs = torch.arange(len(filters), device=filters.device)
        given: dict[Node, Any] = {node: _rows(self._held[node], images) for node in (*swap.outside, graph.images)}
        for node in swap.mixed:
            value = _rows(self._held[node], images, copy=True)
            value[pairs, filters] = self._wanted[node][images, filters]
            given[node] = value
        for node in swap.linear:
            value = self._add_shares(node, filters, images)
            given[swap.activated.get(node, node)] = value.relu_() if node in swap.activated else value

        def replace(node: Node, value: Any) -> Any:
            if node in swap.late:
                wanted = self._sites[node][images]
                value = value.index_copy(1, self._swapped, wanted[:, self._swapped])
                value[pairs, filters] = wanted[pairs, filters]
            return value

        found = graph.run(swap.rest, given, [graph.logits], replace=replace, fused=swap.fused)
        return cast(Tensor, found[graph.logits]).float()

    def _add_shares(self, node: Node, filters: Tensor, images: Tensor) -> Tensor:
        """The output of a convolution for the distorted images, and to it each pair's one-channel share."""
        given = settings(node)
        weight = self._swap.graph.constant(given.weight)
        assert weight is not None
        found = []
        start = 0
        for filter_, group in itertools.groupby(filters.tolist()):
            part = images[start : (start := start + sum(1 for _ in group))]
            difference = _rows(self._differences[given.images][filter_], part).unsqueeze(1)
            one = weight[:, filter_ : filter_ + 1]
            share = F.conv2d(difference, one, None, given.stride, given.padding, given.dilation)
            found.append(share.add_(_rows(self._held[node], part)))
        return found[0] if len(found) == 1 else torch.cat(found)


class HookSwap:
    """Swaps a layer's filters in a network that cannot be captured: the whole network runs, a hook puts channels in."""

    def __init__(self, model: nn.Module, layer: Layer) -> None:
        self.model = model
        self.module = layer.module

    def prepare(self, clean: Tensor, distorted: Tensor, swapped: Sequence[int] = ()) -> HookBatch:
        """Pass images through, clean and distorted, with the ``swapped`` filters already swapped in the latter."""
        return HookBatch(self, clean, distorted, swapped)


class HookBatch:
    """A batch through the whole network."""

    def __init__(self, swap: HookSwap, clean: Tensor, distorted: Tensor, swapped: Sequence[int]) -> None:
        self._swap = swap
        self._distorted = distorted
        self._swapped = torch.as_tensor(swapped, dtype=torch.int64, device=clean.device)
        self._wanted: list[Tensor] = []
        self._run(clean, lambda call, output: self._wanted.append(output.clone()))
        held: list[Tensor] = []

        def put(call: int, output: Tensor) -> Tensor:
            output = output.index_copy(1, self._swapped, self._wanted[call][:, self._swapped])
            held.append(output.clone())
            return output

        self.logits = self._run(distorted, put)
        changed = [(wanted != output).flatten(2).any(2) for wanted, output in zip(self._wanted, held, strict=True)]
        self._changes = torch.stack(changed).any(0)

    @property
    def changes(self) -> Tensor:
        """(B, C), whether a filter's swap can change an image's result."""
        return self._changes

    def finish(self, filters: Tensor, images: Tensor) -> Tensor:
        """Logits (P, classes) of P pairs of a filter and an image of the batch."""
        pairs = torch.arange(len(filters), device=filters.device)

        def put(call: int, output: Tensor) -> Tensor:
            wanted = self._wanted[call][images]
            output = output.index_copy(1, self._swapped, wanted[:, self._swapped])
            output[pairs, filters] = wanted[pairs, filters]
            return output

        return self._run(_rows(self._distorted, images), put)

    def _run(self, images: Tensor, hook: Callable[[int, Tensor], Tensor | None]) -> Tensor:
        calls = itertools.count()
        handle = self._swap.module.register_forward_hook(lambda module, args, output: hook(next(calls), output))
        try:
            logits: Tensor = self._swap.model(images)
            return logits.float()
        finally:
            handle.remove()


def _rows(value: Tensor, images: Tensor, *, copy: bool = False) -> Tensor:
    """The rows of a tensor, in its own memory format; the tensor itself where they are all of its rows in order."""
    if len(images) == len(value) and bool((images == torch.arange(len(images), device=images.device)).all()):
        return value.clone() if copy else value
    if value.ndim == 4 and value.is_contiguous(memory_format=torch.channels_last):
        return value.permute(0, 2, 3, 1).index_select(0, images).permute(0, 3, 1, 2)
    return value.index_select(0, images)
