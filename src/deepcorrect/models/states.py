"""Weights from a file: the state dict in it that has the network's names, whatever the network was wrapped in when saved.

A checkpoint may hold the state dict under a key, beside an optimizer's or an average of the weights (EMA), and wrappers put a
prefix before every name: ``module.`` (DataParallel), ``_orig_mod.`` (torch.compile), ``model.`` (Lightning). Only a part of the
file whose names, without a common prefix, are exactly the network's is loaded; of several, one that is not an average.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument
from deepcorrect.models.preprocessing import Prepared

DEPTH = 4
"""How many keys deep a state dict may be in a checkpoint."""
_OPTIONAL = ("num_batches_tracked", "_extra_state")
"""Endings of names that older files lack."""
_AVERAGE = re.compile(r"(?i)(^|[._])(ema|averaged?)([._]|$)")


class _Part(NamedTuple):
    """Tensors of a file by name, without a prefix; ``key`` leads to them in the file."""

    key: str
    prefix: str
    state: dict[str, Tensor]


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a file's weights into a network, all of them or none.

    Raises:
        DeepcorrectError: the file is missing, cannot be read without running code, or belongs to another network.
    """
    if not path.is_file():
        raise DeepcorrectError(f"{argument('weights', path)}: no such file")
    parts = [_Part(key, "", state) for key, state in _state_dicts(_read(path))]
    if not parts:
        raise DeepcorrectError(
            f"{argument('weights', path)}: not a state dict; save the network's with torch.save(net.state_dict(), ...)"
        )
    targets = [model, model.network] if isinstance(model, Prepared) else [model]
    for target in targets:
        candidates = [each for part in parts for each in _without_prefix(part, target)]
        fitting = [part for part in candidates if not _difference(part.state, target)]
        fitting = fitting or [part for part in candidates if _converts(part.state, target)]
        plain = [part for part in fitting if not _AVERAGE.search(f"{part.key}{part.prefix}")] or fitting
        if len(plain) > 1 and not all(_equal(part.state, plain[0].state) for part in plain[1:]):
            names = ", ".join(f"{part.key}{part.prefix}" or "the one at the top" for part in plain)
            raise DeepcorrectError(
                f"{argument('weights', path)}: several state dicts fit the network ({names}); save only the one that you mean"
            )
        if plain:
            _load(target, plain[0].state, path)
            return
    closest = max(parts, key=lambda part: len(part.state))
    raise DeepcorrectError(
        f"{argument('weights', path)}: these weights belong to another network: {_explained(closest, targets)}"
    )


def _read(path: Path) -> Any:
    """What is in the file, read without running any code."""
    if path.name.endswith(".index.json"):
        raise DeepcorrectError(f"{argument('weights', path)}: an index of several files; join them in one .safetensors file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings(action="ignore"):  # of an old pickle protocol, or of what it then refuses
            return torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, KeyError, TypeError, UnpicklingError) as error:
        kind = "safetensors file" if path.suffix == ".safetensors" else "state dict of tensors alone, saved by torch.save"
        raise DeepcorrectError(f"{argument('weights', path)}: not a sound {kind} ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    """Why the file cannot be loaded, in one line."""
    said = str(error)
    needed = re.search(r"GLOBAL (\S+)|`?([\w.]+)`? was not an allowed global|class (\S+) was not", said)
    if "TorchScript" in said:
        return "a TorchScript archive; save the state_dict() of the module in it"
    if needed:
        asked = next(filter(None, needed.groups()))
        return f"it holds a {asked}, which is not loaded as that may run code; keep the tensors alone"
    if said.startswith("Weights only load failed"):  # goes on to advise to run what is in the file
        return "it holds more than tensors, which is not loaded as that may run code"
    return next((line.strip() for line in said.splitlines() if any(map(str.isalpha, line))), type(error).__name__)


def _state_dicts(content: object, key: str = "", depth: int = DEPTH) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """The mappings of names to tensors in a file, each with the keys that lead to it; whatever else they hold is left out."""
    if not isinstance(content, Mapping) or not depth:
        return
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if tensors:
        yield key, tensors
    for name, value in content.items():
        yield from _state_dicts(value, f"{key}{name}.", depth - 1)


def _without_prefix(part: _Part, network: nn.Module) -> Iterator[_Part]:
    """The part itself, and its tensors under each prefix with which it has the first of the network's names."""
    first = next((name for name in network.state_dict() if not name.endswith(_OPTIONAL)), "")
    prefixes = {name.removesuffix(first) for name in part.state if name.endswith(f".{first}")}
    for prefix in ("", *sorted(prefixes)):
        state = {name[len(prefix) :]: value for name, value in part.state.items() if name.startswith(prefix)}
        yield _Part(part.key, prefix, state)


def _difference(state: Mapping[str, Tensor], network: nn.Module) -> str:
    """How a state dict differs from a network's own, in words; empty if it does not."""
    own = network.state_dict()
    wrong = [
        f"size mismatch for {name}: {tuple(state[name].shape)} in the file, {tuple(value.shape)} in the network"
        for name, value in own.items()
        if name in state and _has_numbers(value) and state[name].shape != value.shape
    ]
    given = {value.data_ptr() for name, value in own.items() if name in state and _has_numbers(value)}
    tied = {name for name, value in own.items() if _has_numbers(value) and value.data_ptr() in given}
    missing = [name for name in own if name not in state and name not in tied and not name.endswith(_OPTIONAL)]
    unknown = [name for name in state if name not in own]
    said = [f"they lack {_some(missing)}"] if missing else []
    said += [f"they have {_some(unknown)}, which the network does not have"] if unknown else []
    return "; ".join([*said, *wrong[:1]])


def _has_numbers(value: object) -> bool:
    return isinstance(value, Tensor) and not is_lazy(value)


def _converts(state: Mapping[str, Tensor], network: nn.Module) -> bool:
    """Whether the network's own code can load a state dict with other names, such as an older version's."""
    if not state.keys() & network.state_dict().keys():
        return False
    try:
        copy.deepcopy(network).load_state_dict(state)
    except Exception:  # whatever a module finds wrong with it
        return False
    return True


def _explained(part: _Part, targets: Sequence[nn.Module]) -> str:
    """How the part differs from that one of the networks that is most like it."""
    tried = [(each, target) for target in targets for each in _without_prefix(part, target)]
    best, target = max(tried, key=lambda pair: len(pair[0].state.keys() & pair[1].state_dict().keys()))
    without = f"without the prefix {best.prefix} " if best.prefix else ""
    return f"{without}{_difference(best.state, target)}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def _load(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load a state dict; what an older file lacks stays as it is, and modules take the file for one of their own version."""
    complete: Mapping[str, Tensor] = state
    if not _difference(state, network):
        own = network.state_dict()
        complete = OrderedDict({**own, **state})
        complete._metadata = own._metadata  # type: ignore[attr-defined]
    try:
        network.load_state_dict(complete)
    except Exception as error:  # a module may load its weights by code of its own
        raise DeepcorrectError(
            f"{argument('weights', path)}: the network does not accept these weights: {_reason(error)}"
        ) from None
