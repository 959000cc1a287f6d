"""What a correction changes on a network, and how that is undone: modules in place of its own, frozen weights, held modes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from torch import nn
from torch.nn import Parameter

from deepcorrect.models.stand_in import StandIn


class Graft:
    """The changes to one network. Its parameters are frozen and it is in eval mode, until all is undone."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._modes = [(module, module.training) for module in network.modules() if hasattr(module, "training")]
        self._trained: list[tuple[Parameter, bool]] = [(weight, weight.requires_grad) for weight in network.parameters()]
        self._replaced: list[tuple[nn.Module, str, nn.Module]] = []
        self._held: list[tuple[nn.Module, object]] = []
        network.requires_grad_(False).eval()

    def put(self, old: nn.Module, new: nn.Module) -> None:
        """Replace a module wherever the network has registered it."""
        new.eval()
        for parent in list(self.network.modules()):
            if isinstance(parent, StandIn):
                continue
            for name, child in list(parent._modules.items()):
                if child is old:
                    setattr(parent, name, new)
                    self._replaced.append((parent, name, old))

    def hold(self, apart_from: Iterable[nn.Module]) -> None:
        """Let ``network.train()`` not reach modules with buffers, so that running statistics stay as they are."""
        free = set(apart_from)
        for module in self.network.modules():
            has_buffers = next(module.buffers(recurse=False), None) is not None
            if has_buffers and module not in free and not isinstance(module, StandIn):
                self._held.append((module, vars(module).get("train")))
                vars(module)["train"] = partial(_train_but_itself, module)

    def undo(self) -> None:
        """Put everything back."""
        for module, train in self._held:
            if train is None:
                del vars(module)["train"]
            else:
                vars(module)["train"] = train
        for parent, name, old in reversed(self._replaced):
            setattr(parent, name, old)
        for module, mode in self._modes:
            module.training = mode
        for weight, trained in self._trained:
            weight.requires_grad_(trained)
        self._held, self._replaced, self._modes, self._trained = [], [], [], []


def without_grafts(network: nn.Module) -> nn.Module:
    """The network with its own modules in place of all that stand in for them, for good."""
    for parent in list(network.modules()):
        if isinstance(parent, StandIn):
            continue
        for name, child in list(parent._modules.items()):
            if isinstance(child, StandIn):
                setattr(parent, name, child.base)
    for module in network.modules():
        held = vars(module).get("train")
        if isinstance(held, partial) and held.func is _train_but_itself:
            del vars(module)["train"]
    return network


def _train_but_itself(module: nn.Module, mode: bool = True) -> nn.Module:
    """``module.train(mode)`` for all that is in the module, while it stays in eval mode itself."""
    type(module).train(module, mode)
    module.training = False
    return module
