"""Batch normalisations that follow convolutions: torch's, and timm's, which also activate."""

from __future__ import annotations

from torch import nn

from deepcorrect.models.inspection import does_more


def is_batch_norm(module: nn.Module) -> bool:
    """Whether a module normalises as torch's BatchNorm2d does, followed by at most an activation."""
    known = isinstance(module, nn.BatchNorm2d) and (type(module).forward is nn.BatchNorm2d.forward or _activates(module))
    return known and not does_more(module)


def behind(norm: nn.BatchNorm2d) -> nn.Module:
    """What a module does after it normalises: its activation, or nothing."""
    if not _activates(norm):
        return nn.Identity()
    return nn.Sequential(norm.get_submodule("drop"), norm.get_submodule("act"))


def _activates(module: nn.Module) -> bool:
    return any(base.__name__ == "BatchNormAct2d" for base in type(module).__mro__)
