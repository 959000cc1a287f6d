"""What filters were ranked by, how far it is to be trusted, and the choice of filters from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json, write_json
from deepcorrect.base.seeding import Use, generator
from deepcorrect.base.showing import Plot, Shown, View
from deepcorrect.base.tables import Cell, Table
from deepcorrect.base.words import argument
from deepcorrect.tasks.classification import CLASSIFICATION

Score = str
"""One of a task's scores."""
SCORES = CLASSIFICATION.scores
Method = Literal["exact", "attribution", "joint"]
RELIABILITY = "Reliability: rank correlation to be expected of a ranking on as many other images."
_LINES, _POINTS = 7, 100
"""Of a plot: layers, and steps along each layer's filters."""


@dataclass(frozen=True, repr=False)
class Ranking(Shown):
    """Correction priorities and what they were measured on.

    Attributes:
        distortion: its name.
        levels: severities, without the clean one.
        images: how many images each level was measured on.
        seed: of the images' choice and of the noise.
        baseline: top-1 with nothing swapped, p_b, a level each.
        scores: priority by layer and filter, averaged over the levels.
        score: what the priority is the mean gain of: top-1 accuracy (Equation 1), the true class's probability, or its margin.
        method: how they were found: every swap run, estimated from gradients, or chosen with those before swapped already.
        errors: standard error of each score over images.
        margins: mean gain in the true class's margin, which breaks ties.
        reliability: by layer and score, the rank correlation to be expected of a ranking on as many other images.
        order: by layer, filters from the most susceptible on, where that is more than the order of the scores.
        network: fingerprint of the network; None where it is not known.
        members: of a mixture, whose scores and ``baseline`` are means over its members, the baseline under each of them, at
            each of its own severities.
    """

    distortion: str
    levels: tuple[float, ...]
    images: int
    seed: int
    baseline: tuple[float, ...]
    scores: dict[str, tuple[float, ...]]
    score: Score = "top1"
    method: Method = "exact"
    errors: dict[str, tuple[float, ...]] = field(default_factory=dict)
    margins: dict[str, tuple[float, ...]] = field(default_factory=dict)
    reliability: dict[str, dict[Score, float]] = field(default_factory=dict)
    order: dict[str, tuple[int, ...]] = field(default_factory=dict)
    network: str | None = None
    members: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def local(self, layer: str) -> tuple[int, ...]:
        """A layer's filters, the most susceptible first."""
        if layer in self.order:
            return self.order[layer]
        return tuple(sorted(range(len(self.scores[layer])), key=lambda filter_: self._key(layer, filter_)))

    def across(self) -> tuple[tuple[str, int], ...]:
        """(layer, filter) over all ranked layers, the most susceptible first (global ranking)."""
        pairs = [(layer, filter_) for layer, scores in self.scores.items() for filter_ in range(len(scores))]
        return tuple(sorted(pairs, key=lambda pair: self._key(*pair)))

    def top(
        self, share: float | Iterable[float], layers: int | str | Iterable[str] | None = None, *, across: bool = False
    ) -> dict[str, tuple[int, ...]]:
        """The most susceptible filters, as ``Plan(filters=...)`` takes them.

        Args:
            share: of each layer's filters, in (0, 1], rounded to whole filters; or one share for each of ``layers``.
            layers: so many of the ranked layers from the first on (in the network's order), or the names of some; all if None.
            across: whether to choose as many filters over all these layers together (the paper's global ranking), in place of
                each layer's share by itself (its local ranking). A layer may then get more than its share, or none.

        Returns:
            By layer, its filters in ascending order; layers without any are left out.

        Raises:
            DeepcorrectError: a share outside (0, 1], or of no filter at all; not one share a layer; more layers than are
                ranked, or another; ``across`` where a layer's filters are in an order that is not that of their scores.
        """
        names = self._layers(layers)
        try:
            shares = [float(each) for each in share] if isinstance(share, Iterable) else [float(share)] * len(names)
        except (TypeError, ValueError):
            raise DeepcorrectError(f"{argument('share', share)}: give a number in (0, 1], or one for each layer") from None
        if len(shares) != len(names):
            raise DeepcorrectError(f"{argument('share')}: {len(shares)} shares for {len(names)} layers ({', '.join(names)})")
        if across and self.order:
            raise DeepcorrectError(
                f"{argument('across', across)}: this ranking orders the filters of each layer by more than their scores, which "
                "says nothing of filters of different layers; choose without it"
            )
        return (choose_globally if across else choose_locally)(self, dict(zip(names, shares, strict=True)))

    def _layers(self, layers: int | str | Iterable[str] | None) -> list[str]:
        """Names of the layers that ``top`` is asked for."""
        ranked = list(self.scores)
        if layers is None:
            return ranked
        if not isinstance(layers, Iterable):
            if layers not in range(1, len(ranked) + 1):
                raise DeepcorrectError(f"{argument('layers', layers)}: give 1 to {len(ranked)}, the number of ranked layers")
            return ranked[: int(layers)]
        names = [layers] if isinstance(layers, str) else list(layers)
        unknown = [name for name in names if name not in self.scores]
        if unknown or not names or len(set(names)) < len(names):
            reason = f"{unknown[0]!r} is not ranked" if unknown else "give each name once" if names else "give a name or more"
            raise DeepcorrectError(f"{argument('layers', names)}: {reason}; the ranking has {', '.join(ranked)}")
        return names

    def _key(self, layer: str, filter_: int) -> tuple[float, float]:
        margin = self.margins[layer][filter_] if layer in self.margins else 0.0
        return -self.scores[layer][filter_], -margin

    def images_to_separate(self, layer: str, count: int) -> float:
        """How many images a level would put two standard errors between the ``count``-th filter of a layer and the next.

        Infinite where these are equal; NaN where no errors were measured or no filter is left out.
        """
        order = self.local(layer)
        if layer not in self.errors or not 0 < count < len(order):
            return math.nan
        last, next_ = order[count - 1], order[count]
        gap = self.scores[layer][last] - self.scores[layer][next_]
        error = math.hypot(self.errors[layer][last], self.errors[layer][next_])
        return self.images * (2 * error / gap) ** 2 if gap > 1e-9 else math.inf  # less is rounding of equal means

    def table(self, counts: Mapping[str, int] | None = None, shown: int = 6) -> Table:
        """The most susceptible filters of each layer, and how far the ranking is to be trusted.

        Args:
            counts: how many filters of each layer would be corrected: a column says how many images separate these from the
                rest.
            shown: how many filters of each layer.
        """
        rows: list[Sequence[Cell]] = []
        for layer, scores in self.scores.items():
            errors = self.errors.get(layer, (math.nan,) * len(scores))
            first = [f"{filter_} ({scores[filter_]:+.4f} ± {errors[filter_]:.4f})" for filter_ in self.local(layer)[:shown]]
            agreed = self.reliability.get(layer, {}).get(self.score)
            row = (layer, str(len(scores)), first, "" if agreed is None else f"{agreed:.2f}")
            needed = self.images_to_separate(layer, counts[layer]) if counts is not None else math.nan
            rows.append((*row, "" if math.isnan(needed) else f"{needed:,.0f}") if counts is not None else row)
        first_filters = f"First {shown}: filter (gain in {self.score} ± standard error)"
        headings = ("Layer", "Filters", first_filters, "Reliability", *(("Images for the cut",) if counts is not None else ()))
        return Table(
            f"Correction priority under {self.distortion} ({self.method}, {self.images:,} images a level)", headings, rows
        )

    def views(self) -> list[View]:
        """The most susceptible filters of each layer, and the priorities of all."""
        curves = {}
        highest = sorted(self.scores, key=lambda layer: -max(self.scores[layer]))[:_LINES]
        for layer in (layer for layer in self.scores if layer in highest):
            order = self.local(layer)
            picked = sorted({round(step * (len(order) - 1) / _POINTS) for step in range(_POINTS + 1)})
            curves[layer] = (
                [(index + 1) / len(order) for index in picked],
                [self.scores[layer][order[index]] for index in picked],
            )
        best = "; ".join(f"{layer}: {max(self.scores[layer]):+.4f}" for layer in curves)
        few = f" of the {_LINES} layers with the highest" if len(self.scores) > _LINES else ""
        plot = Plot(
            curves, "share of the layer's filters, most susceptible first", f"gain in {self.score}",
            f"Correction priorities{few}, from the most susceptible filter of each layer to the least. Highest: {best}",
            markers=False,
        )  # fmt: skip
        return [View(self.table(), plot if curves else None, RELIABILITY if self.reliability else "")]

    def __repr__(self) -> str:
        filters, levels = sum(map(len, self.scores.values())), ", ".join(f"{level:g}" for level in self.levels)
        return (
            f"Ranking({self.distortion} at {levels}: {filters:,} filters in {len(self.scores)} layers by gain in {self.score}, "
            f"{self.method}, {self.images:,} images a level)"
        )

    def as_json(self) -> dict[str, object]:
        """The fields, and both rankings: ``local`` lists each layer's filters, ``global`` all (layer, filter), best first."""
        fields = asdict(self)
        if not self.members:
            del fields["members"]
        return fields | {"local": {layer: self.local(layer) for layer in self.scores}, "global": self.across()}

    def save(self, path: Path | str) -> None:
        """Write as JSON."""
        write_json(Path(path), self.as_json())

    @classmethod
    def load(cls, path: Path | str) -> Ranking:
        """Read a saved ranking.

        Raises:
            DeepcorrectError: missing or not a ranking.
        """
        try:
            return cls.from_json(read_json(Path(path)))
        except (KeyError, TypeError, AttributeError) as error:
            raise DeepcorrectError(f"{path}: not a ranking saved by deepcorrect ({error})") from None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Ranking:
        """What ``as_json`` gave."""
        fields = {name: value for name, value in content.items() if name not in ("local", "global")}
        for name in ("levels", "baseline"):
            fields[name] = tuple(fields[name])
        for name in ("scores", "errors", "margins", "order", "members"):
            fields[name] = {layer: tuple(values) for layer, values in fields.get(name, {}).items()}
        return cls(**fields)


def count_of_share(share: float, filters: int, layer: str, name: str = "share") -> int:
    """How many filters a share of a layer is, rounded.

    Args:
        name: what messages call the share, an argument.

    Raises:
        DeepcorrectError: the share lies outside (0, 1], or comes to no filter at all.
    """
    said = argument(name, share)
    if not 0 < share <= 1:
        raise DeepcorrectError(f"{said}: outside (0, 1]; 0.5 corrects half of each layer's filters")
    count = int(share * filters + 0.5)
    if count == 0:
        raise DeepcorrectError(f"{said}: layer {layer} has {filters} filter(s), of which this is none")
    return count


def choose_locally(ranking: Ranking, shares: dict[str, float]) -> dict[str, tuple[int, ...]]:
    """The most susceptible share of each layer by itself (local ranking); filters in ascending order."""
    return {
        layer: tuple(sorted(ranking.local(layer)[: count_of_share(share, len(ranking.scores[layer]), layer)]))
        for layer, share in shares.items()
    }


def choose_globally(ranking: Ranking, shares: dict[str, float]) -> dict[str, tuple[int, ...]]:
    """As many filters as the shares come to, the most susceptible of all these layers together (global ranking)."""
    total = sum(count_of_share(share, len(ranking.scores[layer]), layer) for layer, share in shares.items())
    chosen: dict[str, list[int]] = {layer: [] for layer in shares}
    for layer, filter_ in [pair for pair in ranking.across() if pair[0] in shares][:total]:
        chosen[layer].append(filter_)
    return {layer: tuple(sorted(filters)) for layer, filters in chosen.items() if filters}


def choose_randomly(filters: Mapping[str, int], shares: Mapping[str, float], seed: int) -> dict[str, tuple[int, ...]]:
    """As many filters of each layer, which has so many, drawn by seed: what a ranking is compared with (Figure 9)."""
    chosen = {}
    for place, (layer, share) in enumerate(shares.items()):
        order = torch.randperm(filters[layer], generator=generator(seed, Use.DRAW, place)).tolist()
        chosen[layer] = tuple(sorted(order[: count_of_share(share, filters[layer], layer)]))
    return chosen
