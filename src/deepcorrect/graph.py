"""A network as a graph of operations, captured by ``torch.export``: what depends on what, and how to run a part of it.

Batch normalisations are folded into the convolutions in front of them, and in-place operations become functional, so that every
value of the graph can be kept, changed and run on from.
"""

from __future__ import annotations

import logging
import math
import operator
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn
from torch.export import Dim, export
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

aten = torch.ops.aten
_BATCH_NORM = aten._native_batch_norm_legit_no_training.default
CONVOLUTION = aten.conv2d.default


class Settings(NamedTuple):
    """What a convolution is given."""

    images: Node
    weight: Node
    bias: Node | None = None
    stride: Sequence[int] = (1, 1)
    padding: Sequence[int] = (0, 0)
    dilation: Sequence[int] = (1, 1)
    groups: int = 1


def settings(node: Node) -> Settings:
    """Of a convolution's node."""
    return Settings(*cast(Any, node.args))


class Fused(Protocol):
    """Several operations as one that takes the value of a ``source``."""

    source: Node

    def __call__(self, value: Tensor, /) -> Tensor: ...


class Graph:
    """A captured network.

    Attributes:
        nodes: in order of execution.
        images: the node that takes the images; ``logits``: the one that gives the answer.
        fused: convolutions that ``deepcorrect.fusion`` has prepared, with ReLU or without.
    """

    def __init__(self, module: GraphModule) -> None:
        self._module = module
        self.nodes = [node for node in module.graph.nodes if node.op not in ("output", "call_module")]
        (self.images,) = [node for node in self.nodes if node.op == "placeholder"]
        (output,) = [node for node in module.graph.nodes if node.op == "output"]
        (self.logits,) = output.args[0] if isinstance(output.args[0], tuple | list) else (output.args[0],)
        self.fused: dict[tuple[Node, bool], Fused] = {}
        self._constants = {node: _attribute(module, node.target) for node in self.nodes if node.op == "get_attr"}

    def convolutions(self, weight: Tensor) -> list[Node]:
        """The convolutions with this weight, one for each time that its layer runs."""
        return [
            node
            for node in self.nodes
            if node.target == CONVOLUTION and node.meta.get("weight", self.constant(settings(node).weight)) is weight
        ]

    def constant(self, node: Node | None) -> Tensor | None:
        """The tensor of a node that is a parameter or buffer."""
        return None if node is None else self._constants.get(node)

    def after(self, starts: Collection[Node]) -> set[Node]:
        """Everything that depends on some nodes, these included."""
        found = set(starts)
        for node in self.nodes:
            if any(needed in found for needed in node.all_input_nodes):
                found.add(node)
        return found

    def before(self, ends: Iterable[Node], *, without: Collection[Node] = ()) -> list[Node]:
        """Everything that some nodes depend on, these included, in order; what is ``without`` ends the search."""
        wanted = set(ends) - set(without)
        for node in reversed(self.nodes):
            if node in wanted:
                wanted.update(needed for needed in node.all_input_nodes if needed not in without)
        return [node for node in self.nodes if node in wanted]

    def peak(self, nodes: Sequence[Node], given: Collection[Node]) -> int:
        """Bytes for one image that are held at once, at most, while some nodes run on ``given`` others."""
        last = {needed: node for node in nodes for needed in node.all_input_nodes}
        held = {node: bytes_a_row(node) for node in given}
        most = sum(held.values())
        for node in nodes:
            held[node] = bytes_a_row(node)
            most = max(most, sum(held.values()))
            held = {kept: size for kept, size in held.items() if kept in last and last[kept] is not node}
        return most

    def run(
        self,
        nodes: Sequence[Node],
        values: dict[Node, Any],
        keep: Collection[Node],
        *,
        replace: Callable[[Node, Any], Any] = lambda node, value: value,
        fused: Mapping[Node, Fused] = MappingProxyType({}),
    ) -> dict[Node, Any]:
        """Run some nodes in order on the ``values`` of others; those to ``keep`` come back.

        ``replace`` may change what a node gives; what is ``fused`` is computed another way.
        """
        known = dict(values)
        last: dict[Node, Node] = {}
        for node in nodes:
            last |= dict.fromkeys([fused[node].source] if node in fused else node.all_input_nodes, node)
        finished: dict[Node, list[Node]] = {}
        for needed, node in last.items():
            finished.setdefault(node, []).append(needed)
        for node in nodes:
            if node in known:
                continue
            if node.op == "get_attr":
                value: Any = self._constants[node]
            elif node in fused:
                value = fused[node](known[fused[node].source])
            else:
                args, kwargs = map_arg((node.args, node.kwargs), lambda needed: known[needed])
                value = cast(Callable[..., Any], node.target)(*args, **kwargs)
            known[node] = replace(node, value)
            for needed in finished.get(node, ()):
                if needed not in keep:
                    known.pop(needed, None)
        return {node: known[node] for node in keep if node in known}


def bytes_a_row(node: Node) -> int:
    """What the value of a node takes for one image, in single precision."""
    value = node.meta.get("val")
    return 4 * math.prod(int(size) for size in value.shape[1:]) if isinstance(value, Tensor) and value.ndim else 0


def capture(model: nn.Module, example: Tensor) -> Graph | None:
    """The graph of a network in eval mode, or None where it cannot be had.

    It is run on another number of images than the example's, and must answer as the network does.
    """
    images = torch.cat([example, example.flip(3), example.flip(2)])
    try:
        with _quiet():
            program = export(model, (torch.cat([example, example]),), dynamic_shapes=({0: Dim("batch")},), strict=False)
            graph = Graph(_fold(program.run_decompositions({}).module(check_guards=False)))
        answer = graph.run(graph.nodes, {graph.images: images}, [graph.logits])[graph.logits]
    except Exception:  # export fails in many ways, each with an error of its own
        return None
    wanted = model(images)
    if not isinstance(wanted, Tensor) or wanted.shape != answer.shape:
        return None
    return graph if torch.allclose(answer, wanted, rtol=1e-3, atol=1e-5 + 1e-3 * float(wanted.detach().abs().max())) else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch.export says on the way: that it fails on a network is an answer here."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            yield
    finally:
        logging.disable(disabled)


def _fold(module: GraphModule) -> GraphModule:
    """Fold every batch normalisation into the convolution in front of it, where that feeds nothing else."""
    graph = module.graph
    for node in list(graph.nodes):
        if node.target != _BATCH_NORM:
            continue
        convolution, scale, shift, mean, variance, _, epsilon = node.args
        if convolution.target != CONVOLUTION or len(convolution.users) > 1:
            continue
        if any(user.target != operator.getitem or user.args[1] != 0 for user in node.users):
            continue
        given = list(convolution.args) + [None] * max(0, 3 - len(convolution.args))
        weight = _attribute(module, given[1].target)
        bias = _attribute(module, given[2].target) if given[2] is not None else torch.zeros(len(weight)).to(weight)
        mean, variance = _attribute(module, mean.target), _attribute(module, variance.target)
        gain = (variance + epsilon).rsqrt()
        if scale is not None:
            gain = gain * _attribute(module, scale.target)
        offset = (bias - mean) * gain
        if shift is not None:
            offset = offset + _attribute(module, shift.target)
        place = len(list(module.buffers()))
        module.register_buffer(f"folded_weight_{place}", (weight * gain.view(-1, 1, 1, 1)).detach())
        module.register_buffer(f"folded_bias_{place}", offset.detach())
        with graph.inserting_before(convolution):
            given[1] = graph.get_attr(f"folded_weight_{place}")
            given[2] = graph.get_attr(f"folded_bias_{place}")
        convolution.args = tuple(given)
        convolution.meta["weight"] = weight
        for user in list(node.users):
            user.replace_all_uses_with(convolution)
            graph.erase_node(user)
        graph.erase_node(node)
    graph.eliminate_dead_code()
    module.recompile()
    return module


def _attribute(module: nn.Module, path: object) -> Tensor:
    return cast(Tensor, operator.attrgetter(str(path))(module))
