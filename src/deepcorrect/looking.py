"""Networks that are only looked at: run in eval mode, and left as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

_CPU_ALLOCATOR = "DefaultCPUAllocator"
"""Named by torch where memory does not suffice on a CPU, which is a RuntimeError like any other."""


@contextmanager
def looking(model: nn.Module) -> Iterator[None]:
    """Put a network into eval mode; afterwards its modules' modes, attributes and buffers and torch's random state are back."""
    modules = [module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)]
    modes = [(module, module.training) for module in model.modules()]
    attributes = [(module, dict(vars(module))) for module in modules]
    registered = [(kept, dict(kept)) for module in modules for kept in (module._parameters, module._buffers, module._modules)]
    buffers = [
        (buffer, buffer._version, buffer.clone())
        for buffer in model.buffers()
        if not (buffer.is_inference() or is_lazy(buffer))
    ]
    devices = sorted({value.device.index for value in model.parameters() if value.device.type == "cuda"})
    with torch.random.fork_rng(devices):
        try:
            model.eval()
            yield
        finally:
            for module, held in attributes:
                _restore(vars(module), held)
            for kept, entries in registered:
                _restore(kept, entries)
            with torch.no_grad():
                for buffer, version, value in buffers:
                    if buffer._version != version:
                        buffer.copy_(value)
            for module, training in modes:
                if module.training != training:
                    module.training = training


def _restore(kept: dict[str, Any], entries: dict[str, Any]) -> None:
    for name in [name for name in kept if name not in entries]:
        del kept[name]
    kept.update(entries)


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or what it comes from, is that memory does not suffice."""
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or _CPU_ALLOCATOR in str(error):
            return True
        error = error.__cause__
    return False


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return said if len(said) <= 200 else f"{said[:200]} ..."
