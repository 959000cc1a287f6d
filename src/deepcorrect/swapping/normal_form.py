"""A program of torch.export brought to the form that swaps are made on.

- The output of every convolution module is found by a *mark*, an operation that a hook puts there while the network is
  captured: whatever the module does, however often it runs and whoever else has its weight.
- What does not depend on the images, computed weights included, is a constant.
- Every convolution has all its settings, padding in numbers, and the batch normalisation behind it is folded into it.
- A view copies where the memory layout asks for that, and nothing is detached.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

aten = torch.ops.aten
CONVOLUTION = aten.conv2d.default
_BATCH_NORM = getattr(getattr(aten, "_native_batch_norm_legit_no_training", None), "default", None)
"""Private to torch: without it, batch normalisations are not folded."""

_LIBRARY = torch.library.Library("deepcorrect", "FRAGMENT")  # type: ignore[no-untyped-call]
_LIBRARY.define("output_of(Tensor value, str module) -> Tensor")  # type: ignore[no-untyped-call]
_LIBRARY.impl("output_of", lambda value, module: value.clone(), "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
_MARK = torch.ops.deepcorrect.output_of.default


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


@contextmanager
def marked(model: nn.Module) -> Iterator[None]:
    """Mark the outputs of all convolution modules inside the context."""

    def mark(name: str) -> Callable[..., Tensor | None]:
        return lambda module, args, output: _MARK(output, name) if isinstance(output, Tensor) else None

    with ExitStack() as stack:
        for name, module in model.named_modules():
            if isinstance(module, nn.Conv2d):
                stack.callback(module.register_forward_hook(mark(name)).remove)
        yield


class NormalForm(NamedTuple):
    """What is known of a graph's nodes.

    Attributes:
        constants: values that do not depend on the images.
        outputs: by a convolution module's name, the nodes with its output, in the order in which it runs.
    """

    constants: dict[Node, Any]
    outputs: dict[str, list[Node]]


def normalize(module: GraphModule) -> NormalForm:
    """Bring the graph of a captured network, run under ``marked``, to the normal form."""
    graph = module.graph
    outputs: dict[str, list[Node]] = {}
    for node in list(graph.nodes):
        if node.target == _MARK:
            value, name = node.args
            if len(value.users) == 1 and value.op == "call_function":
                _replace(node, value)
            else:
                node.target, node.args, value = aten.clone.default, (value,), node
            outputs.setdefault(name, []).append(value)
        elif node.target == aten.detach.default:
            _replace(node, node.args[0])
        elif node.target in (aten.view.default, aten._unsafe_view.default):
            node.target = aten.reshape.default
        elif node.target in (CONVOLUTION, aten.conv2d.padding):
            _complete(node)
    graph.eliminate_dead_code()
    constants = _constants(module)
    for node in list(graph.nodes):
        if node.target == _BATCH_NORM:
            _fold(node, constants)
    return NormalForm(constants, outputs)


def _replace(node: Node, value: Node) -> None:
    node.replace_all_uses_with(value)
    node.graph.erase_node(node)


def _complete(node: Node) -> None:
    """Give a convolution all its settings, padding in numbers; what one side has more is padded before."""
    given = Settings(*node.args, **{"images" if name == "input" else name: value for name, value in node.kwargs.items()})  # type: ignore[arg-type]
    stride, dilation = _pair(given.stride), _pair(given.dilation)
    padding: Any = given.padding
    images = given.images
    if padding == "same":
        around = [step * (size - 1) for step, size in zip(dilation, given.weight.meta["val"].shape[2:], strict=True)]
        padding = [both // 2 for both in around]
        if any(both % 2 for both in around):
            images = _padded(node, images, [0, around[1] % 2, 0, around[0] % 2])
    elif padding == "valid":
        padding = [0, 0]
    node.target, node.kwargs = CONVOLUTION, {}
    node.args = (images, given.weight, given.bias, stride, _pair(padding), dilation, given.groups)


def _padded(before: Node, images: Node, sizes: list[int]) -> Node:
    value = images.meta["val"]
    with before.graph.inserting_before(before):
        padded = before.graph.call_function(aten.constant_pad_nd.default, (images, sizes))
    with value.fake_mode:
        padded.meta["val"] = aten.constant_pad_nd.default(value, sizes)
    return padded


def _pair(sizes: Any) -> list[int]:
    values = [sizes] if isinstance(sizes, int) else list(sizes)
    return values * 2 if len(values) == 1 else values


def _constants(module: GraphModule) -> dict[Node, Any]:
    """The values of all nodes that do not depend on the images and that the answer depends on."""
    nodes = list(module.graph.nodes)
    needed = {node for node in nodes if node.op == "output"}
    for node in reversed(nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    constants: dict[Node, Any] = {}
    for node in nodes:
        if node not in needed:
            continue
        if node.op == "get_attr":
            value = operator.attrgetter(node.target)(module)
            constants[node] = value.detach() if isinstance(value, Tensor) else value
        elif node.op == "call_function" and all(source in constants for source in node.all_input_nodes):
            args, kwargs = map_arg((node.args, node.kwargs), lambda source: constants[source])
            constants[node] = node.target(*args, **kwargs)
    return constants


def _fold(node: Node, constants: dict[Node, Any]) -> None:
    """Fold a batch normalisation into the convolution in front of it, where that feeds nothing else."""
    convolution, scale, shift, mean, variance, _, epsilon = cast(Any, node.args)
    if convolution.target != CONVOLUTION or len(convolution.users) > 1 or convolution in constants:
        return
    if any(user.target != operator.getitem or user.args[1] != 0 for user in node.users):
        return
    given = settings(convolution)
    parameters = (given.weight, given.bias, scale, shift, mean, variance)
    if any(source is not None and source not in constants for source in parameters):
        return
    weight: Tensor = constants[given.weight]
    bias = constants[given.bias] if given.bias is not None else torch.zeros(len(weight)).to(weight)
    gain = (constants[variance] + epsilon).rsqrt()
    if scale is not None:
        gain = gain * constants[scale]
    offset = (bias - constants[mean]) * gain
    if shift is not None:
        offset = offset + constants[shift]
    folded = []
    for value in (weight * gain.view(-1, 1, 1, 1), offset):
        with node.graph.inserting_before(convolution):
            folded.append(node.graph.create_node("get_attr", f"folded_{len(constants)}"))
        constants[folded[-1]] = value.to(weight.dtype)
    convolution.args = (given.images, *folded, *convolution.args[3:])
    for user in list(node.users):
        _replace(user, convolution)
    node.graph.erase_node(node)
