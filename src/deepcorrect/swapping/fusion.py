"""Convolutions as oneDNN runs them best on a CPU: weights laid out once a precision, the ReLU behind them in the same pass.

It is for inference: what is fused has no gradient.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor
from torch.fx import Node

from deepcorrect.swapping.graph import Fused, Graph
from deepcorrect.swapping.normal_form import CONVOLUTION, settings

_RELU = torch.ops.aten.relu.default
_PRIVATE = ("_convolution_pointwise", "_reorder_convolution_weight")
"""Operations private to torch: without one of them, convolutions run as they are."""


class FusedConvolution:
    """A convolution of a graph with constant weights, and the ReLU after it where ``relu``."""

    def __init__(self, graph: Graph, node: Node, *, relu: bool) -> None:
        given = settings(node)
        self.source: Node = given.images
        self._weight, self._bias = graph.constant(given.weight), graph.constant(given.bias)
        self._place = (given.padding, given.stride, given.dilation, given.groups)
        self._relu = "relu" if relu else "none"
        self._packed: dict[torch.dtype, tuple[Tensor, Tensor | None]] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """(B, I, H, W) to (B, O, H', W'), in the precision of autocast."""
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else images.dtype
        images = images.to(dtype)
        if dtype not in self._packed:
            self._packed[dtype] = self._pack(images)
        weight, bias = self._packed[dtype]
        output: Tensor = torch.ops.mkldnn._convolution_pointwise(images, weight, bias, *self._place, self._relu, [], "")
        return output

    def _pack(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        assert self._weight is not None
        weight = self._weight.to(images.dtype)
        packed = torch.ops.mkldnn._reorder_convolution_weight(weight, *self._place, images.shape)
        return packed, None if self._bias is None else self._bias.to(images.dtype)


def fuse(graph: Graph, nodes: Sequence[Node], *, unfused: Collection[Node] = ()) -> tuple[list[Node], dict[Node, Fused]]:
    """Which nodes to run for some nodes, and what to run in place of them, where processor and torch can.

    Those ``unfused`` are left alone.
    """
    able = torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in _PRIVATE)  # type: ignore[no-untyped-call]
    kept: list[Node] = []
    fused: dict[Node, Fused] = {}
    for node in nodes:
        if able and node.target == CONVOLUTION and node not in unfused and _takes(graph, node):
            user, *others = node.users
            relu = not others and user.target == _RELU and user in nodes
            if (node, relu) not in graph.fused:
                graph.fused[node, relu] = FusedConvolution(graph, node, relu=relu)
            fused[user if relu else node] = graph.fused[node, relu]
            if relu:
                continue
        kept.append(node)
    return kept, fused


def _takes(graph: Graph, node: Node) -> bool:
    """Whether oneDNN computes a convolution: on the CPU, of constants in single precision."""
    given = settings(node)
    constants = [graph.constant(source) for source in (given.weight, given.bias) if source is not None]
    return all(value is not None and value.device.type == "cpu" and value.dtype == torch.float32 for value in constants)
