"""What decides the stages of a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deepcorrect.distortions.base import Distortion, parts_of
from deepcorrect.models.fingerprint import fingerprint
from deepcorrect.models.inspection import structure

if TYPE_CHECKING:
    from deepcorrect.pipeline.job import Job
from deepcorrect.runs.stages import IMAGES, Ladders, Traits, distortion_traits


def traits_of(job: Job, distortion: Distortion | None = None, levels: Sequence[float] = ()) -> dict[str, object]:
    """What decides any measurement of a job's network as it now stands: network, data, arithmetic, distortion."""
    traits: dict[str, object] = {
        "network": fingerprint(job.model),
        "architecture": structure(job.model),
        "data": job.data_fingerprint(),
        "seed": job.seed,
        "precision": job.precision,
        **job.task.traits(),
    }
    if job.data.self_labelled:
        traits["labelled by the network's answers"] = job.data.self_labelled
    return traits if distortion is None else traits | distortion_traits(distortion, levels, job.example[:1], job.seed)


def answers_stages(job: Job, network: str, ladders: Ladders, of: Traits | None = None) -> dict[str, Traits]:
    """The stages that measuring a network writes.

    Args:
        network: what it is called.
        ladders: of a mixture, its members are measured.
        of: what decides what it answers; the traits of the job's network without it.
    """
    network_traits = of or traits_of(job)
    stages: dict[str, Traits] = {IMAGES: {"data": job.data_fingerprint()}}
    for distortion, levels in parts_of(ladders):
        at = ", ".join(f"{level:g}" for level in levels)
        under = distortion_traits(distortion, levels, job.example[:1], job.seed)
        stages[f"answers of {network} under {distortion.name} at {at}"] = {**network_traits, **under}
    return stages
