"""Correction priority (section 4.1, Algorithm 1): which filters does a distortion ruin, and which are worth correcting?

For every filter the output on distorted images is swapped for the output on the same images undistorted, that filter's
alone, and the rest of the network runs. The priority is the gain in top-1 accuracy (Equation 1),

    tau(i, j) = p_swap(i, j) - p_b,

averaged over the severity levels. One clean and one distorted pass per layer and batch give the outputs; then only the rest
of the network runs for each filter. Scores are counts of right predictions, so that they do not depend on the batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions import Distortion
from deepcorrect.errors import DeepcorrectError
from deepcorrect.files import read_json, write_json
from deepcorrect.layers import Layer, require_one_use
from deepcorrect.loading import batches
from deepcorrect.runtime import Precision, autocast
from deepcorrect.tails import Tail, find_chain


@dataclass(frozen=True)
class Ranking:
    """Correction priorities and what they were measured on.

    Attributes:
        distortion: its name.
        levels: severities, without the clean one.
        images: how many images each level was measured on.
        seed: of the images' choice and of the noise.
        baseline: top-1 with nothing swapped, p_b, a level each.
        scores: priority by layer and filter, averaged over the levels.
    """

    distortion: str
    levels: tuple[float, ...]
    images: int
    seed: int
    baseline: tuple[float, ...]
    scores: dict[str, tuple[float, ...]]

    def local(self, layer: str) -> tuple[int, ...]:
        """A layer's filters, the most susceptible first; equal ones in their own order."""
        scores = self.scores[layer]
        return tuple(sorted(range(len(scores)), key=lambda filter_: -scores[filter_]))

    def across(self) -> tuple[tuple[str, int], ...]:
        """(layer, filter) over all ranked layers, the most susceptible first (global ranking)."""
        pairs = [(layer, filter_) for layer, scores in self.scores.items() for filter_ in range(len(scores))]
        return tuple(sorted(pairs, key=lambda pair: -self.scores[pair[0]][pair[1]]))

    def as_json(self) -> dict[str, object]:
        """The fields, and both rankings: ``local`` lists each layer's filters, ``global`` all (layer, filter), best first."""
        return asdict(self) | {"local": {layer: self.local(layer) for layer in self.scores}, "global": self.across()}

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, self.as_json())

    @classmethod
    def load(cls, path: Path) -> Ranking:
        """Read a saved ranking.

        Raises:
            DeepcorrectError: missing or not a ranking.
        """
        try:
            return cls.from_json(read_json(path))
        except (KeyError, TypeError, AttributeError) as error:
            raise DeepcorrectError(f"{path}: not a ranking saved by deepcorrect ({error})") from None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Ranking:
        """What ``as_json`` gave."""
        fields = {name: value for name, value in content.items() if name not in ("local", "global")}
        scores = {layer: tuple(scores) for layer, scores in content["scores"].items()}
        tuples = {"levels": tuple(content["levels"]), "baseline": tuple(content["baseline"])}
        return cls(**{**fields, **tuples, "scores": scores})


def count_of_share(share: float, filters: int, layer: str) -> int:
    """How many filters a share of a layer is, rounded.

    Raises:
        DeepcorrectError: the share lies outside (0, 1], or comes to no filter at all.
    """
    if not 0 < share <= 1:
        raise DeepcorrectError(f"--share {share:g}: outside (0, 1]; 0.5 corrects half of each layer's filters")
    count = int(share * filters + 0.5)
    if count == 0:
        raise DeepcorrectError(f"--share {share:g}: layer {layer} has {filters} filter(s), of which this is none")
    return count


def choose_locally(ranking: Ranking, shares: dict[str, float]) -> dict[str, tuple[int, ...]]:
    """The most susceptible share of each layer by itself (local ranking); filters in ascending order."""
    return {
        layer: tuple(sorted(ranking.local(layer)[: count_of_share(share, len(ranking.scores[layer]), layer)]))
        for layer, share in shares.items()
    }


def choose_globally(ranking: Ranking, shares: dict[str, float]) -> dict[str, tuple[int, ...]]:
    """As many filters as the shares come to, the most susceptible of all these layers together (global ranking)."""
    total = sum(count_of_share(share, len(ranking.scores[layer]), layer) for layer, share in shares.items())
    chosen: dict[str, list[int]] = {layer: [] for layer in shares}
    for layer, filter_ in [pair for pair in ranking.across() if pair[0] in shares][:total]:
        chosen[layer].append(filter_)
    return {layer: tuple(sorted(filters)) for layer, filters in chosen.items() if filters}


@torch.inference_mode()
def rank_filters(
    model: nn.Module,
    images: ImageSet,
    distortion: Distortion,
    levels: Sequence[float],
    *,
    layers: Sequence[Layer],
    seed: int = 0,
    device: torch.device | None = None,
    precision: Precision = "fp32",
    batch_size: int = 250,
    progress: Callable[[int], None] = lambda passes: None,
) -> Ranking:
    """Measure every filter's correction priority, exactly.

    Args:
        model: takes images (B, C, H, W) in [0, 1], returns logits. It is put into eval mode.
        images: 10 a class in the paper.
        levels: severities above 0.
        layers: those to rank, of ``deepcorrect.layers.find_layers``.
        batch_size: bounds the memory: two outputs of a layer for so many images.
        progress: called with the number of (image, filter) pairs done since its last call.

    Raises:
        DeepcorrectError: a layer runs more than once in a pass.
    """
    device = device or torch.device("cpu")
    for layer in layers:
        require_one_use(layer)
    model.eval()
    example = next(batches(images, 1, device)).images
    chain = find_chain(model, example)
    tails = {layer.name: Tail(model, chain, layer.name) for layer in layers}
    hits = {layer.name: torch.zeros(len(levels), layer.filters, dtype=torch.int64) for layer in layers}
    plain = torch.zeros(len(levels), dtype=torch.int64)
    for place, level in enumerate(levels):
        for batch in batches(images, batch_size, device):
            distorted = distortion.at(batch.images, level, batch.indices, seed)
            distorted = distorted.contiguous(memory_format=torch.channels_last)
            with autocast(device, precision):
                plain[place] += _hits(model(distorted), batch.labels)
                for name, tail in tails.items():
                    hits[name][place] += _swap_each(tail, batch.images, distorted, batch.labels, progress)
    count = len(images)
    return Ranking(
        distortion.name,
        tuple(float(level) for level in levels),
        count,
        seed,
        tuple((plain.double() / count).tolist()),
        {name: tuple(((right - plain[:, None]).double().mean(0) / count).tolist()) for name, right in hits.items()},
    )


def _swap_each(tail: Tail, clean: Tensor, distorted: Tensor, labels: Tensor, progress: Callable[[int], None]) -> Tensor:
    """Right predictions with each filter's clean output in place, one filter at a time."""
    wanted, held = tail.activations(clean), tail.activations(distorted)
    hits = torch.zeros(held.shape[1], dtype=torch.int64)
    for filter_ in range(held.shape[1]):
        own = held[:, filter_].clone()
        held[:, filter_] = wanted[:, filter_]
        hits[filter_] = _hits(tail.finish(distorted, held), labels)
        held[:, filter_] = own
        progress(len(labels))
    return hits


def _hits(logits: Tensor, labels: Tensor) -> int:
    return int((logits.argmax(1) == labels).sum())
