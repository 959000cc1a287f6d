"""The two modules that a correction puts in place of the network's own: a convolution with its correction unit, and a copy
that is trained on. Each keeps the module it stands for, unchanged, and answers with it bit for bit while switched off."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcorrect.units import CorrectionUnit, UnitShape


def _pick(outputs: Tensor, channels: Tensor) -> Tensor:
    """``outputs[:, channels]``, channels last in memory.

    On a CPU a 1x1 convolution with ones in the right places copies the same numbers about twice as fast as indexing.
    """
    if outputs.device.type != "cpu":
        return outputs.index_select(1, channels).contiguous(memory_format=torch.channels_last)
    ones = torch.eye(outputs.shape[1], dtype=outputs.dtype)[channels]
    return F.conv2d(outputs, ones[:, :, None, None])


class _Merge(torch.autograd.Function):
    """Lay corrected and remaining channels into the network's order; gradients are picked, never scattered."""

    @staticmethod
    def forward(ctx: Any, corrected: Tensor, rest: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        ctx.corrected = corrected.shape[1]
        return _pick(torch.cat([corrected, rest], 1), inverse)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (order,) = ctx.saved_tensors
        chosen, rest = order[: ctx.corrected], order[ctx.corrected :]
        needs_chosen, needs_rest = ctx.needs_input_grad[:2]
        return (
            _pick(gradients[0], chosen) if needs_chosen else None,
            _pick(gradients[0], rest) if needs_rest else None,
            None,
            None,
        )


class Adapter(nn.Module):
    """What one corrected layer owns: its unit and, where the layer is normalised, the corrected channels' normalisation.

    The network's own batch normalisation follows the unit's addition and the paper trains it on for the corrected channels;
    ``norm`` is a copy of just these.
    """

    def __init__(self, channels: int, shape: UnitShape, norm: nn.BatchNorm2d | None) -> None:
        super().__init__()
        self.unit = CorrectionUnit(channels, shape)
        self.norm = None if norm is None else nn.BatchNorm2d(channels, norm.eps, norm.momentum)


class CorrectedConv2d(nn.Module):
    """A frozen convolution, its frozen batch normalisation, and an adapter for some of its filters.

    The filters to correct are computed apart from the rest, so that nothing is gathered; the rest has its normalisation
    folded into its weights. Channels leave in the network's own order.
    """

    order: Tensor
    inverse: Tensor

    def __init__(self, base: nn.Conv2d, norm: nn.BatchNorm2d | None, filters: Sequence[int], shape: UnitShape) -> None:
        super().__init__()
        self.base = base
        self.base_norm = norm
        self.adapter = Adapter(len(filters), shape, norm)
        self.enabled = True
        chosen = torch.tensor(sorted(filters), device=base.weight.device)
        is_rest = torch.ones(base.out_channels, dtype=torch.bool, device=base.weight.device)
        is_rest[chosen] = False
        self.corrected = len(chosen)
        self.register_buffer("order", torch.cat([chosen, is_rest.nonzero().flatten()]), persistent=False)
        self.register_buffer("inverse", self.order.argsort(), persistent=False)
        if norm is not None and self.adapter.norm is not None:
            own = self.adapter.norm.state_dict()
            for name, source in norm.state_dict().items():
                own[name].copy_(source[chosen] if source.ndim else source)

    def forward(self, images: Tensor) -> Tensor:
        if not self.enabled:
            outputs: Tensor = self.base(images)
            return outputs if self.base_norm is None else self.base_norm(outputs)
        chosen, rest = self._split(images)
        corrected: Tensor = self.adapter.unit(chosen)
        if self.adapter.norm is not None:
            corrected = self.adapter.norm(corrected)
        if rest is None:
            return corrected
        merged: Tensor = _Merge.apply(corrected, rest, self.order, self.inverse)  # type: ignore[no-untyped-call]
        return merged

    def _split(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Outputs of the corrected filters, not normalised, and of the rest, if there is one, normalised."""
        base = self.base
        if self.corrected == base.out_channels:
            return base(images), None
        scale, shift = self._norm_as_affine()
        chosen, rest = self.order[: self.corrected], self.order[self.corrected :]
        if base.groups > 1 or type(base).forward is not nn.Conv2d.forward:
            outputs = base(images)
            remaining = outputs[:, rest] * scale[rest].view(-1, 1, 1) + shift[rest].view(-1, 1, 1)
            return outputs[:, chosen], remaining
        bias = torch.zeros_like(shift) if base.bias is None else base.bias
        weight = base.weight[rest] * scale[rest].view(-1, 1, 1, 1)
        return (
            base._conv_forward(images, base.weight[chosen], bias[chosen]),
            base._conv_forward(images, weight, bias[rest] * scale[rest] + shift[rest]),
        )

    def _norm_as_affine(self) -> tuple[Tensor, Tensor]:
        """The frozen normalisation as a factor and a summand for each channel."""
        norm = self.base_norm
        if norm is None:
            ones = torch.ones(self.base.out_channels, device=self.base.weight.device)
            return ones, torch.zeros_like(ones)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = torch.rsqrt(norm.running_var + norm.eps)
        if norm.affine:
            scale = scale * norm.weight
        shift = -norm.running_mean * scale
        return scale, shift + norm.bias if norm.affine else shift


class Retrained(nn.Module):
    """A frozen module and the copy of it that is trained on in its place."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base
        self.own = copy.deepcopy(base)
        self.enabled = True

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = (self.own if self.enabled else self.base)(inputs)
        return outputs
