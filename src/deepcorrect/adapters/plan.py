"""What a correction changes on a network, and whether a network can be changed so."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict
from torch import nn

from deepcorrect.adapters.units import unit_shape
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import phrase
from deepcorrect.models.layers import Layer, named


class Plan(BaseModel):
    """What a correction changes.

    Attributes:
        distortion: name of the distortion that it is trained against.
        filters: corrected filters of each layer, ``{layer: (filter, ...)}``.
        unit: named shape of the correction units (see ``deepcorrect.adapters.units``).
        batch_norm: whether units have batch normalisation.
        retrained: layers of which the correction owns a trained copy, their batch normalisation included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    distortion: str
    filters: dict[str, tuple[int, ...]] = {}
    unit: str = "cifar"
    batch_norm: bool = True
    retrained: tuple[str, ...] = ()


def check_plan(plan: Plan, model: nn.Module, layers: Sequence[Layer]) -> None:
    """Refuse a plan that does not fit a network.

    Args:
        layers: all of the network's, of ``deepcorrect.models.layers.find_layers``.

    Raises:
        DeepcorrectError: an unknown layer, filter or unit, or a layer that cannot be corrected so.
    """
    for name, filters in plan.filters.items():
        layer = named(layers, name)
        if not isinstance(layer.module, nn.Conv2d):
            raise DeepcorrectError(f"layer {name} is no convolution; only convolutions take correction units")
        if not filters or len(set(filters)) != len(filters) or min(filters) < 0 or max(filters) >= layer.filters:
            raise DeepcorrectError(
                f"layer {name} has {layer.filters} filters, numbered from 0; the plan asks for "
                f"{len(filters)} of them up to {max(filters, default='none')}"
            )
        if not layer.module.weight.is_floating_point():
            raise DeepcorrectError(
                f"layer {name} has weights of {layer.module.weight.dtype}; correction units are real numbers"
            )
        if layer.norm and getattr(model.get_submodule(layer.norm), "running_mean", None) is None:
            raise DeepcorrectError(
                f"batch normalisation {layer.norm} behind layer {name} keeps no running statistics, so the answer for an image "
                "depends on the others of its batch; leave the layer out of "
                f"{phrase(python='the plan', command_line='--layers')}"
            )
    unit_shape(plan.unit, 1, 1)
    for name in plan.retrained:
        named(layers, name)
        if name in plan.filters:
            raise DeepcorrectError(f"layer {name} cannot be corrected and retrained at once")
        if plan.retrained.count(name) > 1:
            raise DeepcorrectError(f"layer {name} is to be retrained twice; name it once")
    if "" in (*plan.filters, *plan.retrained):
        raise DeepcorrectError(
            "the network is a single layer, in whose place nothing can be put; wrap it in torch.nn.Sequential"
        )
