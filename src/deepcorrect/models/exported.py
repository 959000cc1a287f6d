"""A network from a program saved by ``torch.export``: its convolutions, dense layers and normalisations are modules again.

An exported program is a graph of operations, but corrections are attached to modules. Each operation that a correction may
concern becomes a module, which holds the program's own parameters and is named after them; all others stay operations. The
network is then checked to answer images as the program does.

Trust such a file only as you would a Python file: ``torch.export.load`` can run code that is in it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from deepcorrect.base.errors import DeepcorrectError, first_line

aten = torch.ops.aten
_IN_TRAINING = "it was exported in training mode; call eval() on the network before torch.export.export"
_ALONE = 'image(s) at a time only; export it with dynamic_shapes=({0: torch.export.Dim("batch")},)'
_UNLIKE = "rebuilt with modules, it does not answer images as the program does; give its Python code instead (file.py:factory)"
_RANDOM = (
    "the program answers the same images differently each time, as with dropout that stays on; call eval() on the network "
    "before torch.export.export"
)
_DROPOUT = (aten.dropout.default, aten.alpha_dropout.default, aten.feature_dropout.default, aten.feature_alpha_dropout.default)
_NORMS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


def load_exported(path: Path) -> nn.Module:
    """The network of a ``.pt2`` file; it takes images (B, C, H, W) in [0, 1] and returns logits.

    Raises:
        DeepcorrectError: the file is missing or damaged, the program takes only one number of images, or the rebuilt network
            does not answer as the program does.
    """
    if not path.is_file():
        raise DeepcorrectError(f"{path}: no such file")
    try:
        program = torch.export.load(path)
        exported = program.module(check_guards=False)
        inputs, options = program.example_inputs or ((), {})
        examples = [*inputs, *options.values()]
    except Exception as error:  # whatever is in the file
        raise DeepcorrectError(f"{path}: not a program saved by torch.export.save: {first_line(error)}") from error
    try:
        if len(examples) != 1 or not isinstance(examples[0], Tensor) or examples[0].ndim != 4:
            raise DeepcorrectError("the program must take one tensor, the images, (B, C, H, W)")
        return _rebuilt(exported, examples[0])
    except DeepcorrectError as error:
        raise DeepcorrectError(f"{path}: {error}") from None


@torch.no_grad()
def _rebuilt(exported: GraphModule, example: Tensor) -> GraphModule:
    """The program with modules, checked on its own example and on three other images."""
    stream = torch.Generator().manual_seed(0)
    images = torch.rand(3, *example.shape[1:], generator=stream).to(example)
    (taken,) = [node.meta.get("val") for node in exported.graph.nodes if node.op == "placeholder"]
    fixed = isinstance(taken, Tensor) and isinstance(taken.shape[0], int)
    wanted = _answer(exported, example)
    if not _alike(_answer(exported, example), wanted):
        raise DeepcorrectError(_RANDOM)
    others = _answer_each(exported, images, len(example)) if fixed else _answer(exported, images)
    network = with_modules(exported)
    if not _alike(_answer(network, example), wanted):
        raise DeepcorrectError(_UNLIKE)
    try:
        same = _alike(_answer(network, images), others)
    except DeepcorrectError:
        if not fixed:
            raise
        same = False
    if not same:
        raise DeepcorrectError(f"exported for {len(example)} {_ALONE}" if fixed else _UNLIKE)
    return network


def with_modules(exported: GraphModule) -> GraphModule:
    """The same network with a module for every convolution, dense layer and batch normalisation that has parameters of its own.

    Raises:
        DeepcorrectError: it was exported in training mode.
    """
    graph = exported.graph
    made: dict[Hashable, str] = {}
    for node in list(graph.nodes):
        if node.target in _DROPOUT and node.args[2]:
            raise DeepcorrectError(_IN_TRAINING)
        if node.target not in _BUILDERS or not _has_own_weights(exported, node):
            continue
        module = _BUILDERS[node.target](
            node, *(_attribute(exported, given.target) if isinstance(given, Node) else given for given in node.args[1:])
        )
        if module is None:
            continue
        alike = (type(module), *(str(given.target if isinstance(given, Node) else given) for given in node.args[1:]))
        if alike not in made:
            made[alike] = _name(exported, node, module, taken=set(made.values()))
            exported.add_submodule(made[alike], module)
        with graph.inserting_before(node):
            called = graph.call_module(made[alike], (node.args[0],))
        called.meta = dict(node.meta)
        node.replace_all_uses_with(called)
        graph.erase_node(node)
    graph.eliminate_dead_code()
    return GraphModule(exported, graph).eval()


def _has_own_weights(exported: GraphModule, node: Node) -> bool:
    """Whether all other arguments of an operation are the program's own tensors, and the learned ones parameters."""
    others = [given for given in node.args[1:] if isinstance(given, Node)]
    if node.kwargs or not all(given.op == "get_attr" for given in others):
        return False
    learned = [given for given in node.args[1:3] if isinstance(given, Node)]
    return all(isinstance(_attribute(exported, given.target), nn.Parameter) for given in learned)


def _name(exported: GraphModule, node: Node, module: nn.Module, *, taken: set[str]) -> str:
    """The name of the module that the operation was in or that owned its tensors, if it owned no others; else a new name."""
    names = [str(used.target) for used in exported.graph.nodes if used.op == "get_attr" and used.users]
    owners = [str(given.target).rpartition(".")[0] for given in node.args[1:] if isinstance(given, Node)]
    inside = [str(path) for path, _ in node.meta.get("nn_module_stack", {}).values()]
    for owner in (*inside[-1:], *reversed(owners)):
        held = [name for name in names if name.startswith(f"{owner}.")]
        same = all(getattr(module, name[len(owner) + 1 :], None) is _attribute(exported, name) for name in held)
        if owner and owner not in taken and same:
            return owner
    name = "_".join(filter(None, [*owners[:1], node.name])).replace(".", "_")
    while hasattr(exported, name):
        name += "_"
    return name


def _convolution(
    node: Node,
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


def _dense(node: Node, weight: nn.Parameter, bias: nn.Parameter | None = None) -> nn.Module:
    outputs, inputs = weight.shape
    module = nn.Linear(inputs, outputs, bias is not None, device="meta")
    module.weight = weight
    if bias is not None:
        module.bias = bias
    return module


def _normalization(
    node: Node,
    weight: nn.Parameter | None,
    bias: nn.Parameter | None,
    mean: Tensor | None,
    variance: Tensor | None,
    training: bool,
    momentum: float,
    epsilon: float,
    *_: object,
) -> nn.Module | None:
    """A module, or None where the operation stays one: it has no statistics, or a scale but no shift."""
    if mean is None or variance is None or (weight is None) != (bias is None):
        return None
    if training:
        raise DeepcorrectError(_IN_TRAINING)
    value = cast(Node, node.args[0]).meta.get("val")
    if not isinstance(value, Tensor):
        return None
    module = _NORMS[value.ndim](len(mean), epsilon, momentum, affine=weight is not None, device="meta")
    if weight is not None and bias is not None:
        module.weight, module.bias = weight, bias
    module.running_mean, module.running_var, module.num_batches_tracked = mean, variance, torch.tensor(0)
    return module


_BUILDERS: dict[Any, Callable[..., nn.Module | None]] = {
    aten.conv2d.default: _convolution,
    aten.conv2d.padding: _convolution,
    aten.linear.default: _dense,
    aten.batch_norm.default: _normalization,
}


def _pair(values: Sequence[int] | int) -> tuple[int, int]:
    """One number for both sides, or one for each."""
    given = (values,) if isinstance(values, int) else tuple(values)
    return (given[0], given[-1])


def _attribute(module: nn.Module, name: object) -> Tensor:
    return cast(Tensor, operator.attrgetter(str(name))(module))


def _answer(network: nn.Module, images: Tensor) -> Tensor:
    try:
        answer = network(images)
    except Exception as error:  # any operation may be the first to meet a wrong shape
        raise DeepcorrectError(f"the program fails on {len(images)} images: {first_line(error)}") from None
    if not isinstance(answer, Tensor) or answer.ndim == 0:
        raise DeepcorrectError(f"the program answers with {type(answer).__name__}, not with one tensor of logits, (B, classes)")
    return answer


def _answer_each(network: nn.Module, images: Tensor, count: int) -> Tensor:
    """The answer to each image, given ``count`` times at once."""
    return torch.cat([_answer(network, image.expand(count, *image.shape))[:1] for image in images])


def _alike(answer: Tensor, wanted: Tensor) -> bool:
    if answer.shape != wanted.shape or answer.dtype != wanted.dtype:
        return False
    largest = float(wanted.abs().nan_to_num().max()) if wanted.numel() else 0.0
    return torch.allclose(answer, wanted, rtol=1e-3, atol=1e-6 + 1e-4 * largest, equal_nan=True)
