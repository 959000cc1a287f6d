"""The modules that a correction puts in place of the network's own: a convolution with its correction unit, the normalisation
behind it, and a copy that is trained on. Each keeps the module it stands for, unchanged, answers with it bit for bit while
switched off, and has its attributes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcorrect.adapters.units import CorrectionUnit, UnitShape
from deepcorrect.models.inspection import does_more
from deepcorrect.models.normalization import behind
from deepcorrect.models.stand_in import StandIn


def _pick(outputs: Tensor, channels: Tensor) -> Tensor:
    """``outputs[:, channels]``, channels last in memory.

    On a CPU a 1x1 convolution with ones in the right places copies the same numbers about twice as fast as indexing.
    """
    if outputs.device.type != "cpu":
        return outputs.index_select(1, channels).contiguous(memory_format=torch.channels_last)
    ones = torch.eye(outputs.shape[1], dtype=outputs.dtype, device=outputs.device)[channels]
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


class CorrectedConv2d(StandIn):
    """A frozen convolution, its frozen batch normalisation, and an adapter for some of its filters.

    The filters to correct are computed apart from the rest, so that nothing is gathered; the rest has its normalisation
    folded into its weights. Where running the convolution is more than convolving (hooks, parametrisations, a subclass) it
    is run as it is, and channels are taken from what it gives. Channels leave in the network's own order.

    Attributes:
        fast: whether it computes so; if not, the convolution is run as it is and an index puts the channels in order.
    """

    base: nn.Conv2d
    order: Tensor
    inverse: Tensor

    def __init__(self, base: nn.Conv2d, norm: nn.BatchNorm2d | None, filters: Sequence[int], shape: UnitShape) -> None:
        super().__init__()
        self.base = base
        self.base_norm = norm
        self.adapter = Adapter(len(filters), shape, norm)
        self.fast = True
        weight = base.weight
        chosen = torch.tensor(sorted(filters), device=weight.device)
        is_rest = torch.ones(base.out_channels, dtype=torch.bool, device=weight.device)
        is_rest[chosen] = False
        self.corrected = len(chosen)
        self.register_buffer("order", torch.cat([chosen, is_rest.nonzero().flatten()]), persistent=False)
        self.register_buffer("inverse", self.order.argsort(), persistent=False)
        if norm is not None and self.adapter.norm is not None:
            known = norm.state_dict()
            self.adapter.norm.to(weight.device, known["running_mean"].dtype)
            for name, value in self.adapter.norm.state_dict().items():
                if name in known:
                    value.copy_(known[name][chosen] if value.ndim else known[name])

    def forward(self, input: Tensor) -> Tensor:
        if not self.enabled:
            outputs: Tensor = self.base(input)
            return outputs
        chosen, rest = self._split(input)
        corrected: Tensor = self.adapter.unit(chosen)
        if self.adapter.norm is not None:
            corrected = self.adapter.norm(corrected)
        if rest is None:
            return corrected
        if not self.fast:
            return torch.cat([corrected, rest], 1).index_select(1, self.inverse)
        merged: Tensor = _Merge.apply(corrected, rest, self.order, self.inverse)  # type: ignore[no-untyped-call]
        return merged

    def _split(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Outputs of the corrected filters, not normalised, and of the rest, if there is one, normalised."""
        base = self.base
        if self.corrected == base.out_channels:
            return base(images), None
        chosen, rest = self.order[: self.corrected], self.order[self.corrected :]
        if not (self.fast and _just_convolves(base)):
            outputs = base(images)
            return outputs[:, chosen], self._normalize(outputs)[:, rest]
        return (
            self._convolve(images, base.weight[chosen], None if base.bias is None else base.bias[chosen]),
            self._convolve(images, *self._folded(rest)),
        )

    def _convolve(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(images, weight, bias, self.base.stride, self.base.padding, self.base.dilation)

    def _normalize(self, outputs: Tensor) -> Tensor:
        norm = self.base_norm
        if norm is None:
            return outputs
        return F.batch_norm(outputs, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)

    def _folded(self, filters: Tensor) -> tuple[Tensor, Tensor | None]:
        """Weights and biases of some filters, the frozen normalisation worked into them."""
        weight, bias = self.base.weight[filters], None if self.base.bias is None else self.base.bias[filters]
        norm = self.base_norm
        if norm is None:
            return weight, bias
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = torch.rsqrt(norm.running_var[filters] + norm.eps)
        if norm.weight is not None:
            scale = scale * norm.weight[filters]
        shift = -norm.running_mean[filters] * scale
        if norm.bias is not None:
            shift = shift + norm.bias[filters]
        scale, shift = scale.to(weight.dtype), shift.to(weight.dtype)
        return weight * scale.view(-1, 1, 1, 1), shift if bias is None else bias * scale + shift


def _just_convolves(base: nn.Conv2d) -> bool:
    """Whether running it is one convolution of its weight and bias, which can be split by filters."""
    simple = type(base) is nn.Conv2d and base.groups == 1 and base.padding_mode == "zeros" and not does_more(base)
    return simple and base.weight.dtype in (torch.float32, torch.float64) and not _hooked_everywhere()


_hooked_everywhere = getattr(nn.modules.module, "_has_any_global_hook", lambda: False)


class FoldedNorm(StandIn):
    """A frozen batch normalisation that the corrected convolution in front has taken over; what it does beside is left."""

    def __init__(self, base: nn.BatchNorm2d) -> None:
        super().__init__()
        self.__dict__["base"] = base  # the corrected convolution owns it
        self.behind = behind(base)

    def forward(self, input: Tensor) -> Tensor:
        outputs: Tensor = (self.behind if self.enabled else self.base)(input)
        return outputs


class Retrained(StandIn):
    """A frozen module and the copy of it that is trained on in its place."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base
        self.own = copy.deepcopy(base)

    @property
    def seen(self) -> nn.Module:
        """The copy, which the network may use by its weights alone, or the module itself."""
        return self.own if self.enabled else self.base

    def forward(self, *args: Any, **options: Any) -> Any:
        return self.seen(*args, **options)
