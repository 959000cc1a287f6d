"""Run a network to inspect it, and leave it as it was: its modes, attributes and buffers, and all random states."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from deepcorrect.base.errors import DeepcorrectError


@contextmanager
def looking(network: nn.Module) -> Iterator[None]:
    """Inside the context the network is in eval mode, and passes through it leave no trace.

    The modes, attributes and buffers of its modules and the random states are restored afterwards.
    """
    modules = [module for module in network.modules() if not isinstance(module, torch.jit.ScriptModule)]
    modes = [(module, module.training) for module in network.modules() if hasattr(module, "training")]
    attributes = [(module, dict(vars(module))) for module in modules]
    registered = [(kept, dict(kept)) for module in modules for kept in (module._parameters, module._buffers, module._modules)]
    buffers = [
        (buffer, buffer._version, buffer.clone())
        for buffer in network.buffers()
        if not (buffer.is_inference() or is_lazy(buffer))
    ]
    with random_state_kept(network):
        try:
            network.eval()
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


@contextmanager
def inspecting(network: nn.Module) -> Iterator[None]:
    """As ``looking``, without gradients and without fused attention.

    So a network's passes can be compared bit for bit, whether or not hooks observe them.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        with looking(network), torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


@contextmanager
def random_state_kept(network: nn.Module) -> Iterator[None]:
    """Restore the random states of Python, NumPy and torch, on the network's devices, when the context ends."""
    devices = {value.device for value in chain(network.parameters(), network.buffers())}
    python, numpy = random.getstate(), np.random.get_state()
    apple = torch.mps.get_rng_state() if any(device.type == "mps" for device in devices) else None
    try:
        with torch.random.fork_rng(sorted(device.index for device in devices if device.type == "cuda")):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if apple is not None:
            torch.mps.set_rng_state(apple)


def answers(network: nn.Module, example: Tensor) -> list[Tensor]:
    """Copies of all tensors that a network returns for some images, in whatever structure it returns them.

    Args:
        network: see ``inspecting``.
        example: images (B, C, H, W); the network is given a copy, which it may change.

    Raises:
        DeepcorrectError: the network fails on them.
    """
    try:
        return [value.clone() for value in tensors(network(example.clone()))]
    except DeepcorrectError:
        raise
    except Exception as error:
        shape = "x".join(str(size) for size in example.shape)
        reason = " ".join(str(error).split()) or "no reason given"
        raise DeepcorrectError(
            f"the network fails on example images of shape {shape}: {type(error).__name__}: {reason}"
        ) from error


def steady_answers(network: nn.Module, example: Tensor) -> list[Tensor]:
    """As ``answers``, for a network that must be deterministic.

    Raises:
        DeepcorrectError: it fails, returns no tensor or NaN, or returns something else the second time.
    """
    first, second = answers(network, example), answers(network, example)
    if not first:
        raise DeepcorrectError("the network returns no tensor; wrap it so that forward returns its logits (B, classes)")
    if any(bool(value.isnan().any()) for value in first if value.is_floating_point() or value.is_complex()):
        raise DeepcorrectError("the network answers the example images with NaN; look for NaN in its weights and in the images")
    if not same(first, second):
        raise DeepcorrectError(
            "the network answers differently when it sees the same images twice (dropout or noise that stays on in eval mode), "
            "so its answers cannot be compared; switch that off in eval mode"
        )
    return first


def same(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    """Whether all tensors are equal, bit for bit."""
    return len(some) == len(others) and all(torch.equal(one, other) for one, other in zip(some, others, strict=True))


def tensors(value: object) -> Iterator[Tensor]:
    """Every tensor in nested tuples, lists, mappings and data classes."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors(part)
    elif is_dataclass(value):
        yield from tensors(tuple(getattr(value, field.name, None) for field in fields(value)))


def require_watchable(network: nn.Module) -> None:
    """Refuse a network whose layers cannot be observed while it runs.

    Raises:
        DeepcorrectError: it is compiled, has lazy modules that were never run, or runs as several copies.
    """
    if any(is_lazy(value) for value in chain(network.parameters(), network.buffers())):
        raise DeepcorrectError("the network has lazy modules, whose sizes are not known yet; run it on some images first")
    for name, module in network.named_modules():
        where = f"module {name} of the network" if name else "the network"
        if is_compiled(module):
            raise DeepcorrectError(
                f"{where} is compiled (torch.compile), so its layers cannot be observed; "
                "pass the network as it was before torch.compile, and compile it after the correction is attached"
            )
        if isinstance(module, nn.DataParallel) and len(module.device_ids) > 1:
            raise DeepcorrectError(f"{where} runs as copies on several GPUs (torch.nn.DataParallel); pass its .module")


def is_compiled(module: nn.Module) -> bool:
    """Whether the module is compiled by ``torch.compile``, in any of the ways to ask for it."""
    if isinstance(module, torch.jit.ScriptModule):
        return False
    forward = module.forward
    by_function = hasattr(forward, "_torchdynamo_orig_callable") and not getattr(forward, "_torchdynamo_disable", False)
    return hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None or by_function


def structure(network: nn.Module) -> str:
    """SHA-256 of a network's modules and their settings: networks of equal weights may differ in a stride or an activation."""
    return hashlib.sha256(re.sub(r" at 0x[0-9a-fA-F]+", "", str(network)).encode(errors="replace")).hexdigest()


def does_more(module: nn.Module) -> bool:
    """Whether calling the module does more than its class's ``forward``: hooks, parametrisations, a ``forward`` of its own."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    hooked = any(getattr(module, kind, None) for kind in hooks)
    return hooked or is_parametrized(module) or "forward" in vars(module)
