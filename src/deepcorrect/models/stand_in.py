"""Modules that stand in for a network's own, which can be switched off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


class StandIn(nn.Module):
    """What stands in the place of a network's own module ``base`` and, for whoever looks at it, has its attributes."""

    base: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.enabled = True

    @property
    def seen(self) -> nn.Module:
        """The module whose attributes this one has."""
        return self.base

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("__") or name in ("base", "own", "enabled"):  # of this module itself, or not there yet
                raise
            return getattr(self.seen, name)


@contextmanager
def switched_off(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Those of the modules that stand in for others do as they do, inside the context."""
    before = [(module, module.enabled) for module in modules if isinstance(module, StandIn)]
    try:
        for module, _ in before:
            module.enabled = False
        yield
    finally:
        for module, enabled in before:
            module.enabled = enabled


def own_modules(network: nn.Module) -> dict[nn.Module, str]:
    """A network's own modules and their names, as they are without a correction."""
    names: dict[nn.Module, str] = {}
    inside: tuple[str, ...] = ()
    for name, module in network.named_modules():
        if isinstance(module, StandIn):
            inside += (f"{name}.",)
            for inner, own in module.base.named_modules(prefix=name):
                names.setdefault(own, inner)
        elif not name.startswith(inside):
            names.setdefault(module, name)
    return names
