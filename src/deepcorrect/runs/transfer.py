"""The records of a run of ``transfer``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json
from deepcorrect.evaluation.svm import Split
from deepcorrect.runs.kinds import Kind

FILE = "transfer.json"


CLEAN = "none"
"""Stands for the distortion where SVMs are trained and tested on clean images alone (Table 13)."""


class TransferRecord(BaseModel):
    """One network's features under one distortion, the clean level first.

    Attributes:
        name: of the network.
        kind: what it is; in files of the first version the name tells.
        fingerprint: of its weights, its correction's included.
        distortion: its name, or ``CLEAN``.
        features: how many numbers describe an image.
        images: how many train, validate and test in one split.
        accuracy: mean accuracy per category at each level, over the splits.
        mean: over the levels.
        spread: standard deviation of that mean between splits; None of a single one.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Kind = "other"
    fingerprint: str
    distortion: str
    levels: tuple[float, ...]
    features: int
    images: tuple[int, int, int]
    accuracy: tuple[float, ...]
    mean: float
    spread: float | None
    splits: tuple[Split, ...]

    @model_validator(mode="before")
    @classmethod
    def _told_by_name(cls, fields: Any) -> Any:
        if not isinstance(fields, Mapping) or not isinstance(fields.get("name"), str):
            return fields
        name = fields["name"]
        kind = "baseline" if name == "baseline" else "finetuned" if "finetune" in name else "correction"
        return {"kind": kind, **fields}


def read_transfer(file: Path) -> list[TransferRecord]:
    """The records of a run of ``transfer``.

    Raises:
        DeepcorrectError: they are unsound.
    """
    try:
        return [TransferRecord.model_validate(record) for record in read_json(file).get("records", ())]
    except ValidationError as error:
        raise DeepcorrectError(f"{file}: not the records of transfer ({error.error_count()} fields are wrong)") from None
