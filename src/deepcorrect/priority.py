"""Correction priority (section 4.1, Algorithm 1): which filters does a distortion ruin, and which are worth correcting?

For every filter the output on distorted images is swapped for the output on the same images undistorted, that filter's
alone, and the rest of the network runs. The priority is the gain in top-1 accuracy (Equation 1),

    tau(i, j) = p_swap(i, j) - p_b,

averaged over the severity levels. The same passes give two smoother gains: in the probability of the true class, and in its
margin (its logit less the largest other one). Pairs of a filter and an image whose result the swap cannot change are not run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions import Distortion
from deepcorrect.graph import capture
from deepcorrect.layers import Layer
from deepcorrect.loading import batches
from deepcorrect.ranking import SCORES, Ranking, Score, reliability
from deepcorrect.runtime import Precision, autocast
from deepcorrect.swapping import Swap, make_swap


@torch.inference_mode()
def rank_filters(
    model: nn.Module,
    images: ImageSet,
    distortion: Distortion,
    levels: Sequence[float],
    *,
    layers: Sequence[Layer],
    score: Score = "top1",
    seed: int = 0,
    device: torch.device | None = None,
    precision: Precision = "fp32",
    batch_size: int = 250,
    progress: Callable[[int], None] = lambda pairs: None,
) -> Ranking:
    """Measure every filter's correction priority, exactly.

    Args:
        model: takes images (B, C, H, W) in [0, 1], returns logits. It is put into eval mode.
        images: 10 a class in the paper.
        levels: severities above 0.
        layers: those to rank, of ``deepcorrect.layers.find_layers``.
        score: what the priority is the mean gain of.
        batch_size: bounds the memory: pairs of a filter and an image in a pass.
        progress: called with the number of pairs done since its last call.
    """
    device = device or torch.device("cpu")
    model.eval()
    example = next(batches(images, 1, device)).images
    with torch.inference_mode(False), torch.no_grad():
        graph = capture(model, example.clone())
    swaps = {layer.name: make_swap(model, graph, layer) for layer in layers}
    gains = {layer.name: torch.zeros(len(SCORES), layer.filters, len(images)) for layer in layers}
    plain = torch.zeros(len(levels), dtype=torch.int64)
    for place, level in enumerate(levels):
        for start in range(0, len(images), batch_size):
            (batch,) = batches(images.take(torch.arange(start, min(start + batch_size, len(images)))), batch_size, device)
            distorted = distortion.at(batch.images, level, batch.indices, seed)
            distorted = distorted.contiguous(memory_format=torch.channels_last)
            with autocast(device, precision):
                for name, swap in swaps.items():
                    right, found = _swap_each(swap, batch.images, distorted, batch.labels, batch_size, progress)
                    gains[name][:, :, start : start + len(batch.labels)] += found.cpu()
            plain[place] += right
    gains = {name: found.double() / len(levels) for name, found in gains.items()}
    chosen = SCORES.index(score)
    spread = len(images) ** 0.5
    return Ranking(
        distortion.name,
        tuple(float(level) for level in levels),
        len(images),
        seed,
        tuple((plain.double() / len(images)).tolist()),
        scores={name: _listed(found[chosen].mean(1)) for name, found in gains.items()},
        score=score,
        errors={name: _listed(found[chosen].std(1, correction=1) / spread) for name, found in gains.items()},
        margins={name: _listed(found[SCORES.index("margin")].mean(1)) for name, found in gains.items()},
        reliability={name: reliability(found[chosen], seed) for name, found in gains.items()},
    )


def _swap_each(
    swap: Swap, clean: Tensor, distorted: Tensor, labels: Tensor, pairs_a_pass: int, progress: Callable[[int], None]
) -> tuple[int, Tensor]:
    """Right predictions with nothing swapped, and what each filter's swap gains of each score, (scores, filters, B)."""
    batch = swap.prepare(clean, distorted)
    before = _measure(batch.logits, labels)
    gains = torch.zeros(len(before), batch.changes.shape[1], len(labels), device=labels.device)
    pairs = batch.changes.T.nonzero()
    progress(gains[0].numel() - len(pairs))
    for start in range(0, len(pairs), pairs_a_pass):
        filters, images = pairs[start : start + pairs_a_pass].unbind(1)
        gains[:, filters, images] = _measure(batch.finish(filters, images), labels[images]) - before[:, images]
        progress(len(filters))
    return int(before[SCORES.index("top1")].sum()), gains


def _measure(logits: Tensor, labels: Tensor) -> Tensor:
    """Each score of each image, (scores, B)."""
    own = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    probability = (own - logits.logsumexp(1)).exp()
    return torch.stack([(logits.argmax(1) == labels).float(), probability, own - others])


def _listed(values: Tensor) -> tuple[float, ...]:
    return tuple(values.tolist())
