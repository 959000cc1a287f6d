"""A network from a program saved by ``torch.export``: its convolutions, dense layers and normalisations are modules again.

An exported program is a graph of operations; corrections sit behind modules. Those operations that a correction has to do with
get a module each, which holds the program's own parameters and is named after them.

Such a file is to be trusted like a Python file: ``torch.export.load`` may run what is in it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from deepcorrect.errors import DeepcorrectError

aten = torch.ops.aten


def load_exported(path: Path) -> nn.Module:
    """The network of a ``.pt2`` file; it takes images (B, C, H, W) in [0, 1] and returns logits.

    Raises:
        DeepcorrectError: missing, unsound, or exported for one number of images alone.
    """
    if not path.is_file():
        raise DeepcorrectError(f"{path}: no such file")
    try:
        program = torch.export.load(path)
        exported = program.module(check_guards=False)
        inputs, options = program.example_inputs
        examples = [*inputs, *options.values()]
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DeepcorrectError(f"{path}: not a program saved by torch.export.save: {reason}") from error
    if len(examples) != 1 or not isinstance(examples[0], Tensor):
        raise DeepcorrectError(f"{path}: the program must take one tensor, the images")
    try:
        network = with_modules(exported)
    except DeepcorrectError as error:
        raise DeepcorrectError(f"{path}: {error}") from None
    _require_any_batch(network, examples[0], path)
    return network


def with_modules(exported: GraphModule) -> GraphModule:
    """The same network with a module for every convolution, dense layer and batch normalisation."""
    graph = exported.graph
    made: dict[str, nn.Module] = {}
    for node in list(graph.nodes):
        weight = node.args[1] if node.target in _BUILDERS else None
        if not isinstance(weight, Node) or weight.op != "get_attr":
            continue
        name = str(weight.target).rpartition(".")[0] or node.name
        if name not in made:
            tensors = [_attribute(exported, given) if isinstance(given, Node) else given for given in node.args[1:]]
            made[name] = _BUILDERS[node.target](*tensors)
        with graph.inserting_before(node):
            node.replace_all_uses_with(graph.call_module(name, (node.args[0],)))
        graph.erase_node(node)
    graph.eliminate_dead_code()
    network = GraphModule(exported, graph)
    for name, module in made.items():
        network.set_submodule(name, module)
    return network.eval()


def _convolution(
    weight: nn.Parameter,
    bias: nn.Parameter | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> nn.Module:
    outputs, inputs, *kernel = weight.shape
    options = (_pair(kernel), _pair(stride), padding if isinstance(padding, str) else _pair(padding), _pair(dilation))
    module = nn.Conv2d(inputs * groups, outputs, *options, groups, bias is not None, device="meta")
    module.weight, module.bias = weight, bias
    return module


def _dense(weight: nn.Parameter, bias: nn.Parameter | None = None) -> nn.Module:
    outputs, inputs = weight.shape
    module = nn.Linear(inputs, outputs, bias is not None, device="meta")
    module.weight = weight
    if bias is not None:
        module.bias = bias
    return module


def _normalization(
    weight: nn.Parameter,
    bias: nn.Parameter,
    mean: Tensor,
    variance: Tensor,
    training: bool,
    momentum: float,
    epsilon: float,
    *_: object,
) -> nn.Module:
    if training:
        raise DeepcorrectError("it was exported in training mode; call eval() on the network before torch.export.export")
    module = nn.BatchNorm2d(len(weight), epsilon, momentum, device="meta")
    module.weight, module.bias = weight, bias
    module.running_mean, module.running_var, module.num_batches_tracked = mean, variance, torch.tensor(0)
    return module


_BUILDERS: dict[Any, Callable[..., nn.Module]] = {
    aten.conv2d.default: _convolution,
    aten.conv2d.padding: _convolution,
    aten.linear.default: _dense,
    aten.batch_norm.default: _normalization,
}


def _pair(values: Sequence[int] | int) -> tuple[int, int]:
    """One number for both sides, or one for each."""
    given = (values,) if isinstance(values, int) else tuple(values)
    return (given[0], given[-1])


def _attribute(module: nn.Module, node: Node) -> Tensor:
    return cast(Tensor, operator.attrgetter(str(node.target))(module))


def _require_any_batch(network: nn.Module, example: Tensor, path: Path) -> None:
    images = example[:1].expand(3, *example.shape[1:])
    try:
        with torch.no_grad():
            fits = len(network(images)) == len(images)
    except Exception:  # whatever operation meets the wrong shape first
        fits = False
    if not fits:
        raise DeepcorrectError(
            f"{path}: exported for {len(example)} image(s) at a time alone; export it with "
            'dynamic_shapes=({0: torch.export.Dim("batch")},)'
        )
