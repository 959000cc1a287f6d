"""What a network costs: parameters that are trained, and multiply-accumulates of one image.

Convolutions, dense layers and products of matrices (attention) count, as torch's own counter of operations counts them, and a
bias counts once at every output position. A layer's multiply-accumulates are therefore its parameters, bias included, times
its output positions: the "FLOPs" of Table 10.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from deepcorrect.adapters.corrected import CorrectedConv2d
from deepcorrect.models.inspection import answers, inspecting

aten = torch.ops.aten


def count_parameters(parameters: Iterable[Tensor]) -> int:
    """Numbers in all of them."""
    return sum(parameter.numel() for parameter in parameters)


def multiply_accumulates(model: nn.Module, example: Tensor) -> int:
    """Of one forward pass on one image, in eval mode; the model is left as it was.

    Args:
        model: a correction that is on it counts too.
        example: images (B, C, H, W), on the model's device; the first is used.

    Raises:
        DeepcorrectError: the network fails on it.
    """
    counter = _Counter()
    with inspecting(model), _as_written(model), sdpa_kernel(SDPBackend.MATH), counter:
        answers(model, example[:1])
    return counter.total


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what torch's formulas say of each operation, and the numbers to which a bias is added."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        self._operations = FlopCounterMode(display=False).flop_registry  # two for each multiply-accumulate
        self._product: object = None  # of matrices, if that was the last operation

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        operation, options = getattr(func, "overloadpacket", func), kwargs or {}
        if operation not in self._operations and hasattr(func, "decompose"):
            with self:
                result = func.decompose(*args, **options)
            if result is not NotImplemented:
                return result
        result = func(*args, **options)
        if operation in self._operations:
            self.total += self._operations[operation](*args, **options, out_val=result) // 2
        added = operation in (aten.add, aten.add_) and args[0] is self._product and getattr(args[1], "ndim", 0) == 1
        if added or operation is aten.addmm or (operation is aten.convolution and args[2] is not None):
            self.total += result.numel()
        viewed = operation in (aten.view, aten._unsafe_view) and args[0] is self._product
        self._product = result if viewed or operation in (aten.mm, aten.bmm) else None
        return result


@contextmanager
def _as_written(model: nn.Module) -> Iterator[None]:
    """Corrected layers compute as they are described inside the context, without shortcuts that cost other operations."""
    corrected = [module for module in model.modules() if isinstance(module, CorrectedConv2d) and module.fast]
    try:
        for module in corrected:
            module.fast = False
        yield
    finally:
        for module in corrected:
            module.fast = True
