"""Networks of saved runs against each other: by how much one is better, and whether that is more than chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument
from deepcorrect.evaluation.answers import Answers, read_answers
from deepcorrect.evaluation.significance import bootstrap_interval, holm, mcnemar, paired_t_test
from deepcorrect.runs.classes import class_counts, class_means
from deepcorrect.runs.results import Record, by_ladder, read_results, read_together

MOST_FOR_ALL_PAIRS = 6

Interval = tuple[float, float]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class Mean(_Data):
    """A network's mean accuracy over the levels, with its 95 % interval where its answers are kept."""

    network: str
    top1: float
    interval: Interval | None


class Classes(_Data):
    """How many classes one network gets right more often than the other, less often, and as often, over all levels."""

    better: int
    worse: int
    equal: int


class Pair(_Data):
    """One network against another; differences are the first's accuracy less the other's.

    Attributes:
        difference: of the mean accuracies over the levels.
        interval: its 95 % interval by a paired bootstrap over the test images.
        t_test: p of the paired t-test over the levels, as in the paper; None where the differences have no spread.
        by_level: the difference at each level.
        mcnemar: p of McNemar's exact test over the images of each level, adjusted by Holm for the number of levels.
        classes: classes won and lost.

    The last two and the interval are None where the two were measured on different images; the interval and ``mcnemar`` also
    where the answers of one are not kept.
    """

    network: str
    against: str
    difference: float
    interval: Interval | None
    t_test: float | None
    by_level: tuple[float, ...]
    mcnemar: tuple[float, ...] | None
    classes: Classes | None


class Comparison(_Data):
    """The networks measured under one distortion at the same levels.

    Attributes:
        levels: severities, the clean one (0) first.
        pairs: every two networks, or each against one.
        measured: what the numbers are, ``Record.measured``.
        notes: what could not be tested, and why; a line each.
    """

    distortion: str
    levels: tuple[float, ...]
    means: tuple[Mean, ...]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]
    measured: str = "top-1 accuracy"


@dataclass(frozen=True)
class _Network:
    """A record with what its run knows of its images."""

    record: Record
    images: str | None
    answers: Answers | None

    @property
    def name(self) -> str:
        return self.record.name


def compare_records(folders: Sequence[Path], *, against: str | None = None) -> list[Comparison]:
    """Compare what some finished runs have measured, distortion by distortion, without running a network.

    Args:
        folders: run folders; networks of the same name in several are told apart by their folder's.
        against: the network that every other is compared with. Without it, up to six networks are all compared with each
            other, each with those before it, and more with the first that is no baseline.

    Returns:
        A comparison for each distortion and levels under which two networks or more were measured, the one named by
        ``against`` among them.

    Raises:
        DeepcorrectError: a folder holds no finished run or unsound answers, or no network is called ``against``.
    """
    found = _networks(folders)
    if against is not None and against not in {network.name for ladder in found for network in ladder}:
        names = ", ".join(sorted({network.name for ladder in found for network in ladder}))
        raise DeepcorrectError(f"{argument('against', against)}: no network of these runs; they have {names}")
    paired = [(ladder, _choose_pairs(ladder, against)) for ladder in found]
    return [_compare(ladder, pairs) for ladder, pairs in paired if pairs]


def _networks(folders: Sequence[Path]) -> list[list[_Network]]:
    """The networks of all runs by distortion and levels; one that several runs measured, from a run that keeps its answers."""
    known: dict[tuple[object, ...], _Network] = {}
    for folder, run, renamed in zip(folders, map(read_results, folders), read_together(folders), strict=True):
        for record, shown in zip(run.records, renamed.records, strict=True):
            before = known.get(_key(shown))
            if before is None or before.answers is None:
                known[_key(shown)] = _Network(shown, run.settings.get("data_fingerprint"), _answers(folder, record))
    return [[known[_key(record)] for record in ladder] for ladder in by_ladder(network.record for network in known.values())]


def _key(record: Record) -> tuple[object, ...]:
    return (record.distortion, record.levels, record.name)


def _answers(folder: Path, record: Record) -> Answers | None:
    """The answers that a record counts, if the run keeps them (and not those of the same network at other levels)."""
    answers = read_answers(folder, record.distortion, record.name, record.levels)
    if answers is None or answers.top.shape != (len(record.levels), record.images):
        return None
    accuracies = answers.right.double().mean(1)
    return answers if torch.allclose(accuracies, torch.tensor(record.top1, dtype=torch.float64)) else None


def _choose_pairs(networks: Sequence[_Network], against: str | None) -> list[tuple[_Network, _Network]]:
    if against is None and len(networks) <= MOST_FOR_ALL_PAIRS:
        return [(network, other) for place, network in enumerate(networks) for other in networks[:place]]
    if against is None:
        against = next((network.name for network in networks if network.record.kind != "baseline"), networks[0].name)
    return [(network, other) for network in networks for other in networks if other.name == against and network.name != against]


def _compare(networks: Sequence[_Network], pairs: Sequence[tuple[_Network, _Network]]) -> Comparison:
    record = networks[0].record
    means = (
        Mean(
            network=network.name,
            top1=network.record.mean_top1,
            interval=None if network.answers is None else bootstrap_interval(network.answers.right),
        )
        for network in networks
    )
    return Comparison(
        distortion=record.distortion,
        levels=record.levels,
        means=tuple(means),
        pairs=tuple(_compare_pair(network, other) for network, other in pairs),
        notes=tuple(_notes(networks, pairs)),
        measured=record.measured,
    )


def _compare_pair(network: _Network, other: _Network) -> Pair:
    first, second = network.record, other.record
    p = paired_t_test(first.top1, second.top1)
    interval, by_image = None, None
    if network.answers is not None and other.answers is not None and _same_images(network, other):
        right, others = network.answers.right, other.answers.right
        interval = bootstrap_interval(right, others)
        by_image = holm([mcnemar(*level) for level in zip(right, others, strict=True)])
    return Pair(
        network=first.name,
        against=second.name,
        difference=first.mean_top1 - second.mean_top1,
        interval=interval,
        t_test=None if math.isnan(p) else p,
        by_level=tuple(one - another for one, another in zip(first.top1, second.top1, strict=True)),
        mcnemar=by_image,
        classes=_classes(network, other),
    )


def _classes(network: _Network, other: _Network) -> Classes | None:
    if not _same_images(network, other):
        return None
    better, worse, equal = class_counts(class_means(network.record), class_means(other.record))
    return Classes(better=better, worse=worse, equal=equal)


def _same_images(network: _Network, other: _Network) -> bool:
    """As far as the runs tell."""
    first, second = network.record, other.record
    if (first.images, len(first.per_class[0])) != (second.images, len(second.per_class[0])):
        return False
    if network.images is not None and other.images is not None and network.images != other.images:
        return False
    return network.answers is None or other.answers is None or torch.equal(network.answers.labels, other.answers.labels)


def _notes(networks: Sequence[_Network], pairs: Sequence[tuple[_Network, _Network]]) -> list[str]:
    notes = []
    silent = [network.name for network in networks if network.answers is None]
    if silent:
        notes.append(
            f"no intervals and no McNemar's test for {', '.join(silent)}: not in an answers.safetensors, which older runs do "
            "not have; make the run again in another folder"
        )
    apart = [f"{network.name} and {other.name}" for network, other in pairs if not _same_images(network, other)]
    if apart:
        notes.append(f"not measured on the same test images, so not compared image by image: {', '.join(apart)}")
    return notes
