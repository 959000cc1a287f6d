"""A network's features: what arrives at one of its layers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from deepcorrect.base.device import Precision, autocast, device_of, laid_out
from deepcorrect.datasets.batches import batches
from deepcorrect.datasets.images import Images

BATCH = 100


@torch.inference_mode()
def features(
    model: nn.Module,
    layer: str,
    images: Images,
    *,
    device: torch.device | str | None = None,
    precision: Precision = "fp32",
    prepare: Callable[[Tensor, Tensor], Tensor] = lambda images, indices: images,
    progress: Callable[[int], None] = lambda images: None,
) -> Tensor:
    """What arrives at a layer for each image, averaged over positions where it has any, (N, D) float32.

    Args:
        model: takes images (B, C, H, W) in [0, 1]. It is put into eval mode.
        prepare: what is done to images, given their indices, before the network sees them.
    """
    model.eval()
    device = device_of(model, device)
    seen: list[Tensor] = []
    handle = model.get_submodule(layer).register_forward_pre_hook(
        lambda module, given: seen.append(_pooled(given[0].float()).cpu())
    )  # fmt: skip
    try:
        for batch in batches(images, BATCH, device):
            prepared = laid_out(prepare(batch.images, batch.indices), model)
            with autocast(device, precision):
                model(prepared)
            progress(len(batch.labels))
    finally:
        handle.remove()
    return torch.cat(seen)


def _pooled(values: Tensor) -> Tensor:
    return values.mean((2, 3)) if values.ndim == 4 else values.flatten(1)
