"""Finished runs as the report reads them, grouped by what they were measured under."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import Tensor

from deepcorrect.adapters.file import read_correction
from deepcorrect.adapters.plan import Plan
from deepcorrect.adapters.renaming import rename_plan
from deepcorrect.base.files import read_json, read_tensors
from deepcorrect.base.names import readable
from deepcorrect.base.progress import EpochMetrics
from deepcorrect.base.showing import View
from deepcorrect.evaluation.robustness import Robustness, alike, views_of
from deepcorrect.models.network_print import absolute
from deepcorrect.ranking.result import Ranking
from deepcorrect.runs import ideal
from deepcorrect.runs.architecture import Architecture, read_architecture
from deepcorrect.runs.ideal import IdealCurves
from deepcorrect.runs.penultimate import Penultimate, read_penultimate
from deepcorrect.runs.results import Record, Records, Results, by_ladder, read_together

__all__ = ["KERNELS", "Ranking", "Robustness", "SavedRun", "Section", "read_sections"]

KERNELS = "kernels.safetensors"
"""Holds the weights of the first convolution."""


@dataclass(frozen=True)
class SavedRun:
    """A finished run: its results, and what else its folder has; None or empty where it has not."""

    folder: Path
    results: Results

    @property
    def trained_name(self) -> str | None:
        """What the trained network is called, of a run of correct or finetune."""
        return self.results.records[-1].name if self.results.command in ("correct", "finetune") else None

    @property
    def mixture(self) -> str | None:
        """The mixture that it ranked or trained for, whose members its records are of."""
        name = readable(str(self.results.settings.get("distortion", "")))
        return name if self.results.records and name not in {record.distortion for record in self.results.records} else None

    @property
    def command_line(self) -> str:
        """What a person types to have this run."""
        given: str | None = self.results.provenance.get("command_line")
        return given or f"deepcorrect.pipeline, {self.results.command}, with the settings of {self.folder}"

    @cached_property
    def ranking(self) -> Ranking | None:
        path = self.folder / "ranking.json"
        return Ranking.load(path) if path.is_file() else None

    @cached_property
    def plan(self) -> Plan | None:
        path = self.folder / "correction.safetensors"
        if not path.is_file():
            return None
        saved = read_correction(path)
        return rename_plan(saved.plan, partial(absolute, saved.root))  # names as the run's other files have them

    @cached_property
    def architecture(self) -> Architecture | None:
        return read_architecture(self.folder)

    @cached_property
    def ideal(self) -> IdealCurves | None:
        return ideal.read_ideal(self.folder) if (self.folder / ideal.FILE).is_file() else None

    @cached_property
    def kernels(self) -> dict[str, Tensor]:
        path = self.folder / KERNELS
        return read_tensors(path) if path.is_file() else {}

    @cached_property
    def penultimate(self) -> Penultimate | None:
        """Features by network, the trained one under its name in the report."""
        found = read_penultimate(self.folder)
        if found is None or self.trained_name is None:
            return None
        named = {name if name == "baseline" else self.trained_name: values for name, values in found.features.items()}
        return found._replace(features=named)

    @cached_property
    def classes(self) -> list[str]:
        return list((self._json("classes.json") or {}).get("classes", ()))

    @cached_property
    def samples(self) -> dict[str, Any] | None:
        """The sample images with their answers, those of the trained network under its name in the report."""
        found = self._json("samples.json")
        if found is None or self.trained_name is None:
            return None
        baseline, trained = found["answers"].values()
        return found | {"answers": {"baseline": baseline, self.trained_name: trained}}

    @property
    def validated_by(self) -> str:
        """The metric that ``training`` tells of: top-1, or agreement where the validation images have no labels."""
        epochs = (self._json("metrics.json") or {}).get("epochs", [])
        return next((EpochMetrics.from_json(epoch).metric for epoch in epochs if "steps" in epoch), "top1")

    @cached_property
    def training(self) -> list[tuple[int, float]]:
        """Batches trained on and mean validation accuracy, after each epoch; runs of the first version lack the batches."""
        epochs = (self._json("metrics.json") or {}).get("epochs", [])
        found = [EpochMetrics.from_json(epoch) for epoch in epochs if "steps" in epoch]
        return [(metrics.steps, fmean(metrics.validation)) for metrics in found]

    def command_of(self, record: Record) -> str | None:
        """What a person types to have a record, or the mean of several, if the run has it."""
        records = Records(self.results.records)
        known = record in records or any(record == several.mean() for several in records.together())
        return self.command_line if known else None

    def concerns(self, records: Sequence[Record]) -> bool:
        """Whether it has one of these records, or ranked filters for the same levels."""
        settings, first = self.results.settings, records[0]
        ranked = settings.get("distortion") == first.distortion and tuple(settings.get("levels", ())) == first.levels[1:]
        return ranked or any(self.command_of(record) for record in records)

    def _json(self, name: str) -> dict[str, Any] | None:
        path = self.folder / name
        return read_json(path) if path.is_file() else None


@dataclass(frozen=True)
class Section:
    """One distortion at some levels: the records, the baseline first, and the runs that they or rankings are of.

    Attributes:
        robustness: of each network, where the records are means over several corruptions.
        earlier: those of the runs whose rankings, training and samples are shown in an earlier section.
    """

    records: list[Record]
    runs: list[SavedRun]
    robustness: list[Robustness] = field(default_factory=list)
    earlier: list[SavedRun] = field(default_factory=list)

    @property
    def distortion(self) -> str:
        return self.records[0].distortion

    @property
    def increasing(self) -> str:
        """The distortion as a caption names what becomes more severe."""
        return f"{self.distortion} of increasing severity" if self.robustness else f"increasing {self.distortion}"

    @property
    def distortions(self) -> list[str]:
        """Those that the records were measured under, or are means over."""
        return self.robustness[0].distortions if self.robustness else [self.distortion]

    @property
    def levels(self) -> tuple[float, ...]:
        return self.records[0].levels

    def robustness_views(self) -> list[View]:
        """Tables of the networks by corruption and severity, if the records are means."""
        return views_of(self.robustness) if self.robustness else []

    @property
    def measured(self) -> str:
        """``accuracy``, or ``agreement`` where the images have no labels."""
        return "agreement" if self.records[0].agreement else "accuracy"

    @property
    def tag(self) -> str:
        """For names of files and links."""
        name = self.distortion.replace(" ", "-")
        return f"{name}-{self.levels[1]:g}-to-{self.levels[-1]:g}" if len(self.levels) > 1 else name

    @property
    def detailed(self) -> list[SavedRun]:
        """The runs whose rankings, training and samples are shown here."""
        return [run for run in self.runs if run not in self.earlier]

    @property
    def trained(self) -> list[SavedRun]:
        return [run for run in self.detailed if run.trained_name is not None]

    def increasing_in(self, run: SavedRun) -> str:
        """What becomes more severe in a run's samples: the section's distortion, or the run's mixture."""
        return f"{run.mixture} of increasing severity" if run.mixture else self.increasing

    def distortion_of(self, run: SavedRun) -> str:
        """What a run's samples are distorted by."""
        return run.mixture or self.distortion

    def commands_of(self, *records: Record) -> list[str]:
        """For each record the command line of the first run that has it."""
        return [next(filter(None, (run.command_of(record) for run in self.runs))) for record in records]


def read_sections(folders: Sequence[Path]) -> tuple[list[SavedRun], list[Section]]:
    """Finished runs, and what they show by distortion and levels.

    Raises:
        DeepcorrectError: a folder holds no finished run.
    """
    runs = [SavedRun(folder, results) for folder, results in zip(folders, read_together(folders), strict=True)]
    kept = [Records(run.results.records) for run in runs]
    means = {
        several.mean(): robustness
        for records in kept
        for several, robustness in zip(records.together(), records.robustness(), strict=True)
    }
    together = [
        ([next(mean for mean, known in means.items() if known == each) for each in networks], networks)
        for networks in alike(means.values())
    ]
    apart: list[tuple[list[Record], list[Robustness]]] = [
        (records, []) for records in by_ladder(record for records in kept for record in records.apart())
    ]
    sections: list[Section] = []
    shown: list[SavedRun] = []
    for records, networks in together + apart:
        concerned = [run for run in runs if run.concerns(records)]
        sections.append(Section(records, concerned, networks, [run for run in concerned if run in shown]))
        shown += [run for run in concerned if run not in shown]
    return runs, sections
