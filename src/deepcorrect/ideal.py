"""Ideal correction (section 4.1, Figures 4 and 5): what a perfect correction of some filters of a layer would give.

The network sees distorted images, but the outputs of the chosen filters are swapped for those on the same images undistorted.
It bounds what correction units behind these filters can reach, and compares choices of filters without any training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from pydantic import BaseModel, ValidationError
from torch import nn

from deepcorrect.datasets.images import Images
from deepcorrect.distortions import Distortion
from deepcorrect.errors import DeepcorrectError
from deepcorrect.evaluation import fitting_batch
from deepcorrect.files import read_json
from deepcorrect.inspection import looking
from deepcorrect.job import Job
from deepcorrect.layers import Layer
from deepcorrect.loading import batches
from deepcorrect.ranking import Ranking, count_of_share
from deepcorrect.runtime import Precision, autocast, laid_out
from deepcorrect.stages import digest, traits_of
from deepcorrect.swapping import Swaps, swaps_of

FILE = "ideal.json"


class IdealCurves(BaseModel):
    """Accuracies with more and more of one layer ideally corrected.

    Attributes:
        levels: severities above 0.
        images: test images that each accuracy is measured on.
        shares: of a layer's filters, the most susceptible first; 0 is the network as it is.
        top1: {layer: an accuracy for each share and level}.
    """

    distortion: str
    levels: tuple[float, ...]
    images: int
    shares: tuple[float, ...]
    top1: dict[str, tuple[tuple[float, ...], ...]]


def measure_ideal(
    job: Job,
    distortion: Distortion,
    levels: Sequence[float],
    ranking: Ranking,
    layers: Sequence[Layer],
    shares: Sequence[float],
    images: int,
) -> IdealCurves:
    """Correct ever larger shares of each layer ideally, the others as they are (Figures 4 and 5); a run keeps what is done.

    Args:
        shares: in (0, 1].
        images: how many test images, drawn evenly over the classes.

    Raises:
        DeepcorrectError: the run folder holds other ideal corrections.
    """
    if job.run is not None:
        asked = {"layers": [layer.name for layer in layers], "shares": shares, "images": images}
        orders = digest({layer.name: ranking.local(layer.name) for layer in layers})
        job.run.claim({"ideal corrections": {**traits_of(job, distortion, levels), **asked, "given ranking": orders}})
    test = job.data.test.balanced(images, job.seed)
    done: Mapping[str, tuple[tuple[float, ...], ...]] = {}
    if job.run is not None and job.run.file(FILE).exists():
        done = read_ideal(job.run.path).top1
    everything = (0.0, *shares)
    curves = IdealCurves(distortion=distortion.name, levels=tuple(levels), images=len(test), shares=everything, top1=dict(done))
    job.reporter.stage("correct ideally", (len(layers) - len(done)) * len(everything) * len(levels) * len(test))
    swaps = swaps_of(job.model, test, job.device)
    for layer in layers:
        if layer.name in done:
            continue
        order = ranking.local(layer.name)
        counts = [count_of_share(share, layer.filters, layer.name) for share in shares]
        curves.top1[layer.name] = tuple(
            evaluate_ideal(
                job.model, test, distortion, levels, layer, [order[:count] for count in (0, *counts)],
                seed=job.seed, device=job.device, precision=job.precision, progress=job.reporter.advance,
                swaps=swaps,
            )
        )  # fmt: skip
        if job.run is not None:
            job.run.write_json(FILE, curves.model_dump(mode="json"))
    return curves


def read_ideal(folder: Path) -> IdealCurves:
    """What a run folder has of it.

    Raises:
        DeepcorrectError: the file is unsound.
    """
    try:
        return IdealCurves.model_validate(read_json(folder / FILE))
    except ValidationError as error:
        raise DeepcorrectError(
            f"{folder / FILE}: not the accuracies of ideal corrections ({error.error_count()} fields are wrong)"
        ) from None


@torch.inference_mode()
def evaluate_ideal(
    model: nn.Module,
    images: Images,
    distortion: Distortion,
    levels: Sequence[float],
    layer: Layer,
    choices: Sequence[Sequence[int]],
    *,
    seed: int = 0,
    device: torch.device | None = None,
    precision: Precision = "fp32",
    batch_size: int | None = None,
    progress: Callable[[int], None] = lambda images: None,
    swaps: Swaps | None = None,
) -> list[tuple[float, ...]]:
    """Top-1 accuracy at every level with each choice of the layer's filters ideally corrected.

    Args:
        model: takes images (B, C, H, W) in [0, 1]. It is run in eval mode and left as it was.
        levels: severities above 0.
        layer: whose filters are corrected.
        choices: sets of filters, each measured on its own.
        progress: called with the number of passes (one an image and choice) done since its last call.
        swaps: of the same network, so that it is captured once for several layers.

    Returns:
        One tuple a choice, one accuracy a level.
    """
    device = device or torch.device("cpu")
    swap = (swaps or swaps_of(model, images, device)).of(layer)
    hits = torch.zeros(len(choices), len(levels), dtype=torch.int64)
    for place, level in enumerate(levels):
        for batch in batches(images, batch_size or fitting_batch(images), device):
            distorted = laid_out(distortion.at(batch.images, level, batch.indices, seed), model)
            with looking(model), autocast(device, precision):
                prepared = swap.prepare(laid_out(batch.images, model), distorted)
                for row, filters in enumerate(choices):
                    logits = prepared.answer(filters)
                    hits[row, place] += int((logits.argmax(1) == batch.labels).sum())
                    progress(len(batch.labels))
    return [tuple(row) for row in (hits.double() / len(images)).tolist()]
