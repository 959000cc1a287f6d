"""Which networks each table and figure of the paper compares, as data.

A cell is one measurement, which depends on nothing but the cells it needs; its result is one file in ``results/cifar100``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.gating import GateCell
from experiments.mixture import CorruptionsCell, MixtureCell, mixture_cells
from experiments.unlabelled import UnlabelledCell

Choice = Literal["local", "global", "least", "random", "attribution", "joint"]
ORDERS: tuple[Choice, ...] = ("attribution", "joint")
"""Choices of filters by an order of a ``ChoiceCell``, made on the images of the local ranking."""
BASELINE = "allcnn-cifar100"
DISTORTIONS = ("blur", "noise")
LAYERS = tuple(f"conv{number}" for number in range(1, 10))
RANKED_LAYERS = LAYERS[:6]
FILTERS = (96, 96, 96, 192, 192, 192)
DRAWS = 10


@dataclass(frozen=True)
class Baseline:
    """The network trained on clean images, measured under every distortion."""

    path = BASELINE
    needs = ()


@dataclass(frozen=True)
class PriorityCell:
    """Correction priorities of the first six layers, on validation images."""

    distortion: str

    @property
    def path(self) -> str:
        return f"priority-{self.distortion}"

    @property
    def needs(self) -> tuple[Cell, ...]:
        return (Baseline(),)


@dataclass(frozen=True)
class IdealCell:
    """A layer with shares of its filters ideally corrected, the most susceptible first."""

    distortion: str
    layer: str
    shares: tuple[float, ...]

    @property
    def path(self) -> str:
        return f"ideal-{self.distortion}-{self.layer}"

    @property
    def needs(self) -> tuple[Cell, ...]:
        return (PriorityCell(self.distortion),)


@dataclass(frozen=True)
class AgreementCell:
    """How far rankings of a layer agree: exact ones on different images, and estimated ones with exact ones."""

    distortion: str
    layer: str

    @property
    def path(self) -> str:
        return f"agreement-{self.distortion}-{self.layer}"

    @property
    def needs(self) -> tuple[Cell, ...]:
        return (Baseline(),)


@dataclass(frozen=True)
class ChoiceCell:
    """A layer with shares of its filters ideally corrected, chosen in several ways."""

    distortion: str
    layer: str

    @property
    def path(self) -> str:
        return f"choice-{self.distortion}-{self.layer}"

    @property
    def needs(self) -> tuple[Cell, ...]:
        return (PriorityCell(self.distortion),)


@dataclass(frozen=True)
class Network:
    """What is trained: correction units behind ``filters`` of the first layers, and copies of whole layers.

    Attributes:
        name: as in the paper, in lower case.
        filters: how many of each layer from the first on; none for Finetune-k.
        retrained: layers trained as a whole.
        choice: which filters: those of highest priority in their layer or over all layers, those of lowest priority, random
            ones, or the first in one of the ``ORDERS``.
        draw: which of several random choices.
    """

    name: str
    filters: tuple[int, ...] = ()
    retrained: tuple[str, ...] = ()
    choice: Choice = "local"
    draw: int = 0


@dataclass(frozen=True)
class NetworkCell:
    """A network trained by a recipe with a seed, measured on the test images."""

    network: Network
    distortion: str
    recipe: str
    seed: int

    @property
    def path(self) -> str:
        return f"{self.recipe}/{self.network.name}-{self.distortion}-seed{self.seed}"

    @property
    def needs(self) -> tuple[Cell, ...]:
        if self.network.choice in ORDERS:
            return tuple(ChoiceCell(self.distortion, layer) for layer in LAYERS[: len(self.network.filters)])
        return (PriorityCell(self.distortion),) if self.network.filters else (Baseline(),)


@dataclass(frozen=True)
class RestoredCell:
    """The network behind a restorer, which is told the severity, and a shipped correction, on some test images."""

    distortion: str

    @property
    def path(self) -> str:
        return f"restored-{self.distortion}"

    @property
    def needs(self) -> tuple[Cell, ...]:
        return (Baseline(),)


Cell = (
    Baseline
    | PriorityCell
    | IdealCell
    | AgreementCell
    | ChoiceCell
    | NetworkCell
    | RestoredCell
    | CorruptionsCell
    | MixtureCell
    | UnlabelledCell
    | GateCell
)


def finetune(layers: int) -> Network:
    """Finetune-k: the first k layers trained as a whole."""
    return Network(f"finetune-{layers}", retrained=LAYERS[:layers])


def deepcorr(layers: int, *, retrained: bool = False, choice: Choice = "local") -> Network:
    """Deepcorr-k or Deepcorr-kc: 50 of 96 and 100 of 192 filters, which gives the paper's parameter counts."""
    name = f"deepcorr-{layers}{'c' if retrained else ''}{'' if choice == 'local' else f'-{choice}'}"
    return Network(name, tuple(map(corrected, FILTERS[:layers])), LAYERS[-3:] if retrained else (), choice)


def corrected(filters: int) -> int:
    """How many of a layer's filters Deepcorr corrects."""
    return 50 if filters == 96 else 100


def first_layer(count: int, choice: Literal["local", "least", "random"], draw: int = 0) -> Network:
    """Deepcorr-1 with ``count`` corrected filters (section 5.1.3)."""
    name = {"local": f"ranked-{count}", "least": f"ranked-{count}-least", "random": f"random-{count}-draw{draw}"}[choice]
    return Network(name, (count,), choice=choice, draw=draw)


NETWORKS = (
    *(finetune(layers) for layers in (1, 3, 6, 9)),
    *(deepcorr(layers) for layers in (1, 3, 6)),
    *(deepcorr(layers, retrained=True) for layers in (1, 3, 6)),
)
CLAIMS = (
    *((deepcorr(layers), finetune(layers)) for layers in (1, 3, 6)),
    *((finetune(more), finetune(fewer)) for fewer, more in ((1, 3), (3, 6), (6, 9))),
    *((deepcorr(more), deepcorr(fewer)) for fewer, more in ((1, 3), (3, 6))),
    *((deepcorr(layers, retrained=True), deepcorr(layers)) for layers in (1, 3, 6)),
    *((deepcorr(6, retrained=True), other) for other in (deepcorr(3, retrained=True), finetune(9))),
)
"""The first is better than the second (section 5.1); Finetune-9 is as good as Deepcorr-6c under noise in the paper."""
SHIPPED = (deepcorr(6), deepcorr(6, retrained=True))
COUNTS = (6, 12, 24, 48)
TABLE5 = (deepcorr(6, retrained=True), deepcorr(6, retrained=True, choice="global"))
FIGURE9 = (
    *(first_layer(count, "local") for count in COUNTS),
    first_layer(48, "least"),
    *(first_layer(count, "random", draw) for draw in range(DRAWS) for count in COUNTS),
)
BY_ORDER = (deepcorr(3), *(deepcorr(3, choice=choice) for choice in ORDERS))
CHOSEN_SHARES = (0.1, 0.25, 0.5)
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
TRAINED: dict[str, tuple[tuple[str, ...], tuple[Network, ...]]] = {
    "shipped": (DISTORTIONS, SHIPPED),
    "table3": (("blur",), NETWORKS),
    "table4": (("noise",), NETWORKS),
    "table5": (DISTORTIONS, TABLE5),
    "trained-choice": (DISTORTIONS, BY_ORDER),
    "figure9": (DISTORTIONS, FIGURE9),
    "table6": (DISTORTIONS, FIGURE9),
}
IDEAL: dict[str, tuple[str, ...]] = {"figure4": LAYERS[:1], "figure5": LAYERS[:5]}
RANKINGS: dict[str, type[AgreementCell] | type[ChoiceCell]] = {"agreement": AgreementCell, "choice": ChoiceCell}
ORDER = (
    "shipped",
    "table3",
    "table4",
    "figure4",
    "figure5",
    "table5",
    "choice",
    "trained-choice",
    "mixture",
    "unlabelled",
    "gate",
    "agreement",
    "restored",
    "figure9",
    "table6",
)
"""The order in which cells are computed, the most informative first."""


def cells(wanted: Sequence[str], recipe: str, seeds: Sequence[int]) -> list[Cell]:
    """The cells of some tables and figures in the order in which they are computed, each once and after those it needs.

    Further seeds follow after all cells of the first.
    """
    ordered: dict[Cell, None] = {}
    for seed in seeds:
        for name in wanted:
            for cell in _cells_of(name, recipe, seed):
                ordered.update(dict.fromkeys((*_all_needs(cell), cell)))
    return list(ordered)


def ideal_cell(distortion: str, layer: str) -> IdealCell:
    """The first layer at every share of Figure 4, the others at one half."""
    return IdealCell(distortion, layer, SHARES if layer == LAYERS[0] else (0.5,))


def _cells_of(name: str, recipe: str, seed: int) -> Iterator[Cell]:
    if name in RANKINGS:
        yield from (RANKINGS[name](distortion, layer) for distortion in DISTORTIONS for layer in RANKED_LAYERS)
    elif name == "mixture":
        yield from mixture_cells(recipe, seed)
    elif name == "gate":
        yield GateCell()
    elif name == "unlabelled":
        yield from (UnlabelledCell(distortion, recipe, seed) for distortion in DISTORTIONS)
    elif name == "restored":
        yield from map(RestoredCell, DISTORTIONS)
    elif name in IDEAL:
        yield from (ideal_cell(distortion, layer) for distortion in DISTORTIONS for layer in IDEAL[name])
    else:
        distortions, networks = TRAINED[name]
        yield from (NetworkCell(network, distortion, recipe, seed) for network in networks for distortion in distortions)


def _all_needs(cell: Cell) -> Iterator[Cell]:
    for needed in cell.needs:
        yield from _all_needs(needed)
        yield needed
