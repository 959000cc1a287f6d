"""A network's layers with what a correction does to each, as data: what the drawing of it needs (Figures 3, 7 and 8)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError
from torch import nn

from deepcorrect.adapters.plan import Plan
from deepcorrect.adapters.units import unit_shape
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json
from deepcorrect.models.layers import Layer, convolutions

FILE = "architecture.json"


class UnitDescription(BaseModel):
    """A correction unit: ``filters`` in and out, ``width`` inside, a size and a dilation for each inner convolution."""

    filters: int
    width: int
    kernels: tuple[int, ...]
    dilations: tuple[int, ...]


class LayerDescription(BaseModel):
    """A convolution or dense layer; ``output`` is of one image, (C, H, W) or (C,); ``kernel`` is 0 for a dense one."""

    name: str
    kernel: int
    stride: int
    groups: int
    output: tuple[int, ...]
    unit: UnitDescription | None
    retrained: bool


class Architecture(BaseModel):
    """Layers in forward order."""

    layers: tuple[LayerDescription, ...]


def read_architecture(folder: Path) -> Architecture | None:
    """What a run folder has of it, if anything.

    Raises:
        DeepcorrectError: the file is unsound.
    """
    path = folder / FILE
    try:
        return Architecture.model_validate(read_json(path)) if path.is_file() else None
    except ValidationError as error:
        raise DeepcorrectError(f"{path}: not a network's layers ({error.error_count()} fields are wrong)") from None


def describe(layers: Sequence[Layer], plan: Plan) -> Architecture:
    """The layers of a network, not yet corrected, and a plan for them."""
    positions = [layer.name for layer in convolutions(layers)] if plan.filters else []
    described = []
    for layer in layers:
        module = layer.module
        unit = None
        if layer.name in plan.filters:
            filters = len(plan.filters[layer.name])
            shape = unit_shape(plan.unit, filters, positions.index(layer.name) + 1, batch_norm=plan.batch_norm)
            unit = UnitDescription(filters=filters, width=shape.width, kernels=shape.kernels, dilations=shape.dilations)
        described.append(
            LayerDescription(
                name=layer.name,
                kernel=module.kernel_size[0] if isinstance(module, nn.Conv2d) else 0,
                stride=module.stride[0] if isinstance(module, nn.Conv2d) else 1,
                groups=module.groups if isinstance(module, nn.Conv2d) else 1,
                output=layer.output_shape,
                unit=unit,
                retrained=layer.name in plan.retrained,
            )
        )
    return Architecture(layers=tuple(described))
