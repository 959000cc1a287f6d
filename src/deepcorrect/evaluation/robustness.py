"""How robust a network is: its accuracy under several corruptions of the same severities, and their means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from deepcorrect.base.showing import Plot, Shown, View
from deepcorrect.base.tables import Table
from deepcorrect.distortions.groups import GROUPS, in_order
from deepcorrect.evaluation import alexnet
from deepcorrect.evaluation.levels import level_name

FILES_OF = ("cifar-c/", "imagenet-c/")
"""Before the name of a corruption whose images were read from published files."""
_NAMED = 3


def corruption_of(distortion: str) -> tuple[str, str]:
    """Whose files a distortion's images come from, nobody's if it is computed, and the corruption's name in the literature."""
    prefix = next((prefix for prefix in FILES_OF if distortion.startswith(prefix)), "")
    return prefix, distortion.removeprefix(prefix)


@dataclass(frozen=True, repr=False)
class Robustness(Shown):
    """One network under several corruptions of the same severities.

    Attributes:
        network: its name.
        baseline: whether it is the network as it was, with which others are compared.
        clean: top-1 accuracy on clean images, in [0, 1].
        severities: of every corruption, above 0.
        accuracy: by distortion, top-1 accuracy at each severity, in [0, 1].
        images: how many test images.
        classes: how many classes have test images.
    """

    network: str
    baseline: bool
    clean: float
    severities: tuple[float, ...]
    accuracy: Mapping[str, tuple[float, ...]]
    images: int
    classes: int

    @property
    def corruptions(self) -> dict[str, tuple[float, ...]]:
        """Accuracy at each severity by the corruption's name in the literature, in the order of the literature."""
        return {corruption_of(name)[1]: self.accuracy[name] for name in self.distortions}

    @property
    def distortions(self) -> list[str]:
        """As results name them, in the order of the literature."""
        known = {corruption_of(name)[1]: name for name in self.accuracy}
        return [known[corruption] for corruption in in_order(known)]

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Groups of which all corruptions were measured, each behind its last member; ``all`` where none has them all."""
        measured = list(self.corruptions)
        groups = {name: members for name, members in GROUPS.items() if set(members) <= set(measured)}
        order = sorted(groups, key=lambda name: (max(map(measured.index, groups[name])), len(groups[name])))
        complete = any(len(members) == len(measured) for members in groups.values())
        return {name: groups[name] for name in order} | ({} if complete else {"all": tuple(measured)})

    def mean(self, corruptions: Iterable[str] | None = None) -> float:
        """Mean accuracy over severities and corruptions; all of them by default (mCA)."""
        return fmean(map(fmean, (self.corruptions[name] for name in corruptions or self.corruptions)))

    @property
    def added_error(self) -> float:
        """Mean error under the corruptions less the error on clean images."""
        return self.clean - self.mean()

    @property
    def error_ratio(self) -> float | None:
        """Mean error under the corruptions divided by the error on clean images, if there are any."""
        return (1 - self.mean()) / (1 - self.clean) if self.clean < 1 else None

    @property
    def published(self) -> bool:
        """Whether the 15 corruptions of ImageNet-C were all measured, at severities 1 to 5."""
        return set(GROUPS["imagenet-c"]) <= self.corruptions.keys() and self.severities == alexnet.SEVERITIES

    @property
    def mce(self) -> float | None:
        """Mean corruption error against AlexNet's; of networks of 1,000 classes, under all 15 corruptions of ImageNet-C."""
        if not self.published or self.classes != alexnet.CLASSES:
            return None
        return alexnet.mean_corruption_error({name: 1 - fmean(row) for name, row in self.corruptions.items()})

    @property
    def summary(self) -> str:
        """The means in a sentence or two."""
        ratio = "" if self.error_ratio is None else f", {self.error_ratio:.2f} times as much"
        said = (
            f"Clean accuracy {self.clean:.4f}, mean under the {len(self.accuracy)} corruptions {self.mean():.4f}. "
            f"Mean corruption error {1 - self.mean():.4f}: {self.added_error:+.4f} against clean images{ratio}."
        )
        return said if self.mce is None else f"{said} mCE {self.mce:.1%} (AlexNet, as published: 100 %)."

    def rows(self) -> dict[str, tuple[float, ...]]:
        """Accuracy at each severity, by corruption and then as means by group."""
        known = self.corruptions
        means = {
            f"{name} ({len(members)})": tuple(map(fmean, zip(*(known[each] for each in members), strict=True)))
            for name, members in self.groups.items()
        }
        return known | means

    def views(self) -> list[View]:
        """A table of corruptions by severity, and a line for each group."""
        rows = [(name, *(f"{value:.4f}" for value in (*row, fmean(row)))) for name, row in self.rows().items()]
        title = f"Top-1 accuracy of {self.network} under {self.title} ({self.images:,} test images)"
        table = Table(title, ("Corruption", *map(level_name, self.severities), "Mean"), rows)
        means = dict(list(self.rows().items())[len(self.accuracy) :])
        curves = {name: ((0.0, *self.severities), (self.clean, *row)) for name, row in means.items()}
        plot = Plot(curves, "severity (0 = clean)", "accuracy", f"Mean accuracy by severity. {self.summary}", (0, 1.02))
        return [View(table, plot, self.summary)]

    @property
    def title(self) -> str:
        """What it was measured under: up to three corruptions by name, more by number."""
        source = corruption_of(next(iter(self.accuracy)))[0]
        named = list(self.corruptions)
        shown = ", ".join(named) if len(named) <= _NAMED else f"{len(named)} corruptions"
        return f"{shown}{f' from {source[:-1]} files' if source else ''}"

    def __repr__(self) -> str:
        return f"Robustness({self.network!r}, {self.title}, {self.images:,} images: mean {self.mean():.4f})"

    def as_json(self, data: str) -> dict[str, Any]:
        """In the fields of RobustBench, and what it has none for.

        Those of RobustBench are ``dataset``, ``clean_acc``, ``corruptions_acc`` and ``corruptions_mce``: percentages of two
        decimals as text, as in its ``model_info``; the last two are null unless the 15 corruptions of ImageNet-C were all
        measured at severities 1 to 5, and mCE also for other than 1,000 classes. ``unaggregated_results`` has what its
        ``unaggregated_results.csv`` has: accuracy in [0, 1] by corruption and severity. ``means`` (by group), ``added_error``
        and ``error_ratio`` are ours.

        Args:
            data: name of the data set.
        """
        return {
            "name": self.network,
            "dataset": data,
            "images": self.images,
            "clean_acc": _percent(self.clean),
            "corruptions_acc": _percent(self.mean(GROUPS["imagenet-c"])) if self.published else None,
            "corruptions_mce": None if self.mce is None else _percent(self.mce),
            "unaggregated_results": {
                name: {level_name(severity): value for severity, value in zip(self.severities, row, strict=True)}
                for name, row in self.corruptions.items()
            },
            "means": {name: self.mean(members) for name, members in self.groups.items()},
            "added_error": self.added_error,
            "error_ratio": self.error_ratio,
        }


def alike(networks: Iterable[Robustness]) -> list[list[Robustness]]:
    """Networks under the same corruptions and severities together, without repetition, the baseline first."""
    groups: dict[tuple[object, ...], list[Robustness]] = {}
    for network in sorted(networks, key=lambda network: not network.baseline):
        same = groups.setdefault((frozenset(network.accuracy), network.severities), [])
        if network not in same:
            same.append(network)
    return list(groups.values())


def views_of(networks: Sequence[Robustness]) -> list[View]:
    """Networks under the same corruptions and severities: their means side by side if they are several, then each by itself."""
    compared = [compared_view(networks)] if len(networks) > 1 else []
    return compared + [view for network in networks for view in network.views()]


def compared_view(networks: Sequence[Robustness]) -> View:
    """Networks under the same corruptions side by side: means over the severities, and how much of the loss is recovered.

    Recovered: of the accuracy that a corruption costs the first network, if that is the baseline, the share that another gains.
    """
    first, *others = networks
    names = {"clean": (), **{name: (name,) for name in first.corruptions}}
    names |= {f"{name} ({len(members)})": members for name, members in first.groups.items()}
    rows = []
    for label, corruptions in names.items():
        values = [network.mean(corruptions) if corruptions else network.clean for network in networks]
        lost = first.clean - values[0]
        shares = [f"{(value - values[0]) / lost:.1%}" if lost > 0 else "" for value in values[1:]] if first.baseline else []
        rows.append((label, *(f"{value:.4f}" for value in values), *shares))
    recovered = [f"Recovered by {other.network}" for other in others] if first.baseline else []
    title = f"Mean top-1 accuracy under {first.title} ({first.images:,} test images)"
    return View(Table(title, ("Corruption", *(network.network for network in networks), *recovered), rows))


def _percent(share: float) -> str:
    return str(round(share * 100, 2))
