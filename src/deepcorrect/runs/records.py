"""Networks as they were measured, a record each, and records together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from deepcorrect.base.showing import Shown, View
from deepcorrect.distortions.groups import is_graded
from deepcorrect.evaluation.levels import level_line, levels_view
from deepcorrect.evaluation.robustness import Robustness, alike, corruption_of, views_of
from deepcorrect.runs.kinds import Kind, kind_of_name
from deepcorrect.runs.sent import mean_of, sent_view


class Record(Shown, BaseModel):
    """One network measured under one distortion; accuracies by level, the clean one first.

    Attributes:
        kind: the network as it was (``baseline``), with a correction, with retrained layers (``finetuned``), as it was but
            given restored images, corrected where a gate says so (``gated``), or anything else. Where it is not said, as in
            files of the first version, the name tells.
        random: whether the corrected filters were drawn at random.
        sent: of a gated network, the share of images that were sent to each correction, by its name, at every level; the others
            were left to the network as it is.
        agreement: whether the images had no labels, so that ``top1`` and ``top5`` are no accuracies: they are shares of images
            for which the most likely class, or one of the five most likely, is what the network answers to the clean image.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Kind = "other"
    random: bool = False
    agreement: bool = False
    distortion: str
    levels: tuple[float, ...]
    top1: tuple[float, ...]
    top5: tuple[float, ...]
    mean_top1: float
    mean_top5: float
    per_class: tuple[tuple[float | None, ...], ...]
    trainable_parameters: int
    multiply_accumulates: int
    images: int
    seed: int
    precision: str
    sent: dict[str, tuple[float, ...]] | None = None

    @model_validator(mode="before")
    @classmethod
    def _told_by_name(cls, fields: Any) -> Any:
        """Fill in what the first version did not say."""
        if not isinstance(fields, Mapping) or not isinstance(fields.get("name"), str):
            return fields
        name = fields["name"]
        return {"kind": kind_of_name(name), "random": without_folder(name).endswith("-random"), **fields}

    def views(self) -> list[View]:
        """As a list of this record alone."""
        return Records([self]).views()

    @property
    def measured(self) -> str:
        """What ``top1`` is, in words."""
        return "agreement with the clean answers" if self.agreement else "top-1 accuracy"

    def __repr__(self) -> str:
        line, metric = level_line(self.levels, self.top1), "agreement" if self.agreement else "top1"
        shown = f"{metric} {line}; mean {self.mean_top1:.4f}"
        return f"Record({self.name!r} under {self.distortion}, {self.images:,} images: {shown})"


class Records(Shown, list[Record]):
    """A list of records that prints as a table for each distortion, like the paper's Tables 3 and 4.

    Records of a network under several common corruptions of the same severities are one table, corruptions by severity.
    """

    def views(self) -> list[View]:
        """A table and a plot for each distortion and its levels, or for each network under several common corruptions."""
        return views_of_runs([self])

    def robustness(self) -> list[Robustness]:
        """The accuracy of each network under several corruptions at the same severities, the baseline first."""
        return [_robustness(records) for records in self.together()]

    def together(self) -> list[Records]:
        """The records of each of ``robustness()``."""
        found: dict[tuple[str, str, tuple[float, ...]], dict[str, Record]] = {}
        measured = [record for record in self if not record.agreement and len(record.levels) > 1]
        for record in sorted(measured, key=lambda record: record.kind != "baseline"):
            source, corruption = corruption_of(record.distortion)
            if is_graded(corruption):
                found.setdefault((record.name, source, record.levels), {})[record.distortion] = record
        return [Records(records.values()) for records in found.values() if len(records) > 1]

    def apart(self) -> Records:
        """The records that are not in ``together()``."""
        together = [record for records in self.together() for record in records]
        return Records(record for record in self if record not in together)

    def mean(self) -> Record:
        """Of records of one network, the mean over their distortions at each level."""
        first = self[0]
        by_class = zip(*(record.per_class for record in self), strict=True)
        return first.model_copy(
            update={
                "distortion": _robustness(self).title,
                "top1": tuple(map(fmean, zip(*(record.top1 for record in self), strict=True))),
                "top5": tuple(map(fmean, zip(*(record.top5 for record in self), strict=True))),
                "mean_top1": fmean(record.mean_top1 for record in self),
                "mean_top5": fmean(record.mean_top5 for record in self),
                "per_class": tuple(tuple(map(_known_mean, zip(*level, strict=True))) for level in by_class),
                "sent": mean_of([record.sent for record in self]),
            }
        )


def views_of_runs(runs: Sequence[Records]) -> list[View]:
    """The tables of the records of some runs: robustness first, then those for each distortion and its levels.

    A network that two runs call the same under different corruptions may be two networks: each run has its own robustness.
    """
    robust = [
        view for networks in alike(network for run in runs for network in run.robustness()) for view in views_of(networks)
    ]
    levels = [_view(same) for same in by_ladder(record for run in runs for record in run.apart())]
    gates = [
        sent_view(record.name, record.distortion, record.levels, record.sent) for run in runs for record in run if record.sent
    ]
    return robust + levels + gates


def _view(shown: Sequence[Record]) -> View:
    """Networks under one distortion at the same levels."""
    return levels_view(
        f"{_capital(shown[0].measured)} under {shown[0].distortion} ({shown[0].images:,} test images)",
        shown[0].distortion,
        shown[0].levels,
        {record.name: (record.top1, record.mean_top1) for record in shown},
        {
            "Trainable": [f"{record.trainable_parameters:,}" for record in shown],
            "MACs (M)": [f"{record.multiply_accumulates / 1e6:,.1f}" for record in shown],
        },
        measured="agreement" if shown[0].agreement else "accuracy",
    )


def _known_mean(shares: Sequence[float | None]) -> float | None:
    """None for a class without images."""
    known = [share for share in shares if share is not None]
    return fmean(known) if known else None


def _robustness(records: Sequence[Record]) -> Robustness:
    first = records[0]
    return Robustness(
        network=first.name,
        baseline=first.kind == "baseline",
        clean=first.top1[0],
        severities=first.levels[1:],
        accuracy={record.distortion: record.top1[1:] for record in records},
        images=first.images,
        classes=sum(share is not None for share in first.per_class[0]),
    )


def without_folder(name: str) -> str:
    """A record's name without the folder that ``deepcorrect.runs.results.read_together`` put behind it."""
    return re.sub(r" \([^()]*\)$", "", name)


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def by_ladder(records: Iterable[Record]) -> list[list[Record]]:
    """Records of the same distortion and levels together, without repetition, the baseline first; agreements by themselves."""
    groups: dict[tuple[object, ...], dict[str, Record]] = {}
    for record in records:
        groups.setdefault((record.distortion, record.levels, record.agreement), {})[record.name] = record
    return [sorted(group.values(), key=lambda record: record.kind != "baseline") for group in groups.values()]
