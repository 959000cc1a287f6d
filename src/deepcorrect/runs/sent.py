"""Where the gate of a network sent its images, as a table and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def in_words(distortion: str, levels: Sequence[float], sent: Sent) -> str:
    """What the gate did, in a sentence."""
    alone = shares(sent)[LEFT_ALONE]
    at = [f"{1 - share:.1%} at {level:g}" for level, share in zip(levels[1:], alone[1:], strict=True)]
    under = f"; under {distortion} it corrects {', '.join(at)}" if at else ""
    return f"The gate leaves {alone[0]:.1%} of clean images to the network as it is{under}."


def sent_view(name: str, distortion: str, levels: Sequence[float], sent: Sent) -> View:
    """A row for each correction, a column for each level."""
    rows = [(to, *(f"{share:.4f}" for share in row)) for to, row in shares(sent).items()]
    title = f"Where {name} sends its images under {distortion} (shares)"
    return View(Table(title, ("Sent to", *map(level_name, levels)), rows), note=in_words(distortion, levels, sent))
