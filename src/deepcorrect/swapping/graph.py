"""A network as a graph of operations, captured by ``torch.export``: what depends on what, and how to run a part of it.

Batch normalisations are folded into the convolutions in front of them, and in-place operations become functional, so that every
value of the graph can be kept, changed and run on from.
"""

from __future__ import annotations

import logging
import math
import threading
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import MappingProxyType
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.export import Dim, export
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from deepcorrect.base.device import out_of_memory
from deepcorrect.base.errors import first_line
from deepcorrect.models.inspection import looking
from deepcorrect.swapping.independence import agree
from deepcorrect.swapping.normal_form import CONVOLUTION, Settings, marked, normalize, settings
from deepcorrect.tasks.base import Task
from deepcorrect.tasks.classification import CLASSIFICATION

__all__ = ["CONVOLUTION", "Fused", "Graph", "Settings", "bytes_a_row", "capture", "settings"]


class Fused(Protocol):
    """Several operations as one that takes the value of a ``source``."""

    source: Node

    def __call__(self, value: Tensor, /) -> Tensor: ...


class Graph:
    """A captured network.

    Attributes:
        nodes: what depends on the images and the answer depends on, in order of execution.
        images: the node that takes the images; ``answer``: the one that gives the task's outputs.
        outputs: by a convolution module's name, the nodes with its output, one for each time that it runs.
        by_image: nodes that depend on the images.
        fused: convolutions that ``deepcorrect.swapping.fusion`` has prepared, with ReLU or without.
    """

    def __init__(self, module: GraphModule) -> None:
        self._constants, outputs = normalize(module)
        self.nodes = [node for node in module.graph.nodes if node.op != "output" and node not in self._constants]
        (self.images,) = [node for node in self.nodes if node.op == "placeholder"]
        (output,) = [node for node in module.graph.nodes if node.op == "output"]
        answers = output.args[0] if isinstance(output.args[0], tuple | list) else (output.args[0],)
        if len(answers) != 1 or answers[0] not in self.nodes:
            raise ValueError("the network does not return one tensor that depends on the images")
        (self.answer,) = answers
        self.fused: dict[tuple[Node, bool], Fused] = {}
        self.nodes = self.before([self.answer, self.images])
        self.by_image = self.after([self.images])
        self.outputs = {name: [node for node in nodes if node in self.by_image] for name, nodes in outputs.items()}

    def constant(self, node: Node | None) -> Tensor | None:
        """The value of a node that does not depend on the images."""
        return None if node is None else self._constants.get(node)

    def batched(self, node: Node) -> bool:
        """Whether a node has a tensor whose first dimension counts the images."""
        return bool(shape := _shape(node)) and str(shape[0]) == str(self.images.meta["val"].shape[0])

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

        def value_of(node: Node) -> Any:
            return known[node] if node in known else self._constants[node]

        last: dict[Node, Node] = {}
        for node in nodes:
            last |= dict.fromkeys([fused[node].source] if node in fused else node.all_input_nodes, node)
        finished: dict[Node, list[Node]] = {}
        for needed, node in last.items():
            finished.setdefault(node, []).append(needed)
        for node in nodes:
            if node in known:
                continue
            if node in fused:
                value: Any = fused[node](known[fused[node].source])
            else:
                args, kwargs = map_arg((node.args, node.kwargs), value_of)
                value = cast(Callable[..., Any], node.target)(*args, **kwargs)
            known[node] = replace(node, value)
            for needed in finished.get(node, ()):
                if needed not in keep:
                    known.pop(needed, None)
        return {node: known[node] for node in keep if node in known}


def _shape(node: Node) -> Sequence[int | torch.SymInt]:
    """Of a node's tensor; none where it has no tensor."""
    value = node.meta.get("val")
    return value.shape if isinstance(value, Tensor) else ()


def bytes_a_row(node: Node) -> int:
    """What the value of a node takes for one image, about, in single precision."""
    sizes = [size.node.hint or 1 if isinstance(size, torch.SymInt) else size for size in _shape(node)]
    return 4 * math.prod(sizes[1:]) if sizes else 0


def capture(
    model: nn.Module,
    example: Tensor,
    *,
    task: Task = CLASSIFICATION,
    tell: Callable[[str], None] = lambda reason: None,
) -> Graph | None:
    """The graph of a network in eval mode, or None where it cannot be had. The network is left as it was.

    It is captured on two images and compared with the network on the whole example, or on three images if that has fewer.

    Args:
        model: takes images (B, C, H, W).
        example: images of the kind that the graph is to be run on, in their memory layout.
        task: says what of the network's answer is its outputs, (B, ...); the graph gives these alone.
        tell: called with the reason where there is no graph.

    Raises:
        MemoryError, torch.OutOfMemoryError: there is too little memory.
    """
    images = example if len(example) > 2 else torch.cat([example, example.flip(3), example.flip(2)])
    with looking(model), torch.no_grad():
        wanted = task.outputs(model(images.clone()))
        try:
            with _quiet(), marked(model):
                program = export(_Whole(model, task), (images[:2].clone(),), dynamic_shapes=({0: Dim("batch")},), strict=False)
                graph = Graph(program.run_decompositions({}).module(check_guards=False))
            answer = graph.run(graph.nodes, {graph.images: images}, [graph.answer])[graph.answer]
        except Exception as error:  # export fails in many ways, each with an error of its own
            if out_of_memory(error):
                raise
            fixed = "Constraints violated" in str(error)
            tell("what it does depends on the number of images, as with len(images)" if fixed else first_line(error))
            return None
    if not agree(answer, wanted):
        tell("the captured graph answers otherwise than the network")
        return None
    return graph


class _Whole(nn.Module):
    """A network with its own hooks, from images alone to outputs alone, whatever else it could be given or returns."""

    def __init__(self, model: nn.Module, task: Task) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.training = model.training

    def forward(self, images: Tensor) -> Tensor:
        return self.task.outputs(self.model(images))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch tells on the way, in this thread: that it fails to capture a network is an answer here."""
    own = threading.get_ident()
    tracer = import_module("torch.export._trace")  # which prints the graph so far where it fails

    def by_others(record: logging.LogRecord) -> bool:
        return record.thread != own

    loggers = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict) if name.partition(".")[0] == "torch"]
    for logger in loggers:
        logger.addFilter(by_others)
    try:
        with warnings.catch_warnings():
            for module in (r"torch\b", "copyreg", "contextlib"):
                warnings.filterwarnings("ignore", module=module)
            vars(tracer)["print"] = lambda *said, **options: None
            yield
    finally:
        vars(tracer).pop("print", None)
        for logger in loggers:
            logger.removeFilter(by_others)
