"""What the swap of each filter gains, image by image: the passes behind exact priorities and verification."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from deepcorrect.base.device import Precision, autocast, laid_out, pass_memory
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.processes import Processes
from deepcorrect.datasets.batches import Batch, batches
from deepcorrect.datasets.images import Images
from deepcorrect.distortions.base import Distortion
from deepcorrect.models.inspection import looking
from deepcorrect.models.layers import Layer
from deepcorrect.ranking.provenance import provenance
from deepcorrect.swapping.base import Swap
from deepcorrect.swapping.graph import Graph
from deepcorrect.swapping.swaps import IMAGES_A_BATCH, Swaps, swaps_of
from deepcorrect.tasks.base import Task
from deepcorrect.tasks.classification import CLASSIFICATION

DISTORTED_BYTES = 256 * 2**20
"""What a meter may keep of distorted images, so that they are not distorted again for every layer."""


@dataclass(frozen=True)
class Gains:
    """Of one layer at one level.

    Attributes:
        before: (scores, N) float32, each image's scores (``Task.scores``) with nothing swapped.
        each: (scores, filters, N) float32, what each filter's swap adds to them; 0 for filters that were not asked for.
    """

    before: Tensor
    each: Tensor


@dataclass
class GainMeter:
    """Measures gains of a network on some images.

    Attributes:
        model: takes images (B, C, H, W) in [0, 1], returns the task's outputs: logits (B, classes) of a classifier. It is run
            in eval mode and left as it was.
        images: with labels; held in memory, as are up to 256 MiB of them distorted.
        distortion: what they suffer.
        seed: of the distortion's noise.
        device: where the network is.
        precision: of the passes; the network is captured in single precision.
        memory: bytes that one pass may take for its activations, such as 500_000_000 for 0.5 GB (a GB is 10^9 bytes);
            without it 0.08 GB on a CPU, near what caches hold, and half of what is free on a GPU. It decides how many pairs of
            a filter and an image share a pass, at least one, and no result.
        processes: those that share the images among them; each gets the whole result.
        progress: called with the number of pairs of a filter and an image done since its last call.
        task: what outputs and labels mean, and the scores whose gains are measured.
    """

    model: nn.Module
    images: Images
    distortion: Distortion
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "fp32"
    memory: int | None = None
    processes: Processes = field(default_factory=Processes)
    progress: Callable[[int], None] = lambda pairs: None
    task: Task = CLASSIFICATION

    def __post_init__(self) -> None:
        self.images = self.images.held()
        self._distorted: dict[tuple[int, float], Tensor] = {}

    @cached_property
    def swaps(self) -> Swaps:
        """What swaps filters, by layer."""
        return swaps_of(self.model, self.images, self.device, self.task)

    @property
    def graph(self) -> Graph | None:
        """The network captured, if it can be; in single precision, whatever it is run in."""
        return self.swaps.graph

    def parts(self, levels: Sequence[float]) -> Iterator[tuple[GainMeter, tuple[float, ...]]]:
        """Itself with these levels; of a mixture, a meter of each member with its own severities, on the same swaps."""
        parts = self.distortion.parts(levels)
        for distortion, severities in parts:
            meter = self
            if len(parts) > 1:
                meter = replace(self, distortion=distortion)
                meter.swaps = self.swaps
            yield meter, severities

    def swap(self, layer: Layer) -> Swap:
        """What swaps a layer's filters.

        Raises:
            DeepcorrectError: images of the layer cannot be told apart, or labels are missing or do not go with the network's
                outputs.
        """
        self.task.check_labels(self.images.labels)
        swap = self.swaps.of(layer)
        self.task.check_labels(self.images.labels, self.swaps.outputs)
        return swap

    def provenance(self, **more: Any) -> dict[str, Any]:
        """What its gains are of, and what ``more`` there is to tell, as JSON has it."""
        of = self.task.traits() | more
        return provenance(self.model, self.images, self.distortion, self.seed, self.precision, **of)

    @torch.inference_mode()
    def measure(self, layer: Layer, level: float, *, filters: Collection[int] | None = None) -> Gains:
        """What swapping each filter of a layer by itself gains at one level, image by image.

        Args:
            layer: of ``deepcorrect.models.layers.find_layers``.
            level: severity above 0.
            filters: those to measure; all of the layer without them.

        Raises:
            DeepcorrectError: as ``swap``, or the network answers with NaN.
        """
        wanted = torch.zeros(layer.filters, dtype=torch.bool, device=self.device)
        wanted[list(range(layer.filters) if filters is None else filters)] = True
        before = torch.zeros(len(self.task.scores), len(self.images))
        each = torch.zeros(len(self.task.scores), layer.filters, len(self.images))
        for start in self.processes.mine(range(0, len(self.images), IMAGES_A_BATCH)):
            part = slice(start, start + IMAGES_A_BATCH)
            clean, distorted = self.load(part, level)
            with looking(self.model), autocast(self.device, self.precision):
                before[:, part], each[:, :, part] = self._swap_each(layer, clean, distorted, wanted)
        return Gains(self.processes.total(before), self.processes.total(each))

    def load(self, part: slice, level: float) -> tuple[Batch, Tensor]:
        """Some of the images clean, and distorted."""
        positions = torch.arange(len(self.images))[part]
        (batch,) = batches(self.images.take(positions), IMAGES_A_BATCH, self.device)
        distorted = self._distorted.get((part.start, level))
        if distorted is None:
            distorted = laid_out(self.distortion.at(batch.images, level, batch.indices, self.seed), self.model)
            if sum(kept.nbytes for kept in self._distorted.values()) + distorted.nbytes <= DISTORTED_BYTES:
                self._distorted[part.start, level] = distorted
        return batch._replace(images=laid_out(batch.images, self.model)), distorted

    def _swap_each(self, layer: Layer, clean: Batch, distorted: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        swap = self.swap(layer)
        batch = swap.prepare(clean.images, distorted)
        labels = clean.labels
        before = self.task.score(batch.outputs, labels)
        if batch.outputs.isnan().any():
            raise DeepcorrectError("the network's answers to distorted images are NaN; its weights or precision are unsound")
        gains = torch.zeros(len(before), layer.filters, len(labels), device=self.device)
        pairs = (batch.changes & wanted).T.nonzero()
        self.advance(gains[0].numel() - len(pairs))
        pairs_a_pass = max(1, int((self.memory or pass_memory(self.device)) / swap.bytes_a_pair))
        for start in range(0, len(pairs), pairs_a_pass):
            filters, images = pairs[start : start + pairs_a_pass].unbind(1)
            after = self.task.score(batch.finish(filters, images), labels[images])
            gains[:, filters, images] = (after - before[:, images]).where(after != before[:, images], 0.0)
            self.advance(len(filters))
        return before.cpu(), gains.cpu()

    def advance(self, pairs: int) -> None:
        """Tell of pairs that this process has done; the others are about as far."""
        self.progress(pairs * self.processes.count)
