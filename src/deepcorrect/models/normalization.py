"""Batch normalisations behind convolutions: torch's own, and timm's that activate too."""

from __future__ import annotations

from torch import nn

from deepcorrect.models.inspection import does_more


def is_batch_norm(module: nn.Module) -> bool:
    """Whether it normalises as torch's does, with nothing else or an activation behind it."""
    known = isinstance(module, nn.BatchNorm2d) and (type(module).forward is nn.BatchNorm2d.forward or _activates(module))
    return known and not does_more(module)


def behind(norm: nn.BatchNorm2d) -> nn.Module:
    """What follows the normalisation in the module."""
    if not _activates(norm):
        return nn.Identity()
    return nn.Sequential(norm.get_submodule("drop"), norm.get_submodule("act"))


def _activates(module: nn.Module) -> bool:
    return any(kind.__name__ == "BatchNormAct2d" for kind in type(module).__mro__)
