"""Computes a cell: from the network, the data and the results of the cells it needs to the content of its own file."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import singledispatchmethod
from pathlib import Path
from typing import Any

import torch

from deepcorrect.adapters.plan import Plan
from deepcorrect.base.device import Precision
from deepcorrect.base.files import read_json
from deepcorrect.base.progress import EpochMetrics, Reporter
from deepcorrect.base.seeding import Use, generator
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.models import load_model
from deepcorrect.models.fingerprint import fingerprint
from deepcorrect.models.layers import named
from deepcorrect.pipeline.baselines import train_baseline
from deepcorrect.pipeline.correct import train_and_measure
from deepcorrect.pipeline.job import Job
from deepcorrect.ranking.exact import rank_filters
from deepcorrect.ranking.ideal import evaluate_ideal
from deepcorrect.ranking.result import Ranking, choose_globally, choose_locally, count_of_share
from deepcorrect.runs.results import Record, Run, provenance
from deepcorrect.training.recipes import Recipe, Regime, get_recipe
from experiments.gating import GateCell, gating
from experiments.grid import (
    BASELINE,
    DISTORTIONS,
    LAYERS,
    ORDERS,
    RANKED_LAYERS,
    AgreementCell,
    Baseline,
    Cell,
    ChoiceCell,
    IdealCell,
    Network,
    NetworkCell,
    PriorityCell,
    RestoredCell,
    deepcorr,
)
from experiments.mixture import CorruptionsCell, MixtureCell, assess_corruptions, train_for_mixture
from experiments.ranking_cells import agreement, choices, meter_of
from experiments.restoring import restoring
from experiments.unlabelled import UnlabelledCell, correct_without_labels

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "cifar100"
PRIORITY_IMAGES = 250
AGREEMENT_IMAGES = 500
"""Validation images: two halves, on each of which filters are ranked."""


def result_file(cell: Cell) -> Path:
    """The file of a finished cell."""
    return RESULTS / f"{cell.path}.json"


def saved_ranking(distortion: str) -> Ranking:
    """The finished ranking of the first six layers."""
    return Ranking.from_json(read_json(result_file(PriorityCell(distortion)))["ranking"])


def choose(network: Network, ranking: Ranking, seed: int) -> dict[str, tuple[int, ...]]:
    """The filters that a network corrects, by layer."""
    counts = dict(zip(ranking.scores, network.filters, strict=False))
    shares = {layer: count / len(ranking.scores[layer]) for layer, count in counts.items()}
    if network.choice == "global":
        return choose_globally(ranking, shares)
    if network.choice == "local":
        return choose_locally(ranking, shares)
    (layer,) = counts
    if network.choice == "least":
        chosen = ranking.local(layer)[-counts[layer] :]
    else:
        stream = generator(seed, Use.DRAW, network.draw)
        chosen = tuple(torch.randperm(len(ranking.scores[layer]), generator=stream)[: counts[layer]].tolist())
    return {layer: tuple(sorted(chosen))}


def _commit() -> str:
    """The commit of the code, followed by ``-dirty`` if the code was changed since."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "src", "experiments")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}-dirty" if changed else commit


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(HERE.parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@dataclass
class Workshop:
    """What cells are computed with.

    Attributes:
        data: CIFAR-100.
        runs: folder of the run folders, one for each cell, from which an interrupted cell continues.
        precision: of rankings and evaluations; recipes have a precision of their own.
        commit: of the running code.
    """

    data: Dataset
    runs: Path
    device: torch.device
    precision: Precision
    reporter: Reporter
    commit: str = field(default_factory=_commit)

    def work(self, cell: Cell) -> dict[str, Any]:
        """Compute a cell.

        Returns:
            The content of its file.
        """
        started = time.perf_counter()
        content = self._work(cell)
        origin = provenance(self.device) | {"commit": self.commit, "seconds": round(time.perf_counter() - started)}
        return {**content, "provenance": origin | content.get("provenance", {})}

    @singledispatchmethod
    def _work(self, cell: Cell) -> dict[str, Any]:
        raise TypeError(cell)

    @_work.register
    def _(self, cell: Baseline) -> dict[str, Any]:
        recipe = get_recipe("fast", "baseline")
        job = self._job("allcnn", cell, recipe)
        ladders = [(get_distortion(name), self._levels(get_distortion(name))) for name in DISTORTIONS]
        return self._trained(job, train_baseline(job, recipe, ladders, half=True))

    @_work.register
    def _(self, cell: PriorityCell) -> dict[str, Any]:
        job = self._job(BASELINE, cell)
        distortion = get_distortion(cell.distortion)
        images = self.data.validation.balanced(PRIORITY_IMAGES, job.seed)
        layers = [named(job.layers, name) for name in RANKED_LAYERS]
        levels = self._levels(distortion)
        assert job.run is not None
        job.reporter.stage("rank filters", sum(layer.filters for layer in layers) * len(levels) * len(images))
        ranking = rank_filters(
            job.model, images, distortion, levels, layers=layers, seed=job.seed, device=job.device, precision=job.precision,
            parts=job.run.file("parts"), progress=job.reporter.advance,
        )  # fmt: skip
        return {"ranking": ranking.as_json()}

    @_work.register
    def _(self, cell: IdealCell) -> dict[str, Any]:
        job = self._job(BASELINE)
        distortion = get_distortion(cell.distortion)
        levels = self._levels(distortion)
        ranked = saved_ranking(cell.distortion).local(cell.layer)
        choices = [ranked[: count_of_share(share, len(ranked), cell.layer)] for share in cell.shares]
        job.reporter.stage("ideal correction", len(levels) * len(choices) * len(self.data.test))
        top1 = evaluate_ideal(
            job.model, self.data.test, distortion, levels, named(job.layers, cell.layer), choices,
            seed=job.seed, device=job.device, precision=job.precision, progress=job.reporter.advance,
        )  # fmt: skip
        return {
            "distortion": cell.distortion,
            "layer": cell.layer,
            "levels": levels,
            "shares": cell.shares,
            "filters": [len(choice) for choice in choices],
            "top1": top1,
        }

    @_work.register
    def _(self, cell: AgreementCell) -> dict[str, Any]:
        job = self._job(BASELINE, cell)
        distortion = get_distortion(cell.distortion)
        images = self.data.validation.balanced(AGREEMENT_IMAGES, job.seed)
        layer, levels = named(job.layers, cell.layer), self._levels(distortion)
        return {"levels": levels, **agreement(job, meter_of(job, images, distortion), layer, levels)}

    @_work.register
    def _(self, cell: ChoiceCell) -> dict[str, Any]:
        job = self._job(BASELINE, cell)
        distortion = get_distortion(cell.distortion)
        images = self.data.validation.balanced(PRIORITY_IMAGES, job.seed)
        layer, levels = named(job.layers, cell.layer), self._levels(distortion)
        ranked = saved_ranking(cell.distortion).local(cell.layer)
        return {"levels": levels, **choices(job, meter_of(job, images, distortion), layer, levels, ranked)}

    @_work.register
    def _(self, cell: RestoredCell) -> dict[str, Any]:
        distortion = get_distortion(cell.distortion)
        return restoring(self._job(BASELINE), distortion, self._levels(distortion))

    @_work.register
    def _(self, cell: NetworkCell) -> dict[str, Any]:
        regime: Regime = "correct" if cell.network.filters else "finetune"
        recipe = get_recipe(cell.recipe, regime)
        job = self._job(BASELINE, cell, recipe, cell.seed)
        filters = self._choose(cell)
        plan = Plan(distortion=cell.distortion, filters=filters, retrained=cell.network.retrained)
        distortion = get_distortion(cell.distortion)
        _, records = train_and_measure(
            job, cell.network.name, distortion, self._levels(distortion), plan, recipe,
            half=True, random=cell.network.choice == "random",
        )  # fmt: skip
        return {"filters": filters, **self._trained(job, records)}

    @_work.register
    def _(self, cell: CorruptionsCell) -> dict[str, Any]:
        return {"records": _as_json(assess_corruptions(self._job(BASELINE, cell)))}

    @_work.register
    def _(self, cell: MixtureCell) -> dict[str, Any]:
        corrects = cell.network.startswith("deepcorr")
        recipe = get_recipe(cell.recipe, "correct" if corrects else "finetune")
        job = self._job(BASELINE, cell, recipe, cell.seed)
        counts = dict(zip(RANKED_LAYERS, deepcorr(6).filters, strict=True)) if corrects else {}
        retrained = () if corrects else LAYERS
        filters, records = train_for_mixture(job, cell, counts, retrained, recipe, PRIORITY_IMAGES)
        return {"filters": filters, **self._trained(job, records)}

    @_work.register
    def _(self, cell: UnlabelledCell) -> dict[str, Any]:
        recipe = get_recipe(cell.recipe, "correct").without_labels()
        job = self._job(BASELINE, cell, recipe, cell.seed)
        distortion = get_distortion(cell.distortion)
        counts = zip(RANKED_LAYERS, deepcorr(6).filters, strict=True)
        shares = {layer: count / named(job.layers, layer).filters for layer, count in counts}
        filters, records = correct_without_labels(
            job, distortion, self._levels(distortion), shares, recipe, PRIORITY_IMAGES
        )  # fmt: skip
        return {"filters": filters, **self._trained(job, records)}

    @_work.register
    def _(self, cell: GateCell) -> dict[str, Any]:
        return gating(self._job(BASELINE, cell))

    def _choose(self, cell: NetworkCell) -> dict[str, tuple[int, ...]]:
        if not cell.network.filters:
            return {}
        if cell.network.choice not in ORDERS:
            return choose(cell.network, saved_ranking(cell.distortion), cell.seed)
        filters = {}
        for layer, count in zip(RANKED_LAYERS, cell.network.filters, strict=False):
            order = read_json(result_file(ChoiceCell(cell.distortion, layer)))["orders"][cell.network.choice]
            filters[layer] = tuple(sorted(order[:count]))
        return filters

    def _levels(self, distortion: Distortion) -> tuple[float, ...]:
        return distortion.levels(self.data.ladder)

    def _job(self, model: str, cell: Cell | None = None, recipe: Recipe | None = None, seed: int = 0) -> Job:
        network = load_model(model, classes=len(self.data.classes), seed=seed)
        job = Job(network, self.data, self.device, self.precision, seed, None, self.reporter)
        if cell is not None:
            settings = {
                "cell": cell.path,
                "fingerprint": fingerprint(network),
                "model": model,
                "classes": len(self.data.classes),
                "seed": seed,
                "recipe": recipe.model_dump(mode="json") if recipe else None,
            }
            job.run = Run(self.runs / cell.path, "experiment", settings)
        return job

    def _trained(self, job: Job, records: Sequence[Record]) -> dict[str, Any]:
        assert job.run is not None
        epochs = read_json(job.run.file("metrics.json"))["epochs"]
        return {
            "command": job.run.command,
            "settings": job.run.settings,
            "records": _as_json(records),
            "validation": [EpochMetrics.from_json(entry).validation for entry in epochs],
            "provenance": {"seconds": round(sum(entry["seconds"] for entry in epochs))},
        }


def _as_json(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [record.model_dump(mode="json") for record in records]
