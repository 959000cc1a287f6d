"""One correction for many distortions: the cells that are measured, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deepcorrect.adapters.plan import Plan
from deepcorrect.distortions.base import Ladder
from deepcorrect.distortions.registry import get_distortions, parse_ladder
from deepcorrect.evaluation.cost import count_parameters
from deepcorrect.models.layers import Layer, named
from deepcorrect.pipeline.baselines import assess
from deepcorrect.pipeline.correct import train_and_measure
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.measure import measure_each
from deepcorrect.pipeline.rank import RankingOptions, rank
from deepcorrect.ranking.result import choose_locally
from deepcorrect.runs.kinds import kind_of_plan
from deepcorrect.runs.results import Records
from deepcorrect.training.recipes import Recipe

PAIR, CORRUPTIONS, EXTRA = "mix:blur,noise", "mix:imagenet-c", "imagenet-c-extra"
UNSEEN: Mapping[str, str | None] = {PAIR: None, CORRUPTIONS: EXTRA}
"""Distortions that a network is tested on besides the members of the mixture that it was trained for."""


@dataclass(frozen=True)
class CorruptionsCell:
    """The network as it is under the common corruptions, those of the mixture and the others."""

    path = "allcnn-cifar100-corruptions"
    needs = ()


@dataclass(frozen=True)
class MixtureCell:
    """A network trained for a mixture and tested under each of its members, and under distortions that it has not seen.

    Attributes:
        network: its name, ``deepcorr-6`` or ``finetune-9``.
    """

    network: str
    mixture: str
    recipe: str
    seed: int
    needs = ()

    @property
    def path(self) -> str:
        mixture = self.mixture.replace(":", "-").replace(",", "-")
        return f"{self.recipe}/{self.network}-{mixture}-seed{self.seed}"


def mixture_cells(recipe: str, seed: int) -> list[MixtureCell | CorruptionsCell]:
    """The most informative first."""
    trained = ("deepcorr-6", PAIR), ("deepcorr-6", CORRUPTIONS), ("finetune-9", CORRUPTIONS)
    networks = [MixtureCell(network, mixture, recipe, seed) for network, mixture in trained]
    return [networks[0], CorruptionsCell(), *networks[1:]]


def assess_corruptions(job: Job) -> Records:
    """A job's network under the common corruptions."""
    return Records(assess(job, [*_ladders(job, CORRUPTIONS), *_ladders(job, EXTRA)]))


def train_for_mixture(
    job: Job, cell: MixtureCell, counts: Mapping[str, int], retrained: tuple[str, ...], recipe: Recipe, images: int
) -> tuple[dict[str, tuple[int, ...]], Records]:
    """Train what a cell says.

    Args:
        counts: how many filters of each layer are corrected, those of highest estimated priority.
        retrained: layers of which copies are trained.
        images: validation images to rank on, under each member.

    Returns:
        The corrected filters by layer, and the records of the trained network.
    """
    (ladder,) = _ladders(job, cell.mixture)
    filters = _choose(job, ladder, counts, images) if counts else {}
    plan = Plan(distortion=cell.mixture, filters=filters, retrained=retrained)
    correction, records = train_and_measure(job, cell.network, *ladder, plan, recipe, half=True)
    unseen = UNSEEN[cell.mixture]
    if unseen is not None:
        trainable = count_parameters(correction.parameters())
        records += measure_each(job, cell.network, _ladders(job, unseen), trainable, kind=kind_of_plan(plan))
    return filters, Records(records)


def _ladders(job: Job, names: str) -> list[Ladder]:
    return [parse_ladder(distortion, None, job.data.ladder) for distortion in get_distortions(names)]


def _choose(job: Job, ladder: Ladder, counts: Mapping[str, int], images: int) -> dict[str, tuple[int, ...]]:
    layers: list[Layer] = [named(job.layers, name) for name in counts]
    shares = {layer.name: counts[layer.name] / layer.filters for layer in layers}
    ranking = rank(job, *ladder, layers, RankingOptions(images, "attribution"), shares)
    return choose_locally(ranking, shares)
