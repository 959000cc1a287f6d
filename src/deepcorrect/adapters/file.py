"""A saved correction: a safetensors file whose metadata holds its plan and the fingerprint of the network it is for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from deepcorrect.adapters.plan import Plan
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import write_tensors
from deepcorrect.base.names import encodable_json
from deepcorrect.base.words import argument
from deepcorrect.models.shipped import shipped_correction, shipped_names

_KEY = "deepcorrect"


class TrainedOn(NamedTuple):
    """The data that a correction was trained on: their name, and their fingerprint as they were divided."""

    data: str
    fingerprint: str


def write_correction(
    path: Path, plan: Plan, fingerprint: str, state: Mapping[str, Tensor], *, half: bool, trained_on: TrainedOn | None = None
) -> None:
    """Write the file, floating-point numbers in half precision if asked to."""
    header = {"plan": plan.model_dump(mode="json"), "fingerprint": fingerprint}
    if trained_on is not None:
        header["trained_on"] = encodable_json(trained_on._asdict())
    write_tensors(path, state, half=half, metadata={_KEY: json.dumps(header, sort_keys=True)})


def find_correction(spec: str) -> Path:
    """The file of a correction: a shipped name, a file, or a run folder of ``correct`` or ``finetune``.

    Raises:
        DeepcorrectError: nothing of that name.
    """
    path = shipped_correction(spec)
    if path is not None:
        return path
    path = Path(spec)
    if path.is_dir():
        path = path / "correction.safetensors"
    if not path.is_file():
        known = ", ".join(shipped_names("corrections")) or "none"
        raise DeepcorrectError(
            f"{argument('correction', spec)}: no such file or run folder, and not shipped (shipped: {known})"
        )
    return path


def read_header(path: Path | str) -> Plan:
    """The plan of a saved correction.

    Raises:
        DeepcorrectError: not a correction.
    """
    try:
        return Plan.model_validate(_header(path)["plan"])
    except ValidationError as error:
        raise DeepcorrectError(f"{path}: its plan is unsound ({error.error_count()} fields are wrong)") from None


def read_fingerprint(path: Path | str) -> str:
    """The fingerprint of the network that a saved correction was trained for.

    Raises:
        DeepcorrectError: not a correction.
    """
    return str(_header(path)["fingerprint"])


def read_trained_on(path: Path | str) -> TrainedOn | None:
    """The data that a saved correction was trained on, if its file says so.

    Raises:
        DeepcorrectError: not a correction.
    """
    found = _header(path).get("trained_on")
    return TrainedOn(str(found["data"]), str(found["fingerprint"])) if found else None


def read_state(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a saved correction.

    Raises:
        DeepcorrectError: they cannot be read, or are not finite.
    """
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DeepcorrectError(f"{path}: cannot be read ({error})") from None
    for name, value in state.items():
        if not value.isfinite().all():
            raise DeepcorrectError(f"{path}: its tensor {name} holds NaN or infinity; train the correction again")
    return state


def _header(path: Path | str) -> dict[str, Any]:
    if not Path(path).is_file():
        raise DeepcorrectError(f"{path}: no such correction file")
    try:
        with safe_open(path, "pt") as file:
            header: dict[str, Any] = json.loads((file.metadata() or {})[_KEY])
        required = {"plan": header["plan"], "fingerprint": header["fingerprint"]}
        trained_on = header.get("trained_on")
        return required if trained_on is None else required | {"trained_on": TrainedOn(**trained_on)._asdict()}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError):
        raise DeepcorrectError(f"{path}: not a correction saved by deepcorrect, or cut short") from None
