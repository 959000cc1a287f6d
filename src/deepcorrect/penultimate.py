"""Penultimate features of some test images, clean to severe: how well classes keep apart (Figures 2 and 10).

They are saved with a run, so that its page can embed them by t-SNE without the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from deepcorrect.datasets.images import Dataset, Images
from deepcorrect.distortions import Distortion
from deepcorrect.files import add_tensors, read_tensors
from deepcorrect.heads import features
from deepcorrect.job import Job
from deepcorrect.names import readable
from deepcorrect.seeding import Use, generator
from deepcorrect.stages import distortion_traits

CLASSES = 11
IMAGES_A_CLASS = 20
FILE = "features.safetensors"


class Penultimate(NamedTuple):
    """Features of the same images by network.

    Attributes:
        levels: severities, (L,): clean, the middle of the ladder, its worst.
        labels: classes of the images, (N,).
        features: what arrives at the last layer, {network: (L, N, D)}.
    """

    levels: Tensor
    labels: Tensor
    features: dict[str, Tensor]


def keep_penultimate(job: Job, distortion: Distortion, levels: Sequence[float], network: str) -> None:
    """Add the network as it now stands to the features in the job's run folder; without one, do nothing."""
    if job.run is None:
        return
    shown_under = distortion_traits(distortion, levels, job.example[:1], job.seed)
    job.run.claim({"features": {"data": job.data_fingerprint(), "seed": job.seed, **shown_under}})
    images = _chosen(job.data, job.seed)
    shown = (0.0, levels[(len(levels) - 1) // 2], levels[-1]) if len(levels) > 1 else (0.0, *levels)
    last = job.layers[-1].name
    found = torch.stack([_at(job, last, images, distortion, level) for level in shown])
    values = {f"network {readable(network)}": found.half()}
    given = {"levels": torch.tensor(shown, dtype=torch.float64), "labels": images.labels, **values}
    add_tensors(job.run.file(FILE), given)


def read_penultimate(folder: Path) -> Penultimate | None:
    """What a run folder has of it, if anything.

    Raises:
        DeepcorrectError: the file is unsound.
    """
    path = folder / FILE
    if not path.exists():
        return None
    known = read_tensors(path)
    networks = {name.removeprefix("network "): value.float() for name, value in known.items() if name.startswith("network ")}
    return Penultimate(known["levels"], known["labels"], networks)


def _at(job: Job, layer: str, images: Images, distortion: Distortion, level: float) -> Tensor:
    return features(
        job.model, layer, images, device=job.device, precision=job.precision,
        prepare=lambda pixels, indices: distortion.at(pixels, level, indices, job.seed),
    )  # fmt: skip


def _chosen(data: Dataset, seed: int) -> Images:
    """Up to so many test images of each of some classes that have any, drawn by seed."""
    labels = data.test.labels.cpu()
    classes = torch.bincount(labels).nonzero()[:, 0]
    drawn = classes[torch.randperm(len(classes), generator=generator(seed, Use.SAMPLES))[:CLASSES]]
    places = [torch.nonzero(labels == label)[:IMAGES_A_CLASS, 0] for label in drawn.sort().values]
    return data.test.take(torch.cat(places))
