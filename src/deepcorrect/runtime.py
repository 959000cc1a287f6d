"""The machine: which device, which precision, and memory that is kept instead of returned."""

from __future__ import annotations

import ctypes
import platform
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from deepcorrect.errors import DeepcorrectError

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
        raise DeepcorrectError(f"--device {name}: unknown device; use auto, cpu, cuda, cuda:N or mps")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeepcorrectError(f"--device {name}: no CUDA GPU is available here; use --device cpu or --device auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeepcorrectError(f"--device {name}: this machine has {torch.cuda.device_count()} CUDA GPU(s)")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeepcorrectError(f"--device {name}: MPS is not available here; use --device cpu or --device auto")
    return device


def resolve_precision(name: str, device: torch.device) -> Precision:
    """``auto`` takes bf16 where the device computes it natively, else fp32."""
    if name == "bf16" or name == "fp32":
        return name  # type: ignore[return-value]
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bf16" if device.type == "cpu" and native() else "fp32"


def laid_out(images: Tensor, model: nn.Module) -> Tensor:
    """The images in the memory layout of the network's weights."""
    last, first = torch.channels_last, torch.contiguous_format
    weights = [weight for weight in model.parameters() if weight.ndim == 4 and not is_lazy(weight)]
    told = [weight for weight in weights if not weight.is_contiguous() and weight.is_contiguous(memory_format=last)]
    return images.contiguous(memory_format=last if told else first)


def pass_memory(device: torch.device) -> int:
    """Bytes that a pass of a ranking may take without being told: half of what a GPU has free, else near what caches hold."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    return 80_000_000


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """bf16 autocast, or nothing for fp32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def keep_memory() -> None:
    """Let this process keep the memory it frees (glibc only; elsewhere nothing happens).

    glibc maps every large block afresh and hands it back at once, so that each activation of each step is paid for in
    page faults: a quarter to a third of a training step on a CPU.
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
