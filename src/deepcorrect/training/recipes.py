"""Training recipes as data, for each of three training regimes: as published for CIFAR-100 (``paper``) and ImageNet
(``imagenet``), short (``fast``) and in between (``long``).

A TOML file with some of these fields is a recipe too: ``--recipe my.toml``. ``base = "fast"`` in it names the recipe that
gives the other fields.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepcorrect.base.device import Precision
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_toml
from deepcorrect.base.words import argument

Regime = Literal["baseline", "finetune", "correct"]
"""What is trained: a whole network on clean images, copies of some layers, or correction units."""
LAYERS_WITHOUT_WARM_UP = 4
"""Up to so many corrected layers the published recipe has no warm-up (section 5.1)."""


class Recipe(BaseModel):
    """Everything that decides a training, except data, network, distortion and seed.

    The learning rate either falls tenfold at ``milestones`` (epochs) or, without milestones, follows one cycle: linearly up
    to ``rate`` over the first ``warmup`` share of the steps, then along a cosine down to zero.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    epochs: int = Field(ge=1)
    passes: int = Field(1, ge=1, description="times an epoch goes through the training images")
    steps: int | None = Field(None, ge=1, description="batches an epoch, instead of whole passes")
    batch_size: int = Field(250, ge=2)
    rate: float = Field(gt=0, description="initial learning rate, or the peak of one cycle")
    milestones: tuple[int, ...] = Field((), strict=False)
    warmup: float = Field(0.2, ge=0, lt=1)
    first_epoch_rate: float | None = Field(None, gt=0, description="warm-up where more than four layers are corrected")
    optimizer: Literal["sgd", "muon"] = "sgd"
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    l1: float = Field(0.0, ge=0, description="penalty on the weights of correction units")
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    distill: float = Field(0.0, ge=0, le=1, description="share of the loss that is the network's answer on clean images")
    match: float = Field(0.0, ge=0, description="weight of the distance to its features on clean images")
    identity: bool = Field(False, description="correction units start as the identity")
    distorted: float = Field(0.5, ge=0, le=1, description="share of each batch that is distorted")
    flip: bool = True
    shift: float = Field(0.0, ge=0, lt=1)
    rotation: float = Field(0.0, ge=0, le=180)
    validate_images: int | None = Field(None, ge=1, description="validation images used each epoch; all when absent")
    precision: Precision = "fp32"

    def without_labels(self) -> Recipe:
        """The same for images without labels: the network's answers and features on clean images are the whole loss."""
        return self.model_copy(update={"distill": 1.0})

    def images_an_epoch(self, available: int) -> int:
        """How many images an epoch sees, about, of a training set of so many."""
        return self.passes * available if self.steps is None else self.steps * min(self.batch_size, available)

    def warm_up(self, corrected_layers: int) -> float | None:
        """The constant rate of the first epoch, ``first_epoch_rate`` where more than four layers are corrected, else None."""
        return self.first_epoch_rate if corrected_layers > LAYERS_WITHOUT_WARM_UP else None

    def rate_at(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of a step, counted from 0 over the whole training, where there is no warm-up."""
        epoch = step // steps_per_epoch
        if self.milestones:
            return self.rate * 0.1 ** sum(epoch >= milestone for milestone in self.milestones)
        total = self.epochs * steps_per_epoch
        rise = self.warmup * total
        if step < rise:
            return self.rate * (step + 1) / (rise + 1)
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / (total - rise)))


_PUBLISHED: dict[str, object] = {
    "epochs": 40,
    "passes": 2,
    "milestones": (10, 20, 30),
    "shift": 0.15,
    "rotation": 20.0,
}
_IMAGENET: dict[str, object] = {
    "epochs": 10,
    "steps": 6250,
    "batch_size": 256,
    "milestones": (3, 6, 9),
    "shift": 14 / 256,
    "validate_images": 5000,
}
_SHORT: dict[str, object] = {
    "epochs": 1,
    "batch_size": 125,
    "shift": 0.125,
    "precision": "bf16",
    "validate_images": 1000,
    "optimizer": "muon",
    "distill": 0.9,
    "match": 6.0,
}
_LONG: dict[str, object] = {**_SHORT, "epochs": 8, "distorted": 0.75}
_RECIPES: dict[Regime, dict[str, dict[str, object]]] = {
    "baseline": {
        "paper": {"epochs": 350, "rate": 0.1, "milestones": (200, 250, 300), "weight_decay": 1e-3, "shift": 0.15},
        "fast": {"epochs": 22, "rate": 0.2, "weight_decay": 5e-4, "label_smoothing": 0.1, "shift": 0.125, "precision": "bf16"},
    },
    "finetune": {
        "paper": {"rate": 0.01, **_PUBLISHED},
        "imagenet": {"rate": 0.001, **_IMAGENET},
        "fast": {"rate": 0.03, **_SHORT},
        "long": {"rate": 0.03, **_LONG},
    },
    "correct": {
        "paper": {"rate": 0.1, "first_epoch_rate": 0.01, "l1": 1e-5, **_PUBLISHED},
        "imagenet": {"rate": 0.1, "l1": 1e-5, **_IMAGENET},
        "fast": {"rate": 0.07, "identity": True, **_SHORT},
        "long": {"rate": 0.07, "identity": True, **_LONG},
    },
}


def get_recipe(spec: str, regime: Regime, **changes: object) -> Recipe:
    """A recipe by name or from a TOML file.

    Args:
        spec: ``paper``, ``imagenet``, ``fast`` or ``long``, or the path of a .toml file.
        regime: what is to be trained; a baseline has ``paper`` and ``fast`` alone.
        changes: fields of ``Recipe`` by name; those that are not None replace the recipe's own.

    Raises:
        DeepcorrectError: unknown name, unreadable file, an unknown field, or one of the wrong type or out of range.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    base: object = spec
    if Path(spec).suffix.lower() == ".toml":
        content = read_toml(Path(spec))
        base = content.pop("base", "fast")
        given = content | given
    if not isinstance(base, str) or base not in _RECIPES[regime]:
        raise DeepcorrectError(
            f"{argument('recipe', spec)}: {base!r} is unknown; use {', '.join(_RECIPES[regime])} or a .toml file"
        )
    unknown = sorted(given.keys() - Recipe.model_fields.keys())
    if unknown:
        known = ", ".join(("base", *Recipe.model_fields))
        raise DeepcorrectError(f"{argument('recipe', spec)}: unknown field {unknown[0]!r}; a recipe has {known}")
    try:
        return Recipe.model_validate(_RECIPES[regime][base] | given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DeepcorrectError(f"{argument('recipe', spec)}: {where} = {first['input']!r}: {first['msg']}") from None
