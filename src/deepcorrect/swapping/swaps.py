"""Run a network on distorted images as if some filters of a layer had seen the clean ones: patching, channel by channel.

A ``Swap`` prepares a batch once, with a clean and a distorted pass. Then it finishes any number of pairs of a filter and an
image, many in one pass, and runs only what comes after the layer. ``GraphSwap`` works on a captured graph; where there is none,
``HookSwap`` replaces the channels by a hook and runs the whole network.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn

from deepcorrect.base.device import laid_out, out_of_memory
from deepcorrect.base.errors import DeepcorrectError, first_line
from deepcorrect.base.words import argument
from deepcorrect.datasets.batches import batches
from deepcorrect.datasets.images import Images
from deepcorrect.models.inspection import looking
from deepcorrect.models.layers import Layer
from deepcorrect.swapping.base import Swap
from deepcorrect.swapping.graph import Graph, capture
from deepcorrect.swapping.graph_swap import GraphSwap
from deepcorrect.swapping.hook_swap import HookSwap
from deepcorrect.swapping.independence import agree, require_own_answers
from deepcorrect.tasks.base import Task
from deepcorrect.tasks.classification import CLASSIFICATION

IMAGES_A_BATCH = 50


def swaps_of(model: nn.Module, images: Images, device: torch.device, task: Task = CLASSIFICATION) -> Swaps:
    """The swaps of a network that is run on some images in batches of ``IMAGES_A_BATCH``."""
    return Swaps(model, laid_out(next(batches(images, IMAGES_A_BATCH, device)).images, model), task)


class Swaps:
    """The swaps of a network's layers: each is made once, and compared with a swap by hooks on some images.

    Attributes:
        model: takes images (B, C, H, W) in [0, 1]. It is run in eval mode and left as it was.
        images: one or more of those that it is run on, (B, C, H, W), in their memory layout.
        task: says what of the network's answer is its outputs.
        reasons: by the name of a layer, why it is swapped by hooks.
    """

    def __init__(self, model: nn.Module, images: Tensor, task: Task = CLASSIFICATION) -> None:
        self.model = model
        self.images = images
        self.task = task
        self.reasons: dict[str, str] = {}
        self._uncaptured = ""
        self._made: dict[str, Swap] = {}
        self._in_single: Swaps | None = None

    @cached_property
    def graph(self) -> Graph | None:
        """The network captured, if it can be; in single precision, whatever it is run in."""

        def keep(reason: str) -> None:
            self._uncaptured = reason

        with _plain(self.images.device):
            return capture(self.model, self.images.clone(), task=self.task, tell=keep)

    @property
    def outputs(self) -> Tensor:
        """What the network gives for three of the images, (3, ...)."""
        return self._inspected[0]

    def of(self, layer: Layer) -> Swap:
        """The swap of a layer's filters.

        Raises:
            DeepcorrectError: what the network or the layer computes for an image depends on the others of its batch.
        """
        if layer.name not in self._made:
            wrong = self._inspected[1].get(layer.name)
            if wrong:
                raise DeepcorrectError(
                    f"layer {layer.name} {wrong}, so it is not known which image each row belongs to; leave it out of "
                    f"{argument('layers')}"
                )
            with _plain(self.images.device):
                self._made[layer.name] = self._make(layer)
        return self._made[layer.name]

    @cached_property
    def _inspected(self) -> tuple[Tensor, dict[str, str]]:
        with _plain(self.images.device):
            return require_own_answers(self.model, self.images.clone(), self.task)

    def _make(self, layer: Layer) -> Swap:
        hooks = HookSwap(self.model, layer, self.images.shape[1:], self.task)
        if self.graph is None:
            self.reasons[layer.name] = self._uncaptured
            return hooks
        swap = GraphSwap(self.graph, layer)
        reason = swap.problem or self._difference(layer, swap, hooks)
        if not reason:
            return swap
        self.reasons[layer.name] = reason
        return hooks

    def _difference(self, layer: Layer, swap: GraphSwap, hooks: HookSwap) -> str:
        """As ``_compare``; of a network in half precision, which rounds away what is compared, it is that of a float32 copy."""
        if self.images.dtype not in (torch.float16, torch.bfloat16):
            return self._compare(swap, hooks)
        try:
            if self._in_single is None:
                self._in_single = Swaps(copy.deepcopy(self.model).float(), self.images.float(), self.task)
        except Exception as error:  # of what cannot be copied
            return first_line(error)
        copies = dict(zip(self.model.modules(), self._in_single.model.modules(), strict=True))
        self._in_single.of(replace(layer, module=cast(nn.Conv2d, copies[layer.module])))
        return self._in_single.reasons.get(layer.name, "")

    def _compare(self, swap: GraphSwap, hooks: HookSwap) -> str:
        """How a swap on the graph differs from one by hooks, of two filters on two images; nothing where it does not."""
        few = torch.cat([self.images[:4], self.images[:1].flip(3), self.images[:1].flip(2), self.images[:1].flip(2, 3)])[:4]
        last = swap.channels - 1
        filters = torch.tensor([0, 0, last, last], device=few.device)
        images = torch.tensor([1, 0, 1, 0], device=few.device)
        with looking(self.model), torch.no_grad():
            wanted = hooks.prepare(few[:2], few[2:])
            try:
                found = swap.prepare(few[:2], few[2:])
                pairs = found.finish(filters, images), wanted.finish(filters, images), wanted.outputs[images]
                whole = found.answer([0, last]), wanted.answer([0, last]), wanted.outputs
            except Exception as error:
                if out_of_memory(error) or isinstance(error, DeepcorrectError):
                    raise
                return first_line(error)
        for answer, by_hooks, before in (pairs, whole):
            if not agree(answer, by_hooks, scale=float((by_hooks - before).nan_to_num(0, 0, 0).abs().max())):
                return "a swap in the captured graph gives another answer than one by a hook"
        return ""


@contextmanager
def _plain(device: torch.device) -> Iterator[None]:
    """Single precision and tensors that autograd takes, whatever surrounds it."""
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield
