"""A gate before the shipped corrections: under each distortion by itself, and in a mixed stream, one image at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deepcorrect.adapters.copies import CorrectionLike
from deepcorrect.base.device import autocast, laid_out
from deepcorrect.base.seeding import Use, generator
from deepcorrect.datasets.batches import batches
from deepcorrect.distortions.base import Ladder
from deepcorrect.pipeline.gate import gate_of, ladders_of, measure_gated
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.measure import measure_each


@dataclass(frozen=True)
class GateCell:
    """A gate before the two shipped corrections, fitted to training images, on the test images."""

    path = "gate"
    needs = ()


SHIPPED = ("deepcorr-6-blur", "deepcorr-6-noise")


def gating(job: Job) -> dict[str, Any]:
    """The network with both corrections behind a gate, with each by itself, and without, on a job's test images."""
    corrections: dict[str, CorrectionLike] = {name: name for name in SHIPPED}
    ladders = ladders_of(job, corrections)
    gated = gate_of(job, corrections, ladders)
    records = list(measure_gated(job, gated, "gated", list(ladders.values())))
    networks = {"baseline": gated.base, **dict(zip(SHIPPED, gated.corrected.values(), strict=True))}
    for name, network in networks.items():
        own = [ladders[name]] if name in ladders else list(ladders.values())
        job.model = network.eval()
        records += measure_each(job, name, own, 0, kind="correction" if name in ladders else "baseline")
    job.model = gated.base
    stream = mixed_stream(job, {**networks, "gated": gated}, list(ladders.values()))
    return {"passed": gated.saved.passed, "records": [record.model_dump(mode="json") for record in records], "stream": stream}


@torch.inference_mode()
def mixed_stream(job: Job, networks: dict[str, nn.Module], ladders: Sequence[Ladder]) -> dict[str, Any]:
    """Accuracy on every test image once, a third of them clean, the rest under one distortion each at a random level.

    Args:
        networks: by name; each is given one image at a time.
    """
    count = len(job.data.test)
    drawn = generator(job.seed, Use.DRAW)
    chosen = torch.randint(1 + len(ladders), (count,), generator=drawn)
    steps = torch.randint(min(len(ladder.levels) for ladder in ladders), (count,), generator=drawn)
    right = {name: torch.zeros(count, dtype=torch.bool) for name in networks}
    job.reporter.stage("mixed stream", count * len(networks))
    for number, batch in enumerate(batches(job.data.test, 1, job.device)):
        image: Tensor = batch.images
        if chosen[number]:
            distortion, levels = ladders[int(chosen[number]) - 1]
            image = distortion.at(image, levels[int(steps[number])], batch.indices, job.seed)
        for name, network in networks.items():
            with autocast(job.device, job.precision):
                right[name][number] = bool(network(laid_out(image, network)).argmax(1) == batch.labels)
        job.reporter.advance(len(networks))
    kinds = ["clean", *(ladder.distortion.name for ladder in ladders)]
    return {
        "images": count,
        "top1": {name: float(hits.double().mean()) for name, hits in right.items()},
        "by_kind": {
            name: {kind: float(hits[chosen == index].double().mean()) for index, kind in enumerate(kinds)}
            for name, hits in right.items()
        },
    }
