"""Corrections without labels: the cells that are measured, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deepcorrect.distortions.base import Distortion
from deepcorrect.pipeline.correct import CorrectionOptions, correct
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.rank import RankingOptions
from deepcorrect.pipeline.unlabelled import label_by_answers
from deepcorrect.runs.results import Record
from deepcorrect.training.recipes import Recipe


@dataclass(frozen=True)
class UnlabelledCell:
    """Deepcorr-6 ranked, trained and validated on images without their labels, measured on the test images with theirs."""

    distortion: str
    recipe: str
    seed: int
    needs = ()

    @property
    def path(self) -> str:
        return f"{self.recipe}/deepcorr-6-unlabelled-{self.distortion}-seed{self.seed}"


def correct_without_labels(
    job: Job, distortion: Distortion, levels: Sequence[float], shares: dict[str, float], recipe: Recipe, images: int
) -> tuple[dict[str, list[int]], list[Record]]:
    """A job's network corrected by what it answers itself.

    Args:
        shares: of the filters of each corrected layer, by its name.
        images: validation images to estimate priorities on.

    Returns:
        The corrected filters by layer, and the records without and with the correction.
    """
    label_by_answers(job)
    options = CorrectionOptions(tuple(shares), tuple(shares.values()), ranked=RankingOptions(images, "attribution"))
    correction, records = correct(job, distortion, levels, options, recipe, half=True)
    return {layer: list(filters) for layer, filters in correction.plan.filters.items()}, records
