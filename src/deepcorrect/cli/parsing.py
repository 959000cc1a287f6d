"""What the texts and numbers of options stand for: recipes, rankings, severities, layers and shares."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

from deepcorrect.adapters.file import read_header
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument
from deepcorrect.cli.groups import Common, Ranked, Training
from deepcorrect.distortions.base import Ladder, parts_of
from deepcorrect.distortions.registry import get_distortion, get_distortions, parse_ladder
from deepcorrect.models.layers import Layer, convolutions, pick
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.measure import matched
from deepcorrect.pipeline.rank import RankingOptions
from deepcorrect.ranking.result import Ranking, count_of_share
from deepcorrect.training.recipes import Recipe, Regime, get_recipe


def recipe_for(regime: Regime, training: Training, common: Common, *, labels: bool = True) -> Recipe:
    """The recipe that the options ask for; ``--precision``, where it is named, is that of training too.

    Args:
        labels: whether the training images have labels.
    """
    precision = None if common.precision.value == "auto" else common.precision.value
    changes = {"epochs": training.epochs, "rate": training.rate, "batch_size": training.batch_size}
    recipe = get_recipe(training.recipe, regime, **changes, precision=precision)
    return recipe if labels else recipe.without_labels()


def ranking_options(ranked: Ranked) -> RankingOptions:
    """How the options say to rank."""
    return RankingOptions(
        images=ranked.images,
        method=ranked.method.value,
        score=ranked.score.value if ranked.score else None,
        steps=ranked.steps,
        verify=ranked.verify,
        block=ranked.block,
        memory=int(ranked.memory * 1e9) if ranked.memory else None,
    )


def read_ranking(path: Path | None) -> Ranking | None:
    """The ranking that ``--ranked-by`` names, a file or a run folder."""
    if path is None:
        return None
    return Ranking.load(path / "ranking.json" if path.is_dir() else path)


def ladder_of(job: Job, name: str, levels: str | None) -> Ladder:
    """The distortion and the severities that the options ask for, to rank or to train with."""
    distortion = get_distortion(name)
    distortion.require_function()
    return parse_ladder(distortion, levels, job.data.ladder)


def ladders_of(job: Job, names: str, levels: str | None) -> list[Ladder]:
    """What to measure under: several distortions, each with its severities; of a mixture its members."""
    ladders = [parse_ladder(distortion, levels, job.data.ladder) for distortion in get_distortions(names)]
    return matched(job, parts_of(ladders))


def trained_against(correction: Path) -> str:
    """The distortion that a correction was trained against, by the name that its file gives.

    Raises:
        DeepcorrectError: nothing of that name is known: a distortion of the user's, or a mixture made in Python.
    """
    name = read_header(correction).distortion
    try:
        get_distortions(name)
    except DeepcorrectError:
        raise DeepcorrectError(
            f"{correction}: trained against {name!r}, which is not registered here; give {argument('distortion')}, "
            "file.py:NAME for one of your own"
        ) from None
    return name


def described(ladders: Sequence[Ladder]) -> dict[str, object]:
    """Distortions and severities as the settings of a run."""
    if len(ladders) > 1:
        return {"ladders": [[distortion.name, *levels] for distortion, levels in ladders]}
    return {"distortion": ladders[0].distortion.name, "levels": ladders[0].levels}


def pick_convolutions(job: Job, given: str) -> list[Layer]:
    """The convolutions that ``--layers`` names."""
    return pick(convolutions(job.layers), given)


def last_layers(job: Job, count: int) -> tuple[str, ...]:
    """Names of the last ``count`` layers."""
    layers = job.layers
    if count > len(layers):
        raise DeepcorrectError(f"--retrain-last {count}: the network has {len(layers)} layers")
    return tuple(layer.name for layer in layers[len(layers) - count :])


def shares_of(given: str, layers: list[Layer]) -> tuple[float, ...]:
    """One share for each layer from ``--share``."""
    shares = read_shares("--share", given)
    if len(shares) == 1:
        return shares * len(layers)
    if len(shares) != len(layers):
        names = ", ".join(layer.name for layer in layers)
        raise DeepcorrectError(f"--share {given}: {len(shares)} shares for {len(layers)} layers ({names})")
    return shares


def ideal_shares(given: str, layers: list[Layer]) -> tuple[float, ...]:
    """The shares of ``--ideal``, each of which is a filter or more of every layer."""
    shares = read_shares("--ideal", given)
    for layer, share in product(layers, shares):
        count_of_share(share, layer.filters, layer.name, "ideal")
    return shares


def read_shares(option: str, given: str) -> tuple[float, ...]:
    """Shares separated by commas."""
    try:
        return tuple(float(number) for number in given.split(","))
    except ValueError:
        raise DeepcorrectError(f"{option} {given}: give numbers in (0, 1], separated by commas") from None
