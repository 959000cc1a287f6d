"""Fit a gate: a logistic regression on statistics of clean and distorted images, and a threshold that lets clean ones pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from deepcorrect.adapters.gate import UNTOUCHED, FirstLayer, Gate, statistics
from deepcorrect.base.device import device_of, laid_out
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.seeding import Use, generator
from deepcorrect.base.words import argument
from deepcorrect.datasets.batches import Batch, batches
from deepcorrect.datasets.images import Images
from deepcorrect.distortions.base import Ladder

BATCH = 100
_STRENGTH = 1.0
"""Inverse regularisation strength, for statistics of unit variance."""
_SMALLEST_SCALE = 1e-6


class Fitted(NamedTuple):
    """A gate, and the share of clean validation images that it leaves alone."""

    gate: Gate
    passed: float


def fit_gate(
    network: nn.Module,
    layer: str,
    train: Images,
    validation: Images,
    ladders: Mapping[str, Ladder],
    *,
    clean: float = 0.995,
    seed: int = 0,
    device: torch.device | None = None,
    progress: Callable[[int], None] = lambda images: None,
) -> Fitted:
    """Fit a gate to training images, each of them clean and under every distortion that a correction is for, at random levels.

    Args:
        network: in eval mode; it is left as it was.
        layer: its first convolution.
        train: their labels are not used.
        validation: clean images that set the threshold.
        ladders: by the name of each correction, what it is to be used against.
        clean: share of clean validation images that are to be left alone, in (0, 1).
        seed: of the levels and of noise.
        progress: called with the number of images done since its last call: those of training count once clean and once a
            distortion, see ``kinds_of``.

    Raises:
        DeepcorrectError: a share that is none, no correction, or no images.
    """
    if not 0 < clean < 1:
        raise DeepcorrectError(f"{argument('clean', clean)}: give a share between 0 and 1")
    if not ladders:
        raise DeepcorrectError("a gate needs one correction at least")
    if not len(train) or not len(validation):
        raise DeepcorrectError("a gate needs training images to be fitted to, and validation images for its threshold")
    first, device = FirstLayer(network, layer), device_of(network, device)
    kinds = kinds_of(ladders)
    seen = list(_statistics(first, train, [ladder for _, ladder in kinds], seed, device, progress))
    inputs = torch.cat([torch.cat(parts) for parts in zip(*seen, strict=True)])
    wanted = torch.arange(1 + len(kinds)).repeat_interleave(len(train))
    mean, scale = inputs.mean(0), inputs.std(0, correction=0).clamp_min(_SMALLEST_SCALE)
    weight, bias = _regression((inputs - mean) / scale, wanted)
    decisions = torch.tensor([UNTOUCHED, *(decision for decision, _ in kinds)])
    gate = Gate(tuple(ladders), mean, scale, weight, bias, decisions)
    held_out = torch.cat([clean_ones for (clean_ones,) in _statistics(first, validation, [], seed, device, progress)])
    scores = gate.scores(held_out)
    margins = scores[:, 0] - scores[:, 1:].amax(1)
    gate.bias[0] -= _threshold(margins, clean)
    return Fitted(gate, float((gate.scores(held_out).argmax(1) == 0).double().mean()))


def kinds_of(ladders: Mapping[str, Ladder]) -> list[tuple[int, Ladder]]:
    """What ruined images a gate tells apart, each with the decision for it: under every distortion that a correction is for, of
    a mixture each member by itself."""
    return [
        (decision, part)
        for decision, ladder in enumerate(ladders.values(), 1)
        for part in ladder.distortion.parts(ladder.levels)
    ]


def _regression(inputs: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Weights and biases of a logistic regression, (kinds, D) and (kinds,)."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=_STRENGTH, max_iter=1000).fit(inputs.numpy(), wanted.numpy())
    weight, bias = torch.from_numpy(fitted.coef_).float(), torch.from_numpy(fitted.intercept_).float()
    if len(weight) == 1:  # for two classes scikit-learn has only the difference
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    return weight, bias


def _threshold(margins: Tensor, share: float) -> float:
    """A number that ``share`` of the margins reach, midway between two of them where there are further ones."""
    ordered = margins.sort(descending=True).values.tolist()
    count = math.ceil(share * len(ordered))
    last = ordered[count - 1]
    return float(last - 1e-3 * abs(last) - 1e-6 if count == len(ordered) else (last + ordered[count]) / 2)


@torch.inference_mode()
def _statistics(
    first: FirstLayer,
    images: Images,
    ladders: Sequence[Ladder],
    seed: int,
    device: torch.device,
    progress: Callable[[int], None],
) -> Iterator[tuple[Tensor, ...]]:
    """For every batch, statistics of the clean images, then under each distortion, (B, D) on the CPU."""
    steps = [
        torch.randint(len(ladder.levels), (len(images),), generator=generator(seed, Use.DRAW, number))
        for number, ladder in enumerate(ladders)
    ]
    start = 0
    for batch in batches(images, BATCH, device):
        versions = [batch.images]
        for ladder, drawn in zip(ladders, steps, strict=True):
            versions.append(_distorted(batch, ladder, drawn[start : start + len(batch.images)].to(device), seed))
        start += len(batch.images)
        yield tuple(_look(first, laid_out(version, first.network)) for version in versions)
        progress(len(batch.images) * len(versions))


def _distorted(batch: Batch, ladder: Ladder, steps: Tensor, seed: int) -> Tensor:
    """The images, each at one step of a ladder, (B,)."""
    distorted = batch.images.clone()
    for step, level in enumerate(ladder.levels):
        rows = (steps == step).nonzero()[:, 0]
        if len(rows):
            distorted[rows] = ladder.distortion.at(batch.images[rows], level, batch.indices[rows], seed)
    return distorted


def _look(first: FirstLayer, images: Tensor) -> Tensor:
    seen: list[Tensor] = []

    def see(outputs: Tensor) -> bool:
        seen.append(statistics(outputs).cpu())
        return False

    first.run(images, see)
    return seen[0]
