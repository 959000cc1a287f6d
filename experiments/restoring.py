"""Restoring images first, beside correcting the network (Tables 7 and 8): the cell's work."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deepcorrect.adapters.attach import load_correction
from deepcorrect.adapters.file import find_correction
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.restoration import restored
from deepcorrect.evaluation.cost import count_parameters
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.measure import measure

RESTORERS = {"blur": "wiener", "noise": "bm3d"}
TEST_IMAGES = {"blur": 2000, "noise": 100}
"""BM3D takes a second an image."""


def restoring(job: Job, distortion: Distortion, levels: tuple[float, ...]) -> dict[str, Any]:
    """The network as it is, behind a restorer, and with its shipped correction, on the same test images."""
    job.data = replace(job.data, test=job.data.test.balanced(TEST_IMAGES[distortion.name], job.seed))
    restorer, shipped = RESTORERS[distortion.name], f"deepcorr-6-{distortion.name}"
    records = [measure(job, "baseline", distortion, levels, 0, kind="baseline")]
    records.append(measure(job, restorer, restored(distortion, restorer), levels, 0, kind="restored"))
    correction = load_correction(find_correction(shipped), job.model, job.example)
    trained = count_parameters(correction.parameters())
    records.append(measure(job, shipped, distortion, levels, trained, kind="correction"))
    return {"records": [record.model_dump(mode="json") for record in records]}
