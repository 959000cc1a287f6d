"""Gains that are measured once: every finished layer and level is a file that an interrupted ranking continues from."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from deepcorrect.files import read_tensors, write_tensors
from deepcorrect.gains import GainMeter, Gains
from deepcorrect.layers import Layer


class Parts:
    """The gains that a meter measures, kept in a folder if there is one.

    The folder belongs to one ranking: nothing in it says of which network or images it is. Of several processes, the first
    has it.
    """

    def __init__(self, meter: GainMeter, folder: Path | None = None) -> None:
        self.meter = meter
        self._folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._finished = set(meter.processes.agreed([file.name for file in folder.glob("*.safetensors")] if folder else []))

    def measure(self, layer: Layer, level: float, *, filters: Collection[int] | None = None) -> Gains:
        """As ``GainMeter.measure``, from its file if it is there, and into it."""
        some = "" if filters is None else f"-of-{len(filters)}"
        name = f"{layer.name}-{level!r}{some}.safetensors"
        if name in self._finished:
            self.meter.progress(layer.filters * len(self.meter.images))
            saved = read_tensors(self._folder / name) if self._folder else {}
            return Gains(**self.meter.processes.agreed(saved))
        gains = self.meter.measure(layer, level, filters=filters)
        if self._folder:
            write_tensors(self._folder / name, vars(gains))
        return gains
