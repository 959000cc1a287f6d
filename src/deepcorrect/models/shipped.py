"""The weights that are shipped in the package, by name, each checked by its SHA-256."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepcorrect.base.errors import DeepcorrectError

FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class ShippedModel:
    """A trained baseline in the package: its architecture, outputs and file."""

    architecture: str
    classes: int
    path: Path


def shipped_model(name: str) -> ShippedModel | None:
    """The shipped baseline of that name, if there is one.

    Raises:
        DeepcorrectError: its file is missing, or its checksum is wrong.
    """
    entry = _index()["models"].get(name)
    if entry is None:
        return None
    return ShippedModel(entry["architecture"], entry["classes"], _verified(name, entry["sha256"]))


def shipped_correction(name: str) -> Path | None:
    """The file of the shipped correction of that name, if there is one.

    Raises:
        DeepcorrectError: it is missing, or its checksum is wrong.
    """
    entry = _index()["corrections"].get(name)
    return None if entry is None else _verified(name, entry["sha256"])


def shipped_labels(name: str) -> tuple[str, ...] | None:
    """The names of the outputs of the shipped baseline of that name, if there is one."""
    entry = _index()["models"].get(name)
    return None if entry is None else tuple(entry["labels"])


def shipped_names(kind: str) -> list[str]:
    """Names of the shipped ``models`` or ``corrections``."""
    return sorted(_index()[kind])


def _index() -> dict[str, dict[str, dict[str, Any]]]:
    index: dict[str, dict[str, dict[str, Any]]] = json.loads((FOLDER / "index.json").read_text())
    return index


def _verified(name: str, sha256: object) -> Path:
    path = FOLDER / f"{name}.safetensors"
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise DeepcorrectError(f"{path}: missing, or its SHA-256 is not the published one; install deepcorrect again")
    return path
