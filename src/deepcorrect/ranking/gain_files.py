"""Gains that are measured once: every finished layer and level is a file that an interrupted ranking continues from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_tensors, read_tensors_header, write_tensors
from deepcorrect.models.layers import Layer
from deepcorrect.ranking.gains import GainMeter, Gains
from deepcorrect.ranking.provenance import require_same


class GainFiles:
    """The gains that a meter measures, kept in a folder if there is one.

    Every file says which network, images and distortion it is of; of several processes, the first has the folder.

    Raises:
        DeepcorrectError: the folder holds gains of something else, or of what cannot be told.
    """

    def __init__(self, meter: GainMeter, folder: Path | None = None) -> None:
        self.meter = meter
        self._folder = folder
        self._provenance: dict[str, Any] = {}
        self._finished: set[str] = set()
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DeepcorrectError(f"{folder}: gains cannot be kept there ({error}); choose another folder") from None
            self._provenance = meter.provenance()
            for file in sorted(folder.glob("*.safetensors")):
                require_same(file, read_tensors_header(file), self._provenance)
                self._finished.add(file.name)
        self._finished = meter.processes.agreed(self._finished)

    def of(self, part: GainMeter) -> GainFiles:
        """Those of a member of a mixture, in a folder of their own."""
        if part is self.meter:
            return self
        return GainFiles(part, self._folder / _folder_name(part.distortion.name) if self._folder else None)

    def measure(self, layer: Layer, level: float, *, filters: Collection[int] | None = None) -> Gains:
        """As ``GainMeter.measure``, from its file if it is there, and into it.

        Raises:
            DeepcorrectError: the file is unsound or of other filters.
        """
        some = None if filters is None else sorted(set(filters))
        name = _file_name(layer.name, float(level), some)
        if name in self._finished:
            self.meter.progress(layer.filters * len(self.meter.images))
            saved = self._read(self._folder / name, layer, level, some) if self._folder else None
            return self.meter.processes.agreed(saved)  # type: ignore[return-value]
        gains = self.meter.measure(layer, level, filters=filters)
        if self._folder:
            of = self._provenance | _part(layer, level, some)
            write_tensors(self._folder / name, vars(gains), header=of)
            self._finished.add(name)
        return gains

    def _read(self, file: Path, layer: Layer, level: float, some: Sequence[int] | None) -> Gains:
        require_same(file, read_tensors_header(file), self._provenance | _part(layer, level, some))
        tensors = read_tensors(file)
        scores, images = len(self.meter.task.scores), len(self.meter.images)
        wanted = {"before": (scores, images), "each": (scores, layer.filters, images)}
        if {name: tuple(value.shape) for name, value in tensors.items()} != wanted:
            raise DeepcorrectError(f"{file}: does not hold the gains of {layer.name}; delete it to have it made again")
        return Gains(**tensors)


def _part(layer: Layer, level: float, some: Sequence[int] | None) -> dict[str, Any]:
    return {"layer": layer.name, "level": float(level), "filters": "all" if some is None else list(some)}


def _file_name(layer: str, level: float, some: Sequence[int] | None) -> str:
    digest = _digest(f"{layer} {some}")
    safe = _safe(layer)
    told = some is None and safe == layer == layer.lower()
    return f"{safe}-{level!r}.safetensors" if told else f"{safe}-{level!r}-{digest}.safetensors"


def _folder_name(distortion: str) -> str:
    return f"{_safe(distortion)}-{_digest(distortion)}"


def _safe(name: str) -> str:
    """Of characters that every file system takes; where that does not tell it all, a digest does."""
    return re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)[:100]


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:12]
