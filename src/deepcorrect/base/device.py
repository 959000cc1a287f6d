"""The machine: device, precision, memory layout, and freed memory that the process keeps."""

from __future__ import annotations

import ctypes
import os
import platform
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Literal

import torch
from torch import Tensor, nn

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument

Precision = Literal["fp32", "bf16"]


def resolve_device(name: str = "auto") -> torch.device:
    """``auto`` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        DeepcorrectError: the named device is unknown or not on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda", "mps"):
        raise DeepcorrectError(f"{argument('device', name)}: unknown device; use auto, cpu, cuda, cuda:N or mps")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeepcorrectError(f"{argument('device', name)}: no CUDA GPU is available here; use cpu or auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeepcorrectError(f"{argument('device', name)}: this machine has {torch.cuda.device_count()} CUDA GPU(s)")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeepcorrectError(f"{argument('device', name)}: MPS is not available here; use cpu or auto")
    return device


def device_of(model: nn.Module, device: torch.device | str | None = None) -> torch.device:
    """The given device; if none is given, the device of the network, which is the CPU for one without parameters and buffers.

    Raises:
        DeepcorrectError: the named device is unknown or not on this machine.
    """
    if isinstance(device, torch.device) and device.type not in ("cuda", "mps", "meta"):
        return device
    if device is not None:
        return resolve_device(str(device))
    return next((tensor.device for tensor in chain(model.parameters(), model.buffers())), torch.device("cpu"))


def resolve_precision(name: str, device: torch.device) -> Precision:
    """``auto`` takes bf16 where the device computes it natively, else fp32."""
    if name == "bf16" or name == "fp32":
        return name  # type: ignore[return-value]
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bf16" if device.type == "cpu" and native() else "fp32"


_CPU_ALLOCATOR = "DefaultCPUAllocator"
"""Torch raises a plain RuntimeError that names it when a CPU lacks memory."""


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, is a lack of memory."""
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or _CPU_ALLOCATOR in str(error):
            return True
        error = error.__cause__
    return False


def pass_memory(device: torch.device) -> int:
    """Default memory of a pass of a ranking, in bytes: half of what a GPU has free; 80 MB on a CPU, about what caches hold."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    return 80_000_000


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """bf16 autocast, or nothing for fp32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def laid_out(images: Tensor, model: nn.Module) -> Tensor:
    """The images in the memory layout and the floating-point type of the network's weights."""
    # to() also lays out images of one channel, which .contiguous() takes for laid out already
    return images.to(dtype_of(model), memory_format=layout_of(model))


OTHER_PRECISIONS = (torch.float16, torch.bfloat16, torch.float64)


def dtype_of(model: nn.Module) -> torch.dtype:
    """The floating-point type that a network takes images in: that of its first convolution, or else of its first weight."""
    weight = next(_convolutional(model), None)
    if weight is None:
        weight = next((weight for weight in model.parameters() if _is_plain(weight)), None)
    return weight.dtype if weight is not None and weight.dtype in OTHER_PRECISIONS else torch.float32


def layout_of(model: nn.Module) -> torch.memory_format:
    """The memory layout of a network, contiguous or channels last: that of its first weight for which the two differ."""
    for weight in _convolutional(model):
        last = weight.is_contiguous(memory_format=torch.channels_last)
        if last != weight.is_contiguous():
            return torch.channels_last if last else torch.contiguous_format
    return torch.contiguous_format


def lay_out(module: nn.Module, layout: torch.memory_format) -> dict[nn.Parameter, Tensor]:
    """Bring a module's convolutional weights into a memory layout; weights that share memory with others are left as they are.

    Returns:
        What each weight held before, to put it back by ``weight.data = ...``.
    """
    uses = Counter(_address(tensor) for tensor in chain(module.parameters(), module.buffers()) if _is_plain(tensor))
    before = {weight: weight.data for weight in _convolutional(module) if uses[_address(weight)] == 1 and _is_whole(weight)}
    for weight, data in before.items():
        weight.data = data.to(memory_format=layout)
    return before


def memory_of(model: nn.Module) -> dict[nn.Parameter, Tensor]:
    """The tensor that each convolutional weight holds, for ``put_back``."""
    return {weight: weight.data for weight in _convolutional(model)}


def put_back(before: Mapping[nn.Parameter, Tensor]) -> None:
    """Let weights hold the tensors that they held before; their values must not have changed since."""
    for weight, data in before.items():
        if weight.data_ptr() != data.data_ptr():
            weight.data = data


def _convolutional(module: nn.Module) -> Iterator[nn.Parameter]:
    """Ordinary floating-point parameters with four dimensions."""
    return (weight for weight in module.parameters() if _is_plain(weight) and weight.ndim == 4)


def _is_plain(tensor: Tensor) -> bool:
    """Whether it is an ordinary floating-point tensor: not sparse, quantised, lazy, an inference tensor or of a subclass."""
    if type(tensor) not in (Tensor, nn.Parameter) or tensor.layout != torch.strided or tensor.is_meta:
        return False
    return tensor.is_floating_point() and not tensor.is_inference()


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _is_whole(tensor: Tensor) -> bool:
    return tensor.untyped_storage().nbytes() == tensor.nbytes


def usable_cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_memory() -> None:
    """Let this process keep the memory that it frees (with glibc; elsewhere nothing happens).

    By default glibc maps every large block afresh and returns it to the kernel as soon as it is freed, so each activation of
    each step costs page faults: a quarter to a third of a training step on a CPU.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4
    libc = ctypes.CDLL(None)
    for option, value in ((mmap_max, 0), (trim_threshold, -1), (top_pad, 256 << 20)):
        libc.mallopt(option, value)


def describe_machine(device: torch.device) -> dict[str, str | int]:
    """Processor, threads and the device in use, for a run's provenance."""
    described: dict[str, str | int] = {
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "device": str(device),
    }
    if device.type == "cuda":
        described["gpu"] = torch.cuda.get_device_name(device)
    return described


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
