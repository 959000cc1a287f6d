"""Where the gate of a network sent its images, as a table and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from deepcorrect.base.showing import View
from deepcorrect.base.tables import Table
from deepcorrect.evaluation.levels import level_name

LEFT_ALONE = "left alone"
Sent = Mapping[str, tuple[float, ...]]
"""By the name of each correction, the share of images that were sent to it at every level, the clean one first."""


def shares(sent: Sent) -> dict[str, tuple[float, ...]]:
    """Those of images left to the network as it is, then those sent to each correction."""
    alone = tuple(max(0.0, 1 - sum(level)) for level in zip(*sent.values(), strict=True))
    return {LEFT_ALONE: alone, **sent}


def mean_of(several: Sequence[Sent | None]) -> dict[str, tuple[float, ...]] | None:
    """The mean over several distortions, at each level; nothing unless all are of one gate."""
    known = [sent for sent in several if sent is not None]
    if len(known) < len(several) or len({tuple(sent) for sent in known}) != 1:
        return None
    return {name: tuple(map(fmean, zip(*(sent[name] for sent in known), strict=True))) for name in known[0]}


def in_words(distortion: str, levels: Sequence[float], sent: Sent) -> str:
    """What the gate did, in a sentence."""
    alone = shares(sent)[LEFT_ALONE]
    corrected = [f"{1 - share:.1%} of images at {level:g}" for level, share in zip(levels[1:], alone[1:], strict=True)]
    ends = " to ".join(corrected if len(corrected) < 2 else (corrected[0], corrected[-1]))
    under = f"; under {distortion} it corrects {ends}" if corrected else ""
    return f"The gate leaves {alone[0]:.1%} of clean images to the network as it is{under}."


def sent_view(name: str, distortion: str, levels: Sequence[float], sent: Sent) -> View:
    """A row for each correction, a column for each level."""
    rows = [(to, *(f"{share:.4f}" for share in row)) for to, row in shares(sent).items()]
    title = f"Where {name} sends its images under {distortion} (shares)"
    return View(Table(title, ("Sent to", *map(level_name, levels)), rows), note=in_words(distortion, levels, sent))
