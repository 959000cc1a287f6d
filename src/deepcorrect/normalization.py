"""Batch normalisations behind convolutions: torch's own, and timm's that activate too."""

from __future__ import annotations

from torch import nn


def is_batch_norm(module: nn.Module) -> bool:
    """Whether it normalises as torch's does, with nothing else or an activation behind it."""
    return isinstance(module, nn.BatchNorm2d) and (type(module).forward is nn.BatchNorm2d.forward or _activates(module))


def parted(norm: nn.BatchNorm2d) -> tuple[nn.BatchNorm2d, nn.Module]:
    """The normalisation alone, with the same tensors, and what follows it in the module."""
    if not _activates(norm):
        return norm, nn.Identity()
    alone = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats, device="meta")
    alone._parameters.update(norm._parameters)
    alone._buffers.update(norm._buffers)
    return alone.train(norm.training), nn.Sequential(norm.get_submodule("drop"), norm.get_submodule("act"))


def _activates(module: nn.Module) -> bool:
    return any(kind.__name__ == "BatchNormAct2d" for kind in type(module).__mro__)
