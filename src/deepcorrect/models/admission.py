"""What a network must be to be worked on: a module whose layers can be reached, which answers images as its task has it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from deepcorrect.base.device import dtype_of, laid_out, lay_out, layout_of
from deepcorrect.base.errors import DeepcorrectError, first_line
from deepcorrect.base.words import phrase
from deepcorrect.models.inspection import is_compiled
from deepcorrect.tasks.base import Task
from deepcorrect.tasks.classification import CLASSIFICATION

SIZES = (28, 32, 64, 96, 128, 224, 227, 256, 299, 384)
"""Pixels a side that a network is tried with where it does not take its images."""


def plain(model: nn.Module) -> nn.Module:
    """The network itself, without ``torch.compile`` around it.

    Raises:
        DeepcorrectError: its layers cannot be reached, or it has no weights yet.
    """
    while isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
        model = inner
    if not isinstance(model, nn.Module):
        raise DeepcorrectError(f"the network must be a torch.nn.Module, not {type(model).__name__}")
    if isinstance(model, torch.jit.ScriptModule):
        raise DeepcorrectError(
            "the network is a TorchScript module, inside which no layer can be reached; give the module that it was made "
            "from, or save it by torch.export and give the .pt2 file"
        )
    for name, module in model.named_modules():
        if is_compiled(module):
            raise DeepcorrectError(
                f"{name or 'the network'} is compiled by torch.compile, inside which no layer can be reached; give the network "
                "before it is compiled"
            )
    for name, tensor in _tensors(model):
        if tensor.is_meta:
            raise DeepcorrectError(f"{name} is on the meta device, without any numbers; load the network's weights first")
    return model


@torch.no_grad()
def ask(model: nn.Module, images: Tensor, data: str, task: Task = CLASSIFICATION) -> Tensor:
    """The outputs of a network in eval mode for some images, (B, ...); logits (B, classes) of a classifier.

    Args:
        images: (B, C, H, W) in [0, 1], on the network's device, which is given them in its own precision.
        data: the name of what they are from.
        task: what the network is for.

    Raises:
        DeepcorrectError: it fails on them, or does not answer with outputs of the task.
    """
    lazy = any(is_lazy(tensor) for _, tensor in _tensors(model))
    try:
        answer = model(laid_out(images, model))
    except Exception as error:  # a network may raise anything
        raise DeepcorrectError(_why_it_fails(model, images, data, error, lazy=lazy)) from None
    outputs = task.admit(answer, len(images))
    if outputs.isnan().any() or outputs.isposinf().any():
        broken = [name for name, tensor in _tensors(model) if tensor.is_floating_point() and not tensor.isfinite().all()]
        where = f"{broken[0]} holds such" if broken else "its weights are sound, so its values overflow on the way"
        raise DeepcorrectError(f"the network answers clean images of {data} with NaN or infinite numbers: {where}")
    return outputs


def require_single_precision(model: nn.Module) -> None:
    """Refuse to train for a network in another precision than float32.

    Raises:
        DeepcorrectError: it is in another; the message says how to go on.
    """
    dtype = dtype_of(model)
    if dtype != torch.float32:
        raise DeepcorrectError(
            f"the network computes in {_name(dtype)}, and training needs float32: call its .float() first, and convert the "
            "network afterwards"
        )


@torch.no_grad()
def try_channels_last(model: nn.Module, images: Tensor, answer: Tensor, task: Task = CLASSIFICATION) -> None:
    """Lay a network out channels last, where convolutions are fastest, if it then still gives some images these outputs."""
    if layout_of(model) is torch.channels_last:
        return
    before = lay_out(model, torch.channels_last)
    try:
        outputs = task.outputs(model(laid_out(images, model)))
        same = torch.allclose(outputs, answer, rtol=1e-3, atol=1e-5 + 1e-3 * float(answer.abs().max()))
    except Exception:  # such as that of .view, which asks for torch's own layout
        same = False
    if not same:
        for weight, data in before.items():
            weight.data = data


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return chain(model.named_parameters(), model.named_buffers())


def _why_it_fails(model: nn.Module, images: Tensor, data: str, error: Exception, *, lazy: bool) -> str:
    """The true reason: the size of the images where it takes others, else what it says itself."""
    said = first_line(error)
    shape = "x".join(str(size) for size in images.shape[1:])
    if not lazy and not isinstance(error, MemoryError | torch.OutOfMemoryError):
        for channels, side in _other_shapes(images):
            if _runs(model, torch.rand(1, channels, side, side).to(images.device, dtype_of(model))):
                size = phrase(python=f"resize=Resize({side})", command_line=f"--size {side}")
                grey = phrase(python=", grey=True", command_line=" --grey") if channels == 1 else ""
                return (
                    f"the network does not take the {shape} images of {data}: {said}; it takes {channels}x{side}x{side}: "
                    f"bring a folder's images to its size with {size}{grey}"
                )
    remedy = ""
    precisions = sorted({_name(tensor.dtype) for _, tensor in _tensors(model) if tensor.is_floating_point()})
    if len(precisions) > 1:
        remedy = f"; its weights are in {' and '.join(precisions)}: bring them to one precision, as .float() does"
    if isinstance(error, TypeError):
        remedy = "; it is called with images alone: wrap it in a module whose forward takes no more"
    return f"the network fails on the {shape} images of {data}: {type(error).__name__}: {said}{remedy}"


def _other_shapes(images: Tensor) -> Iterator[tuple[int, int]]:
    """Channels and pixels a side, the images' own first."""
    channels, side = images.shape[1], images.shape[-1]
    for count in dict.fromkeys((channels, 3, 1)):
        for size in dict.fromkeys((side, *SIZES)):
            yield count, size


def _runs(model: nn.Module, images: Tensor) -> bool:
    try:
        model(images)
    except Exception:  # whatever it is, it does not take them
        return False
    return True


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
