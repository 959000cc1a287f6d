"""A saved correction: a safetensors file whose metadata hold its plan and a print of the network that it is for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from deepcorrect.adapters.plan import Plan
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import tensors_header, write_tensors
from deepcorrect.base.names import encodable_json
from deepcorrect.base.words import argument
from deepcorrect.models.network_print import NetworkPrint
from deepcorrect.models.shipped import shipped_correction, shipped_names


class TrainedOn(NamedTuple):
    """The data that a correction was trained on: their name, and their fingerprint as they were divided."""

    data: str
    fingerprint: str


class SavedCorrection(BaseModel):
    """What the metadata of a file say.

    Attributes:
        plan: by the names that layers have in the network's root (see ``deepcorrect.models.network_print``).
        network: print of the network that it is for.
        root: name of that root in the model that the correction was trained on.
        image_shape: (C, H, W) of the images that the network takes.
        trained_on: the data, if it is known.
        fingerprint: of the whole model, in a file of the older format; ``network`` and ``image_shape`` are then None, and
            ``plan`` has the names of the whole model.
    """

    model_config = ConfigDict(frozen=True)

    plan: Plan
    network: NetworkPrint | None = None
    root: str = ""
    image_shape: tuple[int, ...] | None = None
    trained_on: TrainedOn | None = None
    fingerprint: str | None = None


def write_correction(path: Path, saved: SavedCorrection, state: Mapping[str, Tensor], *, half: bool) -> None:
    """Write the file, floating-point numbers in half precision if asked to."""
    header = encodable_json(saved.model_dump(mode="json", exclude_none=True))
    write_tensors(path, state, half=half, header=header)


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


def read_correction(path: Path | str) -> SavedCorrection:
    """What a saved correction is and what it is for, without its tensors.

    Raises:
        DeepcorrectError: not a correction.
    """
    try:
        return SavedCorrection.model_validate(_header(path))
    except ValidationError as error:
        wrong = {str(problem["loc"][0]) for problem in error.errors()}
        if wrong == {"plan"}:
            raise DeepcorrectError(f"{path}: its plan is unsound ({error.error_count()} fields are wrong)") from None
        raise _no_correction(path) from None


def read_header(path: Path | str) -> Plan:
    """The plan of a saved correction, by the names that layers have in the network itself.

    Raises:
        DeepcorrectError: not a correction.
    """
    return read_correction(path).plan


def read_trained_on(path: Path | str) -> TrainedOn | None:
    """The data that a saved correction was trained on, if its file says so.

    Raises:
        DeepcorrectError: not a correction.
    """
    return read_correction(path).trained_on


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
        header = tensors_header(Path(path))
    except (SafetensorError, OSError):
        raise _no_correction(path) from None
    if not {"network", "fingerprint"} & header.keys():
        raise _no_correction(path)
    return header


def _no_correction(path: Path | str) -> DeepcorrectError:
    return DeepcorrectError(f"{path}: not a correction saved by deepcorrect, or cut short")
