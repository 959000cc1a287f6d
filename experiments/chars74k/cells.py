"""What is measured: the network as it is and each way to make it better on bad photographs, a result file a seed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepcorrect.base.device import Precision, autocast, laid_out
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json
from deepcorrect.base.progress import EpochMetrics, Reporter
from deepcorrect.datasets.batches import batches
from deepcorrect.datasets.images import Images
from deepcorrect.distortions.base import Distortion, Ladder
from deepcorrect.distortions.combined import Mixture
from deepcorrect.distortions.registry import get_distortion
from deepcorrect.models import load_model
from deepcorrect.pipeline.baselines import train_baseline
from deepcorrect.pipeline.correct import CorrectionOptions, correct, finetune
from deepcorrect.pipeline.gate import count_trained, gate_of
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.rank import RankingOptions
from deepcorrect.pipeline.real import resemblance_of
from deepcorrect.pipeline.unlabelled import label_by_answers
from deepcorrect.runs.results import Run, provenance
from deepcorrect.training.recipes import get_recipe
from experiments.chars74k.methods import BASELINE, LEVELS, Method
from experiments.chars74k.mishaps import Photographed
from experiments.chars74k.photographs import Photographs, kinds_of, pixels_of
from experiments.chars74k.statistics import with_statistics_of

RESULTS = Path(__file__).parents[2] / "results" / "chars74k"
NETWORK = "allcnn"
PRECISION: Precision = "bf16"
RANKING_IMAGES = 250
_NONE = Distortion("none", lambda images, severity: images)


@dataclass(frozen=True)
class Cell:
    """A method with a seed, of the network that it improves and of its training."""

    method: Method
    seed: int

    @property
    def path(self) -> str:
        return f"{self.method.name}-seed{self.seed}"

    @property
    def needs(self) -> tuple[Cell, ...]:
        return tuple(Cell(method, self.seed) for method in (BASELINE, self.method.gated) if method and self.method != BASELINE)


def result_file(cell: Cell) -> Path:
    """The file of a finished cell."""
    return RESULTS / f"{cell.path}.json"


@dataclass
class Workshop:
    """What cells are computed with.

    Attributes:
        photographs: good and bad ones.
        runs: folder of the run folders, one for each cell, from which an interrupted cell continues.
    """

    photographs: Photographs
    runs: Path
    device: torch.device
    reporter: Reporter

    def work(self, cell: Cell) -> dict[str, Any]:
        """Compute a cell.

        Returns:
            The content of its file.

        Raises:
            DeepcorrectError: the trained baseline that it needs is not among the runs.
        """
        started = time.perf_counter()
        settings = {"cell": cell.path, "network": NETWORK, **cell.method.as_json()}
        run = Run(self.runs / cell.path, "experiment", settings)
        job = self._job(cell, run)
        network, trained = self._improved(job, cell)
        content: dict[str, Any] = {"method": cell.method.name, "seed": cell.seed, "settings": run.settings}
        if run.file("metrics.json").exists():
            epochs = read_json(run.file("metrics.json"))["epochs"]
            content["validation"] = [EpochMetrics.from_json(epoch).validation for epoch in epochs]
        origin = provenance(self.device) | {"seconds": round(time.perf_counter() - started)}
        return content | {"trainable_parameters": trained, **self._measured(network), "provenance": origin}

    def _job(self, cell: Cell, run: Run) -> Job:
        method, data = cell.method, self.photographs.good
        weights = None if method == BASELINE else self.runs / Cell(BASELINE, cell.seed).path / "model.safetensors"
        if weights is not None and not weights.exists():
            raise DeepcorrectError(f"{weights}: missing; delete the baseline's file of results to train it again")
        network = load_model(NETWORK, classes=len(data.classes), weights=weights, seed=cell.seed)
        return Job(network, data, self.device, PRECISION, cell.seed, run, self.reporter)

    def _improved(self, job: Job, cell: Cell) -> tuple[nn.Module, int]:
        """The network that a method leads to, and how many parameters it trained."""
        method = cell.method
        if method.kind == "statistics":
            return with_statistics_of(job.model, self.photographs.seen), 0
        mixture = self._mixture(job, method)
        if method.kind == "gate":
            assert method.gated is not None
            correction = self.runs / Cell(method.gated, cell.seed).path / "correction.safetensors"
            gated = gate_of(job, {method.gated.name: correction}, {method.gated.name: Ladder(mixture, LEVELS)})
            return gated, count_trained(gated)
        recipe = get_recipe("fast", method.kind, **method.recipe)
        if method.kind == "baseline":
            (record,) = train_baseline(job, recipe, [(_NONE, ())])
            return job.model, record.trainable_parameters
        if not method.labelled:
            label_by_answers(job)
            recipe = recipe.without_labels()
        layers = tuple(layer.name for layer in job.layers[: method.layers])
        if method.kind == "finetune":
            _, records = finetune(job, mixture, LEVELS, layers, recipe)
        else:
            ranked = RankingOptions(images=RANKING_IMAGES, method="attribution")
            options = CorrectionOptions(layers, (method.share,) * len(layers), ranked=ranked)
            _, records = correct(job, mixture, LEVELS, options, recipe)
        return job.model, records[-1].trainable_parameters

    def _mixture(self, job: Job, method: Method) -> Distortion:
        """What photographs that are trained on suffer."""
        if method.mixing == "several":
            return Distortion(method.name_of_mixture, Photographed(method.mixture), levels=LEVELS, random="streams")
        mixture = Mixture(map(get_distortion, method.mixture), method.name_of_mixture, job.data.ladder)
        return mixture if method.mixing == "one" else resemblance_of(job, mixture, self.photographs.seen).weighted

    def _measured(self, network: nn.Module) -> dict[str, Any]:
        """Shares of images classified correctly: of good ones, of both halves of the bad ones, and of each kind of bad ones."""
        photographs = self.photographs
        parts = {"good": photographs.good.test, "seen": photographs.seen, "unseen": photographs.unseen}
        correct = {name: self._correct(network, images) for name, images in parts.items()}
        bad = torch.cat([correct["seen"], correct["unseen"]])
        kinds = {
            name: {"images": int(chosen.sum()), "top1": float(bad[chosen].float().mean())}
            for name, chosen in self._kinds.items()
        }
        shares = {name: float(right.float().mean()) for name, right in (correct | {"bad": bad}).items()}
        return {"top1": shares, "kinds": kinds}

    def _correct(self, network: nn.Module, images: Images) -> Tensor:
        """Which images are classified correctly, (N,) bool."""
        network.eval()
        correct = []
        for batch in batches(images, 500, self.device):
            with torch.inference_mode(), autocast(self.device, PRECISION):
                correct.append(network(laid_out(batch.images, network)).argmax(1) == batch.labels)
        return torch.cat(correct).cpu()

    @cached_property
    def _kinds(self) -> dict[str, Tensor]:
        photographs = self.photographs
        bad = torch.cat([pixels_of(photographs.seen), pixels_of(photographs.unseen)])
        return kinds_of(bad, pixels_of(photographs.good.train.held()))
