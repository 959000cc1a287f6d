"""What a network costs: parameters that are trained, and multiply-accumulates of one image.

A layer's multiply-accumulates are its parameters, bias included, times its output positions: the "FLOPs" of Table 10.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from deepcorrect.corrected import CorrectedConv2d


def count_parameters(parameters: Iterable[Tensor]) -> int:
    """Numbers in all of them."""
    return sum(parameter.numel() for parameter in parameters)


@torch.no_grad()
def multiply_accumulates(model: nn.Module, example: Tensor) -> int:
    """Over every convolution and dense layer that a forward pass on one image reaches; the model must be in eval mode."""
    total = 0

    def count(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        layer = module.base if isinstance(module, CorrectedConv2d) else module
        positions = output[0, 0].numel() if output.ndim == 4 else 1
        total += count_parameters(layer.parameters()) * positions

    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear | CorrectedConv2d)]
    inside = [module.base for module in layers if isinstance(module, CorrectedConv2d)]  # not always run as modules
    handles = [module.register_forward_hook(count) for module in layers if module not in inside]
    try:
        model(example[:1])
    finally:
        for handle in handles:
            handle.remove()
    return total
