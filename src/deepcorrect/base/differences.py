"""What stored work is of, compared with what is wanted: the first difference, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_SAID = {
    "network": "of another network",
    "architecture": "of a network of another architecture",
    "data": "on other data",
    "function": "under another distortion of the same name",
    "given ranking": "by another ranking",
    "network task": "of a network for another task",
}


def as_stored(content: Mapping[str, Any]) -> dict[str, Any]:
    """Content as it comes back from a JSON file: tuples are lists, keys are text."""
    stored: dict[str, Any] = json.loads(json.dumps(content))
    return stored


def first_difference(stored: object, wanted: Mapping[str, Any]) -> str | None:
    """In what stored work is other than what is wanted, for instance ``with seed = 0, not 1``; None if it is the same.

    Args:
        stored, wanted: all that decides the work, by name, as JSON holds it; there may be mappings inside.
    """
    old, new = _flat(stored) if isinstance(stored, Mapping) else {}, _flat(wanted)
    for name in [*new, *old]:
        if old.get(name) != new.get(name):
            return _SAID.get(name.rpartition(".")[2], f"with {name} = {short(old.get(name))}, not {short(new.get(name))}")
    return None


def short(value: object) -> str:
    """A value as JSON, cut off if it is long."""
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _flat(content: Mapping[str, Any], before: str = "") -> dict[str, object]:
    """Mappings within mappings under names with a dot."""
    flat: dict[str, object] = {}
    for name, value in content.items():
        flat |= _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return flat
