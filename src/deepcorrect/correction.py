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
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from deepcorrect.corrected import Adapter, CorrectedConv2d, FoldedNorm, Retrained, StandIn, own_modules, switched_off
from deepcorrect.errors import DeepcorrectError
from deepcorrect.files import write_tensors
from deepcorrect.grafting import Graft
from deepcorrect.inspection import answers, inspecting, random_state_kept, same, steady_answers
from deepcorrect.layers import Layer, convolutions, find_layers, named
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
        self._uses: dict[StandIn, int] = {}
        self._graft = Graft(model)  # no module: the network is no part of the correction
        try:
            positions = [layer.name for layer in convolutions(layers)] if plan.filters else []
            for name, filters in plan.filters.items():
                self._correct(named(layers, name), filters, positions.index(name) + 1, seed, identity)
            for name in plan.retrained:
                self._retrain(named(layers, name))
            self._graft.hold(apart_from=self.modules())
        except BaseException:
            self.detach()
            raise

    def _correct(self, layer: Layer, filters: Sequence[int], position: int, seed: int, identity: bool) -> None:
        assert isinstance(layer.module, nn.Conv2d)
        norm = None
        if layer.norm:
            norm = self._graft.network.get_submodule(layer.norm)
            assert isinstance(norm, nn.BatchNorm2d)
            self._put(norm, FoldedNorm(norm), layer.uses)
        shape = unit_shape(self.plan.unit, len(filters), position, batch_norm=self.plan.batch_norm)
        corrected = CorrectedConv2d(layer.module, norm, filters, shape)
        corrected.adapter.unit.initialize(generator(seed, Use.UNITS, position), identity=identity)
        corrected.adapter.unit.to(layer.module.weight.device, layer.module.weight.dtype)
        self._put(layer.module, corrected, layer.uses)
        self.adapters[_escape(layer.name)] = corrected.adapter

    def _retrain(self, layer: Layer) -> None:
        for name in (layer.name, layer.norm):
            if name is not None:
                retrained = Retrained(self._graft.network.get_submodule(name))
                retrained.own.requires_grad_(True)
                self._put(retrained.base, retrained, layer.uses)
                self.copies[_escape(name)] = retrained.own

    def _put(self, old: nn.Module, new: StandIn, uses: int) -> None:
        self._graft.put(old, new)
        self._uses[new] = uses

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
        with switched_off(self._uses):
            yield

    def detach(self) -> None:
        """Take the correction off the network, which is then as it was before, its modes and what was frozen included."""
        self._graft.undo()

    def _verify(self, example: Tensor, before: Sequence[Tensor]) -> None:
        """Refuse a network that goes past the modules put into it, or answers otherwise because of them."""
        network, calls = self._graft.network, Counter[nn.Module]()
        handles = [module.register_forward_hook(lambda module, *_: calls.update([module])) for module in self._uses]
        try:
            with self.disabled():
                after = answers(network, example)
            reached = dict(calls)
            answers(network, example)
        except DeepcorrectError as error:
            raise DeepcorrectError(f"with a correction on it, {error}") from error
        finally:
            for handle in handles:
                handle.remove()
        names = own_modules(network)
        missed = [names[module.base] for module, uses in self._uses.items() if reached.get(module, 0) != uses]
        if missed:
            raise DeepcorrectError(
                f"the network runs {', '.join(missed)} by another reference than the module of that name (a list, a closure), "
                "which a correction cannot replace; let it use its own attribute, or leave the layer out with --layers"
            )
        if not same(before, after):
            raise DeepcorrectError(
                "the network answers differently with a correction on it that is switched off; does it ask for the type of its "
                f"modules? Leave out what it asks about with --layers ({', '.join(names[module.base] for module in self._uses)})"
            )

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
    with inspecting(model):
        before = steady_answers(model, example)
    with random_state_kept(model), torch.inference_mode(False), torch.device("cpu"):
        correction = Correction(model, plan, layers, seed, identity).eval()
    try:
        with inspecting(model):
            correction._verify(example, before)
    except BaseException:
        correction.detach()
        raise
    return correction


def require_bare(model: nn.Module) -> None:
    """Refuse a network that has a correction.

    Raises:
        DeepcorrectError: it has one.
    """
    if any(isinstance(module, StandIn) for module in model.modules()):
        raise DeepcorrectError("the network already has a correction; detach it first")


def load_correction(path: Path | str, model: nn.Module, example: Tensor) -> Correction:
    """Attach a saved correction to the network that it was trained for.

    Raises:
        DeepcorrectError: the file is missing or unsound, or belongs to another network; the message says in what they differ.
            The network is left as it was.
    """
    require_bare(model)
    plan = read_header(path)
    expected = _header(path)["fingerprint"]
    found = fingerprint(model)
    try:
        correction = attach(model, plan, example)
    except DeepcorrectError as error:
        blamed = "" if found == expected else "made for another network: "
        raise DeepcorrectError(f"{path}: {blamed}{error}") from None
    try:
        if found != expected:
            raise DeepcorrectError(
                f"{path}: made for another network: the layers fit, but the weights differ "
                f"(fingerprint {found[:12]}, expected {expected[:12]}){_precision_hint(model)}"
            )
        correction.load_state_dict(_read_state(path))
    except RuntimeError as error:
        correction.detach()
        raise DeepcorrectError(f"{path}: its tensors do not fit its own plan ({' '.join(str(error).split())})") from None
    except BaseException:
        correction.detach()
        raise
    return correction


def _precision_hint(model: nn.Module) -> str:
    others = {value.dtype for value in model.parameters() if value.is_floating_point()} - {torch.float32}
    if not others:
        return ""
    return f"; the network is in {min(map(str, others))}: load a correction before you convert the network"


def _read_state(path: Path | str) -> dict[str, Tensor]:
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DeepcorrectError(f"{path}: cannot be read ({error})") from None
    for name, value in state.items():
        if not value.isfinite().all():
            raise DeepcorrectError(f"{path}: its tensor {name} is not finite, so it would answer with NaN; train it again")
    return state


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
        return {"plan": header["plan"], "fingerprint": str(header["fingerprint"])}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError):
        raise DeepcorrectError(f"{path}: not a correction saved by deepcorrect, or cut short") from None


def fingerprint(model: nn.Module) -> str:
    """SHA-256 over the names, shapes and values (as float32) of a network's parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex()):
            digest.update(f"{name}{tuple(value.shape)}".encode())
            numbers = torch.view_as_real(value.detach().resolve_conj()) if value.is_complex() else value.detach()
            digest.update(numbers.float().cpu().contiguous().numpy().tobytes())
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
        if not layer.module.weight.is_floating_point():
            raise DeepcorrectError(f"layer {name} has weights of {layer.module.weight.dtype}; correction units are real numbers")
        if layer.norm and getattr(model.get_submodule(layer.norm), "running_mean", None) is None:
            raise DeepcorrectError(
                f"batch normalisation {layer.norm} behind layer {name} keeps no running statistics, so what the network says of an "
                "image depends on the others of its batch; leave the layer out with --layers"
            )
    unit_shape(plan.unit, 1, 1)
    for name in plan.retrained:
        named(layers, name)
        if name in plan.filters:
            raise DeepcorrectError(f"layer {name} cannot be corrected and retrained at once")
        if plan.retrained.count(name) > 1:
            raise DeepcorrectError(f"layer {name} is to be retrained twice; name it once")
    if "" in (*plan.filters, *plan.retrained):
        raise DeepcorrectError("the network is a single layer, in whose place nothing can be put; wrap it in torch.nn.Sequential")


def _escape(name: str) -> str:
    key = name.replace(".", "/")
    return f"{key}/" if hasattr(nn.ModuleDict, key) else key  # a layer may be called "values"
