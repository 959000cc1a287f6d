"""What tells a network's weights from those of others."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn


def fingerprint(model: nn.Module) -> str:
    """SHA-256 over the names, shapes and values (as float32) of a network's parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex()):
            digest.update(f"{name}{tuple(value.shape)}".encode())
            numbers = torch.view_as_real(value.detach().resolve_conj()) if value.is_complex() else value.detach()
            digest.update(numbers.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
