"""The ways to make a network better on bad photographs that are compared, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from deepcorrect.training.recipes import Regime

MIXTURE = ("framing", "shade", "recoloured", "contrast", "motion_blur", "blur")
LEVELS = (1.0, 2.0, 3.0, 4.0, 5.0)
LETTERS: Mapping[str, object] = {"flip": False, "shift": 0.1, "rotation": 10.0, "validate_images": None}
"""Augmentation of every training: a letter must not be mirrored."""
BASIC: Mapping[str, object] = {"optimizer": "muon", "batch_size": 125, "rate": 0.03, "weight_decay": 0.05, **LETTERS}
MIXED: Mapping[str, object] = {"epochs": 10, "distorted": 0.75, **LETTERS}


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Attributes:
        name: of its files of results.
        title: in the table.
        regime: what is trained; None only re-estimates the statistics of batch normalisation.
        recipe: what differs from the recipe ``fast``.
        mixture: what may be wrong with a photograph that is trained on, in that order.
        levels: severities to draw from.
        layers: how many of the first layers are corrected, or fine-tuned.
        share: of the filters of each, that is corrected.
        unit: shape of the correction units.
        retrained: how many of the last layers are trained as a whole beside them.
        ranked: validation images on which filters are ranked.
    """

    name: str
    title: str
    regime: Regime | None
    recipe: Mapping[str, object] = field(default_factory=dict, hash=False)
    mixture: tuple[str, ...] = ()
    levels: tuple[float, ...] = LEVELS
    layers: int = 0
    share: float = 0.5
    unit: str = "cifar"
    retrained: int = 0
    ranked: int = 250

    @property
    def name_of_mixture(self) -> str:
        """What the records call it."""
        return f"any of {', '.join(self.mixture)}"

    def as_json(self) -> dict[str, Any]:
        """All that decides its results."""
        return {name: value for name, value in asdict(self).items() if name not in ("name", "title")}


BASELINE = Method("baseline", "Trained on good photographs", "baseline", {"epochs": 14, **BASIC})
METHODS = (
    BASELINE,
    Method("statistics", "Statistics re-estimated on bad photographs", None),
    Method("finetune-9", "All layers fine-tuned", "finetune", MIXED, MIXTURE, layers=9),
    Method("deepcorr-6", "Six layers corrected", "correct", MIXED, MIXTURE, layers=6),
    Method(
        "deepcorr-6-unlabelled", "Six layers corrected, without labels", "correct", {**MIXED, "distill": 1.0}, MIXTURE, layers=6
    ),
)
