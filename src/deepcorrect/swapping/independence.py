"""Whether a network's answer to an image is independent of the others in its batch; if it is not, gains have no meaning."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from deepcorrect.base.device import out_of_memory
from deepcorrect.base.errors import DeepcorrectError, first_line
from deepcorrect.models.inspection import looking
from deepcorrect.tasks.base import Task
from deepcorrect.tasks.classification import CLASSIFICATION


def agree(found: Tensor, wanted: Tensor, *, scale: float | None = None, share: float = 1e-3) -> bool:
    """Whether values (B, ...) are equal to within rounding and a ``share`` of their ``scale``.

    NaN equals NaN, and an infinity itself. Rounding is that of numbers of size 1, or of the largest.

    Args:
        scale: of what is told apart by them; without it, by how much they differ over the rows, or a hundredth of how much
            they differ at all.
    """
    if found.shape != wanted.shape:
        return False
    rounding = torch.finfo(wanted.dtype).eps if wanted.is_floating_point() else 0.0
    if wanted.device.type == "cuda" and wanted.dtype == torch.float32 and torch.backends.cudnn.allow_tf32:
        rounding = 2.0**-11
    found, wanted = found.detach().double(), wanted.detach().double()
    if scale is None:
        scale = _spread(wanted)
    largest = max(1.0, float(_finite(wanted).abs().max())) if wanted.numel() else 1.0
    return torch.allclose(found, wanted, rtol=0, atol=(share + 8 * rounding) * scale + 24 * rounding * largest, equal_nan=True)


def _finite(values: Tensor) -> Tensor:
    return values.where(values.isfinite(), 0.0)


def _spread(values: Tensor) -> float:
    if not values.numel():
        return 0.0
    values = _finite(values)
    return max(float((values - values[:1]).abs().max()), 0.01 * float(values.max() - values.min()))


def require_own_answers(model: nn.Module, images: Tensor, task: Task = CLASSIFICATION) -> tuple[Tensor, dict[str, str]]:
    """Run a network on the same images in different batches, which must give the same answers.

    Args:
        model: takes images (B, C, H, W). It is left as it was.
        images: one or more, (B, C, H, W).
        task: says what of the network's answer is its outputs.

    Returns:
        The outputs of three images, (3, ...), and of each convolution module whose rows are not the images what is wrong, by
        name.

    Raises:
        DeepcorrectError: the network does not take the images or does not return outputs of the task, answers otherwise each
            time, or its answer to an image depends on others.
    """
    few = torch.cat([images[:4], images[:1].flip(3), images[:1].flip(2), images[:1].flip(2, 3)])[:4]
    first, other = [0, 1, 2], [2, 0, 3, 3]
    with looking(model), torch.no_grad():
        try:
            (alone, outputs), (elsewhere, others) = (_summaries(model, few[order], task) for order in (first, other))
            whole = task.outputs(model(images.clone())) if len(images) > 3 else alone
        except Exception as error:
            if out_of_memory(error) or isinstance(error, DeepcorrectError):
                raise
            shape = "x".join(str(size) for size in images.shape[1:])
            raise DeepcorrectError(
                f"the network does not take {images.dtype} images of {shape}: {first_line(error)}; wrap it in a module that "
                "brings its images to what it takes"
            ) from None
        same = len(alone) == 3 and len(elsewhere) == 4 and len(whole) == max(3, len(images))
        if not (same and agree(elsewhere[[1, 0]], alone[[0, 2]], scale=_spread(alone)) and agree(whole[:3], alone)):
            again = [task.outputs(model(few.clone())) for _ in range(2)]
            if not agree(*again):
                raise DeepcorrectError(
                    "the network answers the same images differently each time, in eval mode too, so no gain can be told; "
                    "turn off what is random in it"
                )
            raise DeepcorrectError(
                "the network's answer to an image depends on the other images of its batch, in eval mode too (batch "
                "normalisation without running statistics, or an operation across images), so no gain of an image can be "
                "told; rank a network that takes each image by itself"
            )
    wrong = {}
    for name in {**outputs, **others}:
        reason = _compare(outputs.get(name, []), others.get(name, []))
        if reason:
            wrong[name] = reason
    return alone, wrong


def _compare(alone: list[Tensor], elsewhere: list[Tensor]) -> str:
    """What is wrong with a module's outputs for images 0, 1, 2 and for 2, 0, 3, 3; empty if nothing is."""
    if len(alone) != len(elsewhere):
        return f"runs {len(alone)} times for 3 images, but {len(elsewhere)} times for 4 others"
    for one, two in zip(alone, elsewhere, strict=True):
        if one.ndim != 2 or (len(one), len(two)) != (3, 4):
            return f"has outputs of {len(one)} rows for 3 images, and of {len(two)} for 4"
        if not agree(two[[1, 0]], one[[0, 2]], scale=_spread(one), share=0.01):
            return "has rows that stand in another order than the images, or depend on more than one of them"
    return ""


def _summaries(model: nn.Module, images: Tensor, task: Task) -> tuple[Tensor, dict[str, list[Tensor]]]:
    """The network's outputs, and for each convolution module the mean absolute value of each row and channel, (B, C)."""
    found: dict[str, list[Tensor]] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: object, output: object) -> None:
            if isinstance(output, Tensor):
                found.setdefault(name, []).append(output.float().abs().mean((2, 3)) if output.ndim == 4 else output.float())

        return hook

    with ExitStack() as stack:
        for name, module in model.named_modules():
            if isinstance(module, nn.Conv2d):
                stack.callback(module.register_forward_hook(note(name)).remove)
        return task.outputs(model(images.clone())), found
