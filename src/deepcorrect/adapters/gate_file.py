"""A saved gate: a safetensors file whose metadata hold digests of the network and of the corrections that it is for."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError

from deepcorrect.adapters.file import TrainedOn
from deepcorrect.adapters.gate import STATISTICS, UNTOUCHED, Gate
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_tensors, tensors_header, write_tensors
from deepcorrect.base.names import encodable_json
from deepcorrect.base.words import argument
from deepcorrect.models.network_print import NetworkPrint

FILE = "gate.safetensors"
_TENSORS = ("mean", "scale", "weight", "bias", "decisions")


class SavedGate(BaseModel):
    """What the metadata of a file say.

    Attributes:
        layer: the first convolution, by its name in the network's root (see ``deepcorrect.models.network_print``).
        network: print of the network.
        corrections: digests of each correction's tensors by its name, in the order of the gate's decisions.
        passed: share of clean validation images that were left alone.
        trained_on: the data that it was fitted on.
    """

    model_config = ConfigDict(frozen=True)

    layer: str
    network: NetworkPrint
    corrections: dict[str, NetworkPrint]
    passed: float
    trained_on: TrainedOn | None = None


def write_gate(path: Path | str, gate: Gate, saved: SavedGate) -> None:
    """Write the file."""
    header = {"gate": encodable_json(saved.model_dump(mode="json", exclude_none=True))}
    write_tensors(Path(path), {name: getattr(gate, name) for name in _TENSORS}, header=header)


def find_gate(spec: Path | str) -> Path:
    """The file of a gate: itself, or that of a run folder.

    Raises:
        DeepcorrectError: there is none.
    """
    path = Path(spec)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise DeepcorrectError(f"{argument('gate', str(spec))}: no such file, or no {FILE} in that folder")
    return path


def read_gate(path: Path) -> tuple[Gate, SavedGate]:
    """A saved gate, and what it is for.

    Raises:
        DeepcorrectError: the file is cut short, no gate, or of a newer version.
    """
    no_gate = DeepcorrectError(f"{path}: not a gate saved by deepcorrect, or cut short; fit the gate again")
    try:
        saved = SavedGate.model_validate(tensors_header(path).get("gate"))
    except (SafetensorError, OSError, ValidationError):
        raise no_gate from None
    state = read_tensors(path)
    if state.keys() != set(_TENSORS):
        raise no_gate
    decisions, size = state.pop("decisions"), state["mean"].numel()
    kinds = decisions.numel()
    shapes = {"mean": (size,), "scale": (size,), "weight": (kinds, size), "bias": (kinds,)}
    if not size or size % STATISTICS or {name: tuple(value.shape) for name, value in state.items()} != shapes:
        raise no_gate
    if not saved.corrections or decisions.is_floating_point() or decisions.ndim != 1 or int(decisions[0]) != UNTOUCHED:
        raise no_gate
    if sorted(set(decisions[1:].tolist())) != list(range(1, 1 + len(saved.corrections))):
        raise no_gate
    if not all(value.is_floating_point() and value.isfinite().all() for value in state.values()) or not state["scale"].all():
        raise DeepcorrectError(f"{path}: its tensors hold NaN, infinity or a scale of 0; fit the gate again")
    return Gate(tuple(saved.corrections), **state, decisions=decisions), saved
