"""The ways to make a network better on bad photographs that are compared, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

MIXTURE = ("framing", "shade", "recoloured", "contrast", "brightness", "motion_blur", "blur")
LEVELS = (1.0, 2.0, 3.0, 4.0, 5.0)
LETTERS: Mapping[str, object] = {"flip": False, "shift": 0.1, "rotation": 10.0}
"""Augmentation of every training: a letter must not be mirrored."""
BASIC: Mapping[str, object] = {"optimizer": "muon", "batch_size": 125, "rate": 0.03, "weight_decay": 0.05, **LETTERS}
SINGLE: Mapping[str, object] = {"epochs": 10, "distorted": 0.75, "validate_images": 100, **LETTERS}
"""Where each distortion is validated by itself, at every severity."""
MIXED: Mapping[str, object] = {"epochs": 10, "distorted": 0.75, **LETTERS}


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Attributes:
        name: of its files of results.
        title: in the table.
        kind: what is done: a regime of training, the statistics of batch normalisation re-estimated, or a gate.
        recipe: what differs from the recipe ``fast``.
        mixture: what may be wrong with a photograph that is trained on, in that order.
        mixing: whether it suffers several of these at once, or one, drawn evenly or as often as bad photographs look like it.
        layers: how many of the first layers are corrected, or fine-tuned.
        share: of the filters of each, that is corrected.
        labelled: whether training uses the labels of the good photographs.
        gated: the method whose correction a gate uses or does not use, image by image.
    """

    name: str
    title: str
    kind: Literal["baseline", "statistics", "finetune", "correct", "gate"]
    recipe: Mapping[str, object] = field(default_factory=dict, hash=False)
    mixture: tuple[str, ...] = ()
    mixing: Literal["several", "one", "real"] = "several"
    layers: int = 0
    share: float = 0.5
    labelled: bool = True
    gated: Method | None = None

    @property
    def name_of_mixture(self) -> str:
        """What the records call it."""
        return f"{self.mixing} of {', '.join(self.mixture)}"

    def as_json(self) -> dict[str, Any]:
        """All that decides its results."""
        return {name: value for name, value in asdict(self).items() if name not in ("name", "title")}


BASELINE = Method("baseline", "As it is", "baseline", {"epochs": 14, **BASIC})
CORRECTED = Method("deepcorr-6", "Corrected, six layers", "correct", MIXED, MIXTURE, layers=6)
METHODS = (
    BASELINE,
    Method("statistics", "Statistics re-estimated", "statistics"),
    Method("finetune-9", "Fine-tuned, all layers", "finetune", MIXED, MIXTURE, layers=9),
    CORRECTED,
    Method("deepcorr-6-unlabelled", "Corrected without labels", "correct", MIXED, MIXTURE, layers=6, labelled=False),
    Method("deepcorr-6-one", "Corrected, one distortion an image", "correct", SINGLE, MIXTURE, "one", layers=6),
    Method("deepcorr-6-real", "The same, as often as the bad ones look like it", "correct", SINGLE, MIXTURE, "real", layers=6),
    Method("gated", "Corrected where a gate says so", "gate", mixture=MIXTURE, gated=CORRECTED),
)
