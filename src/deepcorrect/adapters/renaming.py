"""A correction's plan and tensors under other names of the same layers: of a network by itself, or inside what wraps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from deepcorrect.adapters.plan import Plan

Rename = Callable[[str], str]


def rename_plan(plan: Plan, rename: Rename) -> Plan:
    """The same plan for layers of other names."""
    filters = {rename(name): chosen for name, chosen in plan.filters.items()}
    return plan.model_copy(update={"filters": filters, "retrained": tuple(map(rename, plan.retrained))})


def rename_state(state: Mapping[str, Tensor], rename: Rename) -> dict[str, Tensor]:
    """A correction's tensors, ``adapters.LAYER.unit.body.0.weight`` for instance, with its layers renamed."""
    return {_renamed(key, rename): value for key, value in state.items()}


def module_key(name: str) -> str:
    """A layer's name as a key of ``torch.nn.ModuleDict``, which takes neither dots nor names of its methods."""
    key = name.replace(".", "/")
    return f"{key}/" if hasattr(nn.ModuleDict, key) else key  # a layer may be called "values"


def _renamed(key: str, rename: Rename) -> str:
    parts = key.split(".", 2)
    if len(parts) < 3:
        return key
    container, layer, rest = parts
    return f"{container}.{module_key(rename(layer.removesuffix('/').replace('/', '.')))}.{rest}"
