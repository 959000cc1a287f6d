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

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor, nn

from deepcorrect.adapters.corrected import Adapter, CorrectedConv2d, FoldedNorm, Retrained
from deepcorrect.adapters.file import SavedCorrection, TrainedOn, write_correction
from deepcorrect.adapters.grafting import Graft
from deepcorrect.adapters.plan import Plan
from deepcorrect.adapters.renaming import module_key, rename_plan, rename_state
from deepcorrect.adapters.units import CorrectionUnit, unit_shape
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.seeding import Use, generator
from deepcorrect.base.showing import Shown, View
from deepcorrect.base.tables import Table
from deepcorrect.base.words import phrase
from deepcorrect.models.inspection import answers, same
from deepcorrect.models.layers import Layer, convolutions, named
from deepcorrect.models.network_print import NetworkPrint, print_network, print_tensors, relative, root_of
from deepcorrect.models.stand_in import StandIn, own_modules, switched_off


class Correction(Shown, nn.Module):
    """The parts that a correction owns; ``parameters()`` and ``state_dict()`` are theirs alone. See ``attach``.

    Attributes:
        plan: what it changes, by the names that the layers have in the model it is on.
        network: print of the network that it is for, without what wraps it.
        image_shape: (C, H, W) of the images that the network takes.
        trained_on: data that it was trained on, so that it is not measured on them; saved with it.
        multiply_accumulates: that its units add for one image of the size of the example that it was attached with.
    """

    def __init__(
        self, model: nn.Module, plan: Plan, layers: Sequence[Layer], image_shape: tuple[int, ...], seed: int, identity: bool
    ) -> None:
        super().__init__()
        self.plan = plan
        self.network = print_network(model)
        self.image_shape = image_shape
        self._root = root_of(model)
        self.trained_on: TrainedOn | None = None
        self.multiply_accumulates: int | None = None
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
        norm = self._graft.network.get_submodule(layer.norm) if layer.norm else None
        assert norm is None or isinstance(norm, nn.BatchNorm2d)
        if norm is not None:
            self._put(norm, FoldedNorm(norm), layer.uses)
        shape = unit_shape(self.plan.unit, len(filters), position, batch_norm=self.plan.batch_norm)
        corrected = CorrectedConv2d(layer.module, norm, filters, shape)
        corrected.adapter.unit.initialize(generator(seed, Use.UNITS, position), identity=identity)
        corrected.adapter.unit.to(layer.module.weight.device, layer.module.weight.dtype)
        self._put(layer.module, corrected, layer.uses)
        self.adapters[module_key(layer.name)] = corrected.adapter

    def _retrain(self, layer: Layer) -> None:
        for name in (layer.name, layer.norm):
            if name is not None:
                retrained = Retrained(self._graft.network.get_submodule(name))
                retrained.own.requires_grad_(True)
                self._put(retrained.base, retrained, layer.uses)
                self.copies[module_key(name)] = retrained.own

    def _put(self, old: nn.Module, new: StandIn, uses: int) -> None:
        self._graft.put(old, new)
        self._uses[new] = uses

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the network that it is for, which is the same whatever wraps the network."""
        return self.network.fingerprint

    @property
    def corrected_layers(self) -> tuple[str, ...]:
        """Names of the layers with correction units, in the plan's order."""
        return tuple(self.plan.filters)

    @property
    def penalized(self) -> list[Tensor]:
        """The weights under the regulariser of Equation 5: the units' convolutions."""
        return [weight for adapter in self.adapters.values() if isinstance(adapter, Adapter) for weight in adapter.unit.weights]

    def views(self) -> list[View]:
        """What it changes, layer by layer, what that costs, and what it is for."""
        totals = [module.base.out_channels for module in self._uses if isinstance(module, CorrectedConv2d)]
        rows = [
            (layer, f"{len(filters):,} of {total:,}", f"{self.plan.unit} unit", f"{_count(adapter):,}")
            for (layer, filters), total, adapter in zip(self.plan.filters.items(), totals, self.adapters.values(), strict=True)
        ]
        rows += [(_unescape(key), "all", "retrained copy", f"{_count(copy):,}") for key, copy in self.copies.items()]
        added = self.multiply_accumulates
        facts = [f"{_count(self):,} trained parameters"]
        facts += [] if added is None else [f"{added / 1e6:,.1f} million multiply-accumulates added for each image"]
        facts += [f"for the network with fingerprint {self.fingerprint[:12]}"]
        facts += [f"trained on {self.trained_on.data}" if self.trained_on else "no record of the data it was trained on"]
        headings = ("Layer", "Filters", "Corrected by", "Parameters")
        table = Table(f"Correction for {self.plan.distortion}", headings, rows, names=(0, 2))
        return [View(table, note="; ".join(facts))]

    def __repr__(self) -> str:
        corrected = sum(map(len, self.plan.filters.values()))
        parts = [f"{corrected:,} filters of {', '.join(self.plan.filters)}"] if corrected else []
        parts += [f"{', '.join(self.plan.retrained)} retrained"] if self.plan.retrained else []
        return f"Correction({self.plan.distortion}: {'; '.join((*parts, f'{_count(self):,} parameters'))})"

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
        added: list[int] = []

        def count(unit: CorrectionUnit, _: object, outputs: Tensor) -> None:
            added.append(unit.multiply_accumulates(*outputs.shape[-2:]))

        handles += [module.register_forward_hook(count) for module in self.modules() if isinstance(module, CorrectionUnit)]
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
        self.multiply_accumulates = sum(added)
        names = own_modules(network)
        missed = ", ".join(names[module.base] for module, uses in self._uses.items() if reached.get(module, 0) != uses)
        if missed:
            raise DeepcorrectError(
                f"the network runs {missed} by another reference than the module of that name (in a list or a closure, say), "
                "which a correction cannot replace; let it use its own attribute, or leave the layer out of "
                f"{phrase(python='the plan', command_line='--layers')}"
            )
        if not same(before, after):
            replaced = ", ".join(names[module.base] for module in self._uses)
            raise DeepcorrectError(
                f"the network answers differently once another module stands for {replaced}, though "
                "that does the same: it may ask for a module's type; leave such layers out of "
                f"{phrase(python='the plan', command_line='--layers')}"
            )

    def save(self, path: Path | str, *, half: bool = False) -> None:
        """Write just the correction: a safetensors file whose metadata holds the plan and what it was trained for and on.

        Layers have the names of the network itself, as if nothing wrapped it.

        Args:
            path: written aside and renamed, so that it is never half there.
            half: store floating-point numbers in half precision.
        """
        saved = SavedCorrection(
            plan=rename_plan(self.plan, self._own_name),
            network=self.network,
            root=self._root,
            image_shape=self.image_shape,
            trained_on=self.trained_on,
        )
        write_correction(Path(path), saved, self._own_state(), half=half)

    @property
    def digests(self) -> NetworkPrint:
        """What tells it from other corrections: digests of its tensors, under the names that they have in its file."""
        return print_tensors(self._own_state())

    def _own_state(self) -> dict[str, Tensor]:
        return rename_state(self.state_dict(), self._own_name)

    def _own_name(self, name: str) -> str:
        return relative(self._root, name)


def _unescape(key: str) -> str:
    return key.rstrip("/").replace("/", ".")


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
