"""Swaps of a layer's filters on a captured graph.

What follows the layer falls into three parts:

- the *region*: operations that act channel by channel (normalisation, ReLU, pooling, addition ...). There the swapped value of
  a channel is the value of a pass in which all channels are swapped, so that one such pass serves all filters;
- the *frontier*: what first mixes channels. A convolution is linear in them, so that one channel's difference, convolved with
  one slice of the weights, is added to the output that the distorted images have already; anything else gets its input with
  the one channel put in;
- the *rest*, run as it is.

A pair whose channel is the same at every frontier changes nothing and need not be run: see ``GraphBatch.changes``.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx import Node

from deepcorrect.models.layers import Layer
from deepcorrect.swapping.fusion import fuse
from deepcorrect.swapping.graph import Graph, bytes_a_row
from deepcorrect.swapping.normal_form import CONVOLUTION, settings

aten = torch.ops.aten
CHANNELWISE = {
    aten.relu.default, aten.relu6.default, aten.hardtanh.default, aten.leaky_relu.default, aten.elu.default, aten.silu.default,
    aten.gelu.default, aten.hardswish.default, aten.hardsigmoid.default, aten.sigmoid.default, aten.tanh.default,
    aten.max_pool2d.default, aten.avg_pool2d.default, aten.adaptive_avg_pool2d.default, aten.adaptive_max_pool2d.default,
    aten.clone.default, aten.dropout.default, aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor,
}  # fmt: skip
"""Operations of which each output channel depends on the same input channel alone, where the shapes agree."""
_PADDING = {aten.pad.default, aten.constant_pad_nd.default}


class GraphSwap:
    """Swaps a layer's filters in a captured network.

    Attributes:
        sites: where the layer's output is, one a use; ``late`` are those that an earlier use feeds.
        region: what acts channel by channel behind the others.
        linear: convolutions at the frontier; ``activated`` says which ReLU is all that becomes of one.
        mixed: values of the region that anything else mixes.
        entries: values of the region at the frontier.
        cut: values through which all goes that comes of the early sites: the entries that follow from no other, else the sites.
        outside: values, a row an image, that do not depend on the layer, and that the region or the rest needs.
        rest, behind, after_cut: what runs after the frontier, after the layer, and after the cut.
        problem: why the layer cannot be swapped on the graph; empty where it can.
    """

    def __init__(self, graph: Graph, layer: Layer) -> None:
        self.graph = graph
        self.sites = graph.outputs.get(layer.name, [])
        cone = graph.after(self.sites)
        self.late = [site for site in self.sites if any(needed in cone for needed in site.all_input_nodes)]
        self.channels = layer.filters
        self.region = self._find_region(cone)
        inside = set(self.region)
        rest = [node for node in graph.nodes if node in cone and node not in inside]
        self.linear = [node for node in rest if self._is_linear(node, cone, inside)]
        mixing = [node for node in rest if node not in self.linear]
        self.mixed = list(dict.fromkeys(needed for node in mixing for needed in node.all_input_nodes if needed in inside))
        self.entries = list(dict.fromkeys([*self.mixed, *(node.all_input_nodes[0] for node in self.linear)]))
        self.outside = self._find_outside([*rest, *self.region], cone)
        early = [site for site in self.sites if site not in self.late]
        self.cut = self._find_cut(early)
        self.activated = {node: user for node in self.linear if (user := self._only_user(node)) is not None}
        known = {*(self.activated.get(node, node) for node in self.linear), *self.mixed, *self.outside, graph.images}
        self.rest, self.fused = fuse(graph, graph.before([graph.answer], without=known), unfused=self.late)
        self._clean = fuse(graph, graph.before(self.sites, without=[graph.images]), unfused=self.sites)
        whole = graph.before([graph.answer], without=[graph.images])
        self._distorted = fuse(graph, whole, unfused=[*self.sites, *self.kept])
        later = graph.before([graph.answer], without=[*early, *self.outside, graph.images])
        self.behind = fuse(graph, later, unfused=self.late)
        self.after_cut = graph.before([graph.answer], without=[*self.cut, *self.outside, graph.images])
        self.problem = self._find_problem(layer, inside)

    def _find_problem(self, layer: Layer, region: set[Node]) -> str:
        if len(self.sites) != layer.uses:
            return f"it runs {layer.uses} time(s), of which the captured graph has {len(self.sites)}"
        if not all(self._aligned(site) for site in self.sites):
            return "the rows of its output are not the images"
        if not all(self.graph.batched(node) for node in self.kept):
            return "what follows it does not keep the images apart"
        return "nothing follows it" if self.graph.answer in region else ""

    def prepare(self, clean: Tensor, distorted: Tensor) -> GraphBatch:
        """Pass images through, clean and distorted."""
        graph = self.graph
        nodes, fused = self._clean
        wanted = graph.run(nodes, {graph.images: clean}, self.sites, fused=fused)
        nodes, fused = self._distorted
        held = graph.run(nodes, {graph.images: distorted}, self.kept, fused=fused)
        return GraphBatch(self, wanted, held | {graph.images: distorted})

    @property
    def kept(self) -> list[Node]:
        """Nodes whose values for the distorted images a batch keeps."""
        return [*self.entries, *self.linear, *self.outside, *self.sites, self.graph.answer]

    @cached_property
    def bytes_a_pair(self) -> int:
        """Memory that finishing a pair takes, about."""
        given = [*self.linear, *self.mixed, *self.outside]
        return max(1, self.graph.peak(self.rest, given) + sum(map(bytes_a_row, self.linear)))

    def _find_outside(self, nodes: Sequence[Node], cone: set[Node]) -> list[Node]:
        """The values with a row an image that some nodes need and that do not depend on the layer."""
        found: dict[Node, None] = {}
        pending = [needed for node in nodes for needed in node.all_input_nodes]
        while pending:
            node = pending.pop()
            if node in cone or node in found or node not in self.graph.by_image:
                continue
            if self.graph.batched(node):
                found[node] = None
            else:
                pending += node.all_input_nodes
        return [node for node in self.graph.nodes if node in found]

    def _find_cut(self, early: Sequence[Node]) -> list[Node]:
        behind = {entry: self.graph.after([entry]) for entry in self.entries}
        first = [entry for entry in self.entries if not any(entry in behind[o] for o in self.entries if o is not entry)]
        passed = self.graph.before([self.graph.answer], without=first)
        return list(early) if any(site in passed for site in early) else first

    def _find_region(self, cone: set[Node]) -> list[Node]:
        found = {site for site in self.sites if site not in self.late}
        for node in self.graph.nodes:
            if node in cone and node not in found and node not in self.sites and self._is_channelwise(node, cone, found):
                found.add(node)
        return [node for node in self.graph.nodes if node in found]

    def _is_channelwise(self, node: Node, cone: set[Node], region: set[Node]) -> bool:
        if node.target == CONVOLUTION:
            given = settings(node)
            weight = self.graph.constant(given.weight)
            depthwise = weight is not None and given.groups == self.channels == len(weight)
            return depthwise and given.images in region and given.bias not in cone
        if node.target not in CHANNELWISE and not (node.target in _PADDING and len(cast(Any, node.args[1])) <= 4):
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
        channels = value.shape[-3] if value.ndim >= 3 else None
        if not isinstance(channels, int) or channels not in (1, self.channels):
            return False
        return node not in self.graph.by_image or (value.ndim == 4 and self.graph.batched(node))

    def _only_user(self, node: Node) -> Node | None:
        """The ReLU that is all that becomes of a node, if so."""
        users = list(node.users)
        alone = len(users) == 1 and users[0].target == aten.relu.default and users[0] not in self.sites
        return users[0] if alone else None

    def _is_linear(self, node: Node, cone: set[Node], region: set[Node]) -> bool:
        if node.target != CONVOLUTION or node in self.sites:
            return False
        given = settings(node)
        constant = self.graph.constant(given.weight) is not None and given.bias not in cone
        return constant and given.groups == 1 and given.images in region


class GraphBatch:
    """A batch on a captured graph.

    Attributes:
        outputs: (B, ...) float32, of the distorted images.
    """

    def __init__(self, swap: GraphSwap, sites: Mapping[Node, Tensor], held: Mapping[Node, Any]) -> None:
        """Of a layer's outputs for the clean images, and what the ``kept`` nodes and the images hold distorted."""
        self._swap = swap
        self._sites = {site: sites[site] for site in swap.sites}
        self._held = held
        self.outputs: Tensor = held[swap.graph.answer].float()

    @cached_property
    def _wanted(self) -> dict[Node, Tensor]:
        """What arrives at the frontier with all channels swapped."""
        swap = self._swap
        given = {node: self._held[node] for node in (*swap.outside, swap.graph.images)}
        given |= {site: value for site, value in self._sites.items() if site not in swap.late}
        found = swap.graph.run(swap.graph.before(swap.entries, without=given), given, swap.entries)
        return {node: value.contiguous() for node, value in found.items()}

    @property
    def moves(self) -> dict[Node, Tensor]:
        """By how much the values at the cut and the late sites would move if every channel were swapped, (B, C, H, W) each."""
        wanted = self._sites | self._wanted
        return {node: wanted[node] - self._held[node] for node in (*self._swap.cut, *self._swap.late)}

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

    def answer(self, filters: Sequence[int]) -> Tensor:
        """Outputs (B, ...) with some filters swapped together."""
        swap, graph = self._swap, self._swap.graph
        index = torch.as_tensor(filters, dtype=torch.int64, device=self.outputs.device)

        def put(site: Node, value: Any) -> Any:
            return value.index_copy(1, index, self._sites[site][:, index]) if site in swap.sites else value

        given = {node: self._held[node] for node in (*swap.outside, graph.images)}
        given |= {site: put(site, self._held[site]) for site in swap.sites if site not in swap.late}
        nodes, fused = swap.behind
        found = graph.run(nodes, given, [graph.answer], replace=put, fused=fused)
        return cast(Tensor, found[graph.answer]).float()

    def finish(self, filters: Tensor, images: Tensor) -> Tensor:
        """Outputs (P, ...) of P pairs of a filter and an image of the batch; equal filters stand together."""
        swap, graph = self._swap, self._swap.graph
        pairs = torch.arange(len(filters), device=filters.device)
        given: dict[Node, Any] = {node: rows(self._held[node], images) for node in (*swap.outside, graph.images)}
        for node in swap.mixed:
            value = rows(self._held[node], images, copy=True)
            value[pairs, filters] = self._wanted[node][images, filters]
            given[node] = value
        for node in swap.linear:
            value = self._add_shares(node, filters, images)
            given[swap.activated.get(node, node)] = value.relu_() if node in swap.activated else value

        def replace(node: Node, value: Any) -> Any:
            if node in swap.late:
                value = value.clone()
                value[pairs, filters] = self._sites[node][images, filters]
            return value

        found = graph.run(swap.rest, given, [graph.answer], replace=replace, fused=swap.fused)
        return cast(Tensor, found[graph.answer]).float()

    def _add_shares(self, node: Node, filters: Tensor, images: Tensor) -> Tensor:
        """The output of a convolution for the distorted images, and to it each pair's one-channel share."""
        given = settings(node)
        weight = self._swap.graph.constant(given.weight)
        assert weight is not None
        found = []
        start = 0
        for filter_, group in itertools.groupby(filters.tolist()):
            part = images[start : (start := start + sum(1 for _ in group))]
            difference = rows(self._differences[given.images][filter_], part).unsqueeze(1)
            one = weight[:, filter_ : filter_ + 1]
            share = F.conv2d(difference, one, None, given.stride, given.padding, given.dilation)
            found.append(share.add_(rows(self._held[node], part)))
        return found[0] if len(found) == 1 else torch.cat(found)


def rows(value: Tensor, images: Tensor, *, copy: bool = False) -> Tensor:
    """The rows of a tensor, in its own memory format; the tensor itself where they are all of its rows in order."""
    if len(images) == len(value) and bool((images == torch.arange(len(images), device=images.device)).all()):
        return value.clone() if copy else value
    if value.ndim == 4 and value.is_contiguous(memory_format=torch.channels_last):
        return value.permute(0, 2, 3, 1).index_select(0, images).permute(0, 3, 1, 2)
    return value.index_select(0, images)
