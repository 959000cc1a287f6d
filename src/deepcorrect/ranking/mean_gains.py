"""Gains averaged over the levels of a distortion, and over the members of a mixture.

A mixture is ranked by the mean of what a filter gains under each of its members. It is taken image by image, so that standard
errors and reliabilities are those of the mean, although the same images are measured under every member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_tensors, read_tensors_header, write_tensors
from deepcorrect.ranking.gains import GainMeter
from deepcorrect.ranking.provenance import require_same


@dataclass(frozen=True, eq=False)
class MeanGains:
    """What each filter gains, image by image.

    Attributes:
        before: mean of the task's first score (top-1 accuracy) with nothing swapped, a level each; of a mixture the mean over
            its members.
        gains: by layer, (scores, filters, N) float64, averaged over the levels; NaN for scores that are not known.
        members: of a mixture, ``before`` under each member.
    """

    before: list[float]
    gains: dict[str, Tensor]
    members: dict[str, list[float]] = field(default_factory=dict)


Part = tuple[GainMeter, Sequence[float]]
"""A distortion by itself: the meter of its gains, and its severities."""


def mean_over_members(
    meter: GainMeter,
    parts: Iterable[Part],
    measure: Callable[[GainMeter, Sequence[float]], MeanGains],
    *,
    kept: Path | None = None,
    of: Mapping[str, Any] | None = None,
) -> MeanGains:
    """The mean of what is measured under each member of a mixture; of another distortion, what is measured.

    Args:
        meter: of the whole.
        parts: of ``GainMeter.parts``.
        measure: gives the gains of one part.
        kept: a file that holds the sum over the members measured so far, to continue from.
        of: what else the file is to tell that it is of.

    Raises:
        DeepcorrectError: ``kept`` is unsound, or holds the gains of something else.
    """
    provenance = meter.provenance(**(of or {})) if kept else {}
    members, sums = meter.processes.agreed(_read(kept, provenance) if kept and kept.exists() else ({}, {}))
    for part, levels in parts:
        name = part.distortion.name
        if name in members:
            meter.progress(sum(gains.shape[1] * gains.shape[2] for gains in sums.values()) * len(levels))
            continue
        measured = measure(part, levels)
        if part is meter:
            return measured
        members[name] = measured.before
        sums = {layer: sums[layer] + gains if layer in sums else gains for layer, gains in measured.gains.items()}
        if kept:
            write_tensors(kept, sums, header={**provenance, "members": members})
    means = {layer: gains / len(members) for layer, gains in sums.items()}
    return MeanGains([fmean(values) for values in zip(*members.values(), strict=True)], means, members)


def _read(kept: Path, provenance: Mapping[str, Any]) -> tuple[dict[str, list[float]], dict[str, Tensor]]:
    header = read_tensors_header(kept)
    require_same(kept, header, provenance)
    members = header.get("members")
    if not isinstance(members, dict) or not members:
        raise DeepcorrectError(f"{kept}: does not say of which distortions it holds gains; delete it to have it made again")
    return members, read_tensors(kept)
