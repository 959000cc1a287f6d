"""A network whose gate decides, image by image, whether to correct and with which of several corrections. ::

gated = load_gate("gate.safetensors", model, ["blur.safetensors", "noise.safetensors"])
gated(images)                 # clean images get the answers of the network as it is
gated.decide(images)          # 0 for those, 1 for the first correction, 2 for the second
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from deepcorrect.adapters.copies import CorrectionLike, bare_copy, with_corrections
from deepcorrect.adapters.correction import Correction
from deepcorrect.adapters.file import find_correction, read_correction, read_state
from deepcorrect.adapters.gate import UNTOUCHED, FirstLayer, Gate
from deepcorrect.adapters.gate_file import SavedGate, find_gate, read_gate, write_gate
from deepcorrect.adapters.renaming import module_key
from deepcorrect.adapters.rows import together
from deepcorrect.base.device import device_of
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument
from deepcorrect.models.admission import plain
from deepcorrect.models.network_print import NetworkPrint, absolute, difference, print_network, print_tensors, root_of
from deepcorrect.models.shipped import shipped_correction, shipped_names


class Gated(nn.Module):
    """A network, the same with each of several corrections, and the gate that sends every image to one of them.

    A batch in which an image is left alone passes through the whole network as it is, so that such images get its answers for
    this batch bit for bit; the others pass through their correction's network besides. A batch without such an image ends its
    first pass at the first convolution.

    Attributes:
        base: the network; a correction that is on it is switched off here.
        corrected: copies of it with a correction on each, which share its tensors.
        gate: the classifier.
        layer: name of the first convolution, which the gate looks at.
        saved: what the gate is for.
    """

    def __init__(self, base: nn.Module, corrected: Mapping[str, nn.Module], gate: Gate, layer: str, saved: SavedGate) -> None:
        super().__init__()
        self.base = base
        self.corrected = nn.ModuleDict({module_key(name): network for name, network in corrected.items()})
        self.gate = gate.to(device_of(base))
        self.layer = layer
        self.saved = saved
        self._first = FirstLayer(base, layer)
        if gate.channels != self._first.convolution.out_channels:
            raise DeepcorrectError(
                f"the gate is for a first convolution of {gate.channels} filters; {layer} has "
                f"{self._first.convolution.out_channels}"
            )
        self.eval()

    def train(self, mode: bool = True) -> Gated:
        """Stay in eval mode: it is put together from what was trained before."""
        return super().train(False)

    def decide(self, images: Tensor) -> Tensor:
        """Where each image is sent, (B,) int64: 0 if it is left alone, else the correction's number, counted from 1.

        Args:
            images: (B, C, H, W) in [0, 1].
        """
        return self._decided(images, goes_on=False)[0]

    def forward(self, images: Tensor) -> Any:
        """What the network returns for images (B, C, H, W) in [0, 1], each with its correction or none.

        Raises:
            DeepcorrectError: it returns something else than tensors with a row an image, in tuples, lists or mappings.
        """
        decisions, answer = self._decided(images, goes_on=True)
        parts = [] if answer is None else [((decisions == UNTOUCHED).nonzero()[:, 0], answer)]
        for decision, network in enumerate(self.corrected.values(), start=1):
            rows = (decisions == decision).nonzero()[:, 0]
            if len(rows):
                parts.append((rows, network(images[rows])))
        if answer is not None and len(parts) == 1:
            return answer
        return together(parts, len(images), whole=answer is not None)

    def _decided(self, images: Tensor, *, goes_on: bool) -> tuple[Tensor, Any]:
        """The decisions, and the base network's answer for the batch if it ``goes_on`` and one of its images is left alone."""
        decisions: list[Tensor] = []

        def see(outputs: Tensor) -> bool:
            decisions.append(self.gate(outputs))
            return goes_on and (not len(images) or bool((decisions[0] == UNTOUCHED).any()))

        answer = self._first.run(images, see)
        return decisions[0], answer

    def save(self, path: Path | str) -> None:
        """Write the gate alone: a safetensors file whose metadata tell which network and corrections it is for."""
        write_gate(path, self.gate, self.saved)

    def extra_repr(self) -> str:
        """The corrections, and the share of clean images that the gate leaves alone."""
        return f"corrections={list(self.gate.names)}, leaves {self.saved.passed:.1%} of clean validation images alone"


def load_gate(path: Path | str, model: nn.Module, corrections: Sequence[CorrectionLike] | None = None) -> Gated:
    """Put a saved gate and its corrections on a network.

    Args:
        path: a file of ``Gated.save``, or a run folder that holds one.
        model: the network, with or without a correction on it. It is in eval mode afterwards.
        corrections: those that the gate was fitted for, in any order: shipped names, files, run folders, or such as are on
            the network. Without them, they are looked for beside the gate and among the shipped ones.

    Raises:
        DeepcorrectError: the gate is unsound, or is for another network or for other corrections.
    """
    model, path = plain(model), find_gate(path)
    gate, saved = read_gate(path)
    bare = bare_copy(model)
    differing = difference(saved.network, print_network(bare))
    if differing is not None:
        raise DeepcorrectError(f"{path}: made for another network: {differing}")
    chosen = _matched(path, saved, corrections)
    return Gated(model, with_corrections(model, chosen), gate, absolute(root_of(bare), saved.layer), saved)


def corrections_of(path: Path | str, given: Sequence[str] | None = None) -> dict[str, Path]:
    """The files of the corrections that a saved gate is for, by its own names, in the order of its decisions.

    Args:
        path: the gate's file, or a run folder that holds one.
        given: as of ``load_gate``.

    Raises:
        DeepcorrectError: the gate is unsound, or other corrections are given.
    """
    path = find_gate(path)
    return {name: find_correction(str(found)) for name, found in _matched(path, read_gate(path)[1], given).items()}


def digests_of(correction: CorrectionLike) -> NetworkPrint:
    """What tells a correction from others.

    Raises:
        DeepcorrectError: a saved one is missing or unsound.
    """
    if isinstance(correction, Correction):
        return correction.digests
    path = find_correction(str(correction))
    read_correction(path)
    return print_tensors(read_state(path))


def _matched(path: Path, saved: SavedGate, given: Sequence[CorrectionLike] | None) -> dict[str, CorrectionLike]:
    """The corrections that a gate is for, by its own names, in its order."""
    offered = [(each, digests_of(each)) for each in (_nearby(path) if given is None else given)]
    chosen: dict[str, CorrectionLike] = {}
    for name, digests in saved.corrections.items():
        same = next((each for each, found in offered if difference(digests, found) is None), None)
        if same is None:
            names = ", ".join(saved.corrections)
            where = "lies beside it or is shipped" if given is None else "was given"
            raise DeepcorrectError(
                f"{path}: fitted for the corrections {names}, and none that {where} is {name}; give the same files in "
                f"{argument('corrections', option='correction')}, or fit the gate again"
            )
        chosen[name] = same
    for each in given or ():
        if all(each is not other for other in chosen.values()):
            shown = "one of the corrections" if isinstance(each, Correction) else str(each)
            raise DeepcorrectError(f"{path}: not fitted for {shown}; leave it out, or fit the gate again")
    return chosen


def _nearby(path: Path) -> Iterator[Path]:
    """Files of corrections in the gate's folder, and the shipped ones."""
    for file in sorted(path.parent.glob("*.safetensors")):
        try:
            read_correction(file)
        except DeepcorrectError:
            continue  # other tensors than those of a correction, the gate's own among them
        yield file
    for name in shipped_names("corrections"):
        shipped = shipped_correction(name)
        if shipped is not None:
            yield shipped
