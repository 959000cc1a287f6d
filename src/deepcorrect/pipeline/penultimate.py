"""Penultimate features of a job's network, kept in the run folder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from deepcorrect.base.files import add_tensors
from deepcorrect.base.names import readable
from deepcorrect.base.seeding import Use, generator
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.images import Images
from deepcorrect.distortions.base import Distortion
from deepcorrect.evaluation.features import features
from deepcorrect.pipeline.job import Job
from deepcorrect.runs.penultimate import FILE
from deepcorrect.runs.stages import distortion_traits

CLASSES = 11


IMAGES_A_CLASS = 20


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
