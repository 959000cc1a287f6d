"""A correction: everything that DeepCorrect adds to a network, attached to it, taken off it, saved and loaded apart from it.

It owns correction units behind chosen filters (section 4.2) and, for the ``c`` variants and for Finetune-k, trained copies
of whole layers. The network's own parameters and buffers are never written. ::

    correction = attach(model, plan, example)
    with correction.disabled():
        ...                       # the network as it was, bit for bit
    correction.save("fog.safetensors")
    correction.detach()
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from deepcorrect.corrected import Adapter, CorrectedConv2d, Retrained
from deepcorrect.errors import DeepcorrectError
from deepcorrect.files import write_tensors
from deepcorrect.layers import Layer, convolutions, find_layers, named
from deepcorrect.normalization import parted
from deepcorrect.seeding import Use, generator
from deepcorrect.shipped import shipped_correction, shipped_names
from deepcorrect.units import unit_shape

_KEY = "deepcorrect"


class Plan(BaseModel):
    """What a correction changes.

    Attributes:
        distortion: name of the distortion that it is trained against.
        filters: corrected filters of each layer, ``{layer: (filter, ...)}``.
        unit: named shape of the correction units (see ``deepcorrect.units``).
        batch_norm: whether units have batch normalisation.
        retrained: layers of which the correction owns a trained copy, their batch normalisation included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    distortion: str
    filters: dict[str, tuple[int, ...]] = {}
    unit: str = "cifar"
    batch_norm: bool = True
    retrained: tuple[str, ...] = ()


class Correction(nn.Module):
    """The parts that a correction owns; ``parameters()`` and ``state_dict()`` are theirs alone. See ``attach``."""

    def __init__(self, model: nn.Module, plan: Plan, layers: Sequence[Layer], seed: int, identity: bool) -> None:
        super().__init__()
        self.plan = plan
        self.fingerprint = fingerprint(model)
        self.adapters = nn.ModuleDict()
        self.copies = nn.ModuleDict()
        self._switches: list[CorrectedConv2d | Retrained] = []
        self._replaced: list[tuple[nn.Module, str, nn.Module]] = []
        self._model = (model,)  # in a tuple: the network is no part of the correction
        frozen = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._frozen = tuple(parameter.requires_grad_(False) for parameter in frozen)
        try:
            positions = [layer.name for layer in convolutions(layers)] if plan.filters else []
            for name, filters in plan.filters.items():
                self._correct(named(layers, name), filters, positions.index(name) + 1, seed, identity)
            for name in plan.retrained:
                self._retrain(named(layers, name))
        except BaseException:
            self.detach()
            raise

    def _correct(self, layer: Layer, filters: Sequence[int], position: int, seed: int, identity: bool) -> None:
        assert isinstance(layer.module, nn.Conv2d)
        norm = None
        if layer.norm:
            whole = self._host.get_submodule(layer.norm)
            assert isinstance(whole, nn.BatchNorm2d)
            norm, rest = parted(whole)
            self._put(whole, rest)
        shape = unit_shape(self.plan.unit, len(filters), position, batch_norm=self.plan.batch_norm)
        corrected = CorrectedConv2d(layer.module, norm, filters, shape)
        corrected.adapter.unit.initialize(generator(seed, Use.UNITS, position), identity=identity)
        corrected.to(layer.module.weight.device)
        self._put(layer.module, corrected)
        self.adapters[_escape(layer.name)] = corrected.adapter
        self._switches.append(corrected)

    def _retrain(self, layer: Layer) -> None:
        for name in (layer.name, layer.norm):
            if name is not None:
                retrained = Retrained(self._host.get_submodule(name))
                retrained.own.requires_grad_(True)
                self._put(retrained.base, retrained)
                self.copies[_escape(name)] = retrained.own
                self._switches.append(retrained)

    def _put(self, old: nn.Module, new: nn.Module) -> None:
        """Replace a module wherever the network refers to it."""
        for parent in list(self._host.modules()):
            if isinstance(parent, CorrectedConv2d | Retrained):
                continue
            for name, child in list(parent._modules.items()):
                if child is old:
                    setattr(parent, name, new)
                    self._replaced.append((parent, name, old))

    @property
    def _host(self) -> nn.Module:
        return self._model[0]

    @property
    def corrected_layers(self) -> tuple[str, ...]:
        """Names of the layers with correction units, in the plan's order."""
        return tuple(self.plan.filters)

    @property
    def penalized(self) -> list[Tensor]:
        """The weights under the regulariser of Equation 5: the units' convolutions."""
        return [weight for adapter in self.adapters.values() if isinstance(adapter, Adapter) for weight in adapter.unit.weights]

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """The network answers as it did before, bit for bit, inside the context."""
        before = [switch.enabled for switch in self._switches]
        try:
            for switch in self._switches:
                switch.enabled = False
            yield
        finally:
            for switch, enabled in zip(self._switches, before, strict=True):
                switch.enabled = enabled

    def detach(self) -> None:
        """Take the correction off the network, which is then as it was."""
        for parent, name, old in reversed(self._replaced):
            setattr(parent, name, old)
        for parameter in self._frozen:
            parameter.requires_grad_(True)
        self._replaced, self._frozen = [], ()

    def save(self, path: Path | str, *, half: bool = False) -> None:
        """Write just the correction: a safetensors file whose metadata holds the plan and the network's fingerprint.

        Args:
            path: written aside and renamed, so that it is never half there.
            half: store floating-point numbers in half precision.
        """
        header = {"plan": self.plan.model_dump(mode="json"), "fingerprint": self.fingerprint}
        write_tensors(Path(path), self.state_dict(), half=half, metadata={_KEY: json.dumps(header, sort_keys=True)})


def attach(model: nn.Module, plan: Plan, example: Tensor, *, seed: int = 0, identity: bool = False) -> Correction:
    """Put a new correction on a network; its units start from He initialisation, its copies from the network's weights.

    Args:
        model: takes images (B, C, H, W) in [0, 1]. Its parameters are frozen until the correction is detached.
        plan: what to correct.
        example: one batch of such images, on the model's device.
        seed: of the units' initial weights.
        identity: units change nothing before they are trained (the paper's do).

    Raises:
        DeepcorrectError: the plan does not fit the network, or the network already has a correction.
    """
    require_bare(model)
    layers = find_layers(model, example)
    _check(plan, model, layers)
    model.eval()
    with torch.no_grad():
        before = model(example)
        correction = Correction(model, plan, layers, seed, identity).eval()
        with correction.disabled():
            unchanged = torch.equal(before, model(example))
    if not unchanged:
        correction.detach()
        raise DeepcorrectError(
            "the network uses the output of a convolution in more places than the batch normalisation behind it, "
            f"which a correction of {', '.join(plan.filters)} cannot keep; leave such layers out with --layers"
        )
    return correction


def require_bare(model: nn.Module) -> None:
    """Refuse a network that has a correction.

    Raises:
        DeepcorrectError: it has one.
    """
    if any(isinstance(module, CorrectedConv2d | Retrained) for module in model.modules()):
        raise DeepcorrectError("the network already has a correction; detach it first")


def load_correction(path: Path | str, model: nn.Module, example: Tensor) -> Correction:
    """Attach a saved correction to the network that it was trained for.

    Raises:
        DeepcorrectError: the file is missing or unsound, or belongs to another network; the message says in what they differ.
    """
    plan = read_header(path)
    expected = _header(path)["fingerprint"]
    found = fingerprint(model)
    try:
        correction = attach(model, plan, example)
    except DeepcorrectError as error:
        raise DeepcorrectError(f"{path}: made for another network: {error}") from None
    if found != expected:
        correction.detach()
        raise DeepcorrectError(
            f"{path}: made for another network: the layers fit, but the weights differ "
            f"(fingerprint {found[:12]}, expected {expected[:12]})"
        )
    with safe_open(path, "pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    try:
        correction.load_state_dict(state)
    except RuntimeError as error:
        correction.detach()
        raise DeepcorrectError(f"{path}: its tensors do not fit its own plan ({error})") from None
    return correction


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
        raise DeepcorrectError(f"--correction {spec}: no such file or run folder, and not shipped (shipped: {known})")
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


def _header(path: Path | str) -> dict[str, Any]:
    if not Path(path).is_file():
        raise DeepcorrectError(f"{path}: no such correction file")
    try:
        with safe_open(path, "pt") as file:
            header: dict[str, Any] = json.loads((file.metadata() or {})[_KEY])
        return {"plan": header["plan"], "fingerprint": header["fingerprint"]}
    except (SafetensorError, KeyError, TypeError, ValueError):
        raise DeepcorrectError(f"{path}: not a correction saved by deepcorrect, or cut short") from None


def fingerprint(model: nn.Module) -> str:
    """SHA-256 over the names, shapes and values (as float32) of a network's parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if value.is_floating_point():
            digest.update(f"{name}{tuple(value.shape)}".encode())
            digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _check(plan: Plan, model: nn.Module, layers: Sequence[Layer]) -> None:
    for name, filters in plan.filters.items():
        layer = named(layers, name)
        if not isinstance(layer.module, nn.Conv2d):
            raise DeepcorrectError(f"layer {name} is no convolution; only convolutions take correction units")
        if not filters or len(set(filters)) != len(filters) or min(filters) < 0 or max(filters) >= layer.filters:
            raise DeepcorrectError(
                f"layer {name} has {layer.filters} filters, numbered from 0; the plan asks for "
                f"{len(filters)} of them up to {max(filters, default='none')}"
            )
    norms = [layer.norm for layer in layers if layer.name in plan.filters and layer.norm]
    for name in norms:
        norm = model.get_submodule(name)
        if norms.count(name) > 1 or not getattr(norm, "track_running_stats", False):
            raise DeepcorrectError(
                f"batch normalisation {name} is shared by corrected layers or keeps no running statistics; leave its layers out"
            )
    unit_shape(plan.unit, 1, 1)
    for name in plan.retrained:
        named(layers, name)
        if name in plan.filters:
            raise DeepcorrectError(f"layer {name} cannot be corrected and retrained at once")


def _escape(name: str) -> str:
    key = name.replace(".", "/")
    return f"{key}/" if hasattr(nn.ModuleDict, key) else key  # a layer may be called "values"
