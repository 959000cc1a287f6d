"""What a run leaves behind: a folder with its configuration, its measurements and where they come from.

====================================  ============================================================================
``config.json``                       command and settings; a folder is continued only with the same ones
``stages.json``                       what each stage below is of (see ``deepcorrect.runs.stages``)
``baseline.json``                     the network as it was, measured
``records.json``                      records so far, of a run that is not finished
``parts/``                            layers and levels of an unfinished ranking
``ranking.json``                      correction priorities
``checkpoint.pt``                     training state after the last finished epoch
``metrics.json``                      training loss and validation accuracy of every epoch
``model.safetensors``                 weights of a trained baseline
``correction.safetensors``            a trained correction
``gate.safetensors``                  a gate of corrections
``results.json``                      one record a network and distortion, with provenance
``robustness.json``                   accuracies by corruption and severity, in the fields of RobustBench
``classes.json``                      names of the classes
``answers.safetensors``               the class that each network predicts for every test image
``features.safetensors``              penultimate features of some test images
``architecture.json``                 layers and correction units
``ideal.json``                        what perfect corrections of some shares of each layer would give
``kernels.safetensors``               weights of the first convolution
``features/``                         of every image: a file for each network and level
``transfer.json``                     accuracies of SVMs on each network's features, with provenance
``samples.json``                      some test images at every level, with what each network says
``figures/``, ``report.html``         drawn from the files above
====================================  ============================================================================

Every file tells the version of its format (see ``deepcorrect.base.formats``). A stage that is stored is used again only by work
that would come to the same, and is never replaced by another. An interrupted run without ``stages.json`` was begun by a version
that did not note what its stages are of: it is not continued. If it is finished, ``report``, ``compare`` and every other reader
take it as ever.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError

from deepcorrect.base.device import describe_machine
from deepcorrect.base.differences import as_stored, short
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json, write_json
from deepcorrect.base.names import encodable, encodable_json, readable
from deepcorrect.runs.records import Record as Record
from deepcorrect.runs.records import Records as Records
from deepcorrect.runs.records import by_ladder as by_ladder
from deepcorrect.runs.stages import Traits, claim, noted

RECORDS = "records.json"
"""Holds the records of a run that is not finished."""
_PACKAGES = ("deepcorrect", "torch", "numpy", "scikit-learn")


class Results(BaseModel):
    """The records of a run and how they came about."""

    command: str
    settings: dict[str, Any]
    records: list[Record]
    provenance: dict[str, Any]


class Run:
    """A run folder. Opening one that exists checks that it is a run of the same configuration.

    Args:
        command, settings: the configuration.
        command_line: what a person types for it, kept with the results.

    Raises:
        DeepcorrectError: the folder holds something else, or cannot be written.
    """

    def __init__(self, path: Path, command: str, settings: dict[str, Any], *, command_line: str | None = None) -> None:
        self.path = path
        self.command_line = encodable(command_line) if command_line else None
        self.command = command
        self.settings: dict[str, Any] = encodable_json(as_stored(settings))
        if "\ufffd" in str(path).encode(errors="surrogateescape").decode(errors="replace"):
            raise DeepcorrectError(f"{encodable(str(path))}: its name is not UTF-8, as weights need it; choose another folder")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DeepcorrectError(f"{path}: cannot be made ({error.strerror}); choose another folder") from None
        config = {"command": command, "settings": self.settings}
        if (path / "config.json").exists():
            self._require_same(config)
        elif any(path.iterdir()):
            raise DeepcorrectError(f"{path}: not empty, and no run of deepcorrect; choose another folder")
        else:
            self.write_json("config.json", config)

    def _require_same(self, config: dict[str, Any]) -> None:
        found = read_json(self.path / "config.json")
        if found.get("command") != self.command:
            raise DeepcorrectError(f"{self.path}: holds a run of '{found.get('command')}'; choose another folder")
        old = found.get("settings")
        if not isinstance(old, dict):
            raise DeepcorrectError(f"{self.path}: its config.json has no settings of a run; choose another folder")
        for name in sorted(old.keys() | self.settings.keys()):
            if old.get(name) != self.settings.get(name):
                raise DeepcorrectError(
                    f"{self.path}: holds a run with {name} = {short(old.get(name))}, not "
                    f"{short(self.settings.get(name))}; choose another folder, or the same settings to continue it"
                )

    def file(self, name: str) -> Path:
        """The path of a file of this run."""
        return self.path / name

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write aside, then rename."""
        write_json(self.path / name, content)

    def claim(self, stages: Mapping[str, Traits]) -> None:
        """Note what some stages are of, before anything is done for them.

        Args:
            stages: by name, all that decides a stage's content, as JSON holds it.

        Raises:
            DeepcorrectError: the folder holds one of them of something else, or made by an older version. None is noted then.
        """
        claim(self.path, stages)

    def claimed(self, stage: str) -> dict[str, Any]:
        """What a stage was claimed as, or nothing."""
        found = noted(self.path).get(stage, {})
        return found if isinstance(found, dict) else {}

    def finish(self, records: Sequence[Record], device: torch.device) -> Results:
        """Save the records with their provenance; that makes the run finished.

        Raises:
            DeepcorrectError: it was finished before, with a record that is not among these.
        """
        before = self.finished()
        kept = {_key(record) for record in records}
        for record in before.records if before else ():
            if _key(record) not in kept:
                raise DeepcorrectError(
                    f"{self.path}: results.json holds the accuracies of {record.name} under {record.distortion}, which would "
                    "be lost; choose another folder"
                )
        results = Results(
            command=self.command,
            settings=self.settings,
            records=list(records),
            provenance={"command_line": self.command_line, **provenance(device)},
        )
        robustness = [network.as_json(self.settings.get("data", "")) for network in Records(records).robustness()]
        if robustness:
            self.write_json("robustness.json", {"robustness": robustness})
        self.write_json("results.json", results.model_dump(mode="json"))
        self.file(RECORDS).unlink(missing_ok=True)
        return results

    def finished(self) -> Results | None:
        """The results, if the run is finished."""
        return read_results(self.path) if self.file("results.json").exists() else None


def _key(record: Record) -> tuple[object, ...]:
    return record.name, record.distortion, record.levels


def read_results(folder: Path) -> Results:
    """The results of a finished run.

    Raises:
        DeepcorrectError: there are none, or they are unsound.
    """
    path = folder / "results.json"
    if not path.is_file():
        raise DeepcorrectError(f"{folder}: no results.json there; give the folder of a finished run")
    try:
        return Results.model_validate(read_json(path))
    except ValidationError as error:
        raise DeepcorrectError(f"{path}: not the results of a run ({error.error_count()} fields are wrong)") from None


def read_together(folders: Sequence[Path]) -> list[Results]:
    """The results of some finished runs, of which those that call different networks the same also get their folder's name.

    Of folders that are called the same it is the whole path.
    """
    names = [folder.resolve().name for folder in folders]
    labels = [readable(label) for label in (names if len(set(names)) == len(names) else map(str, folders))]
    runs = [read_results(folder) for folder in folders]
    met: dict[tuple[object, ...], list[Record]] = {}
    for run in runs:
        for record in run.records:
            same = met.setdefault(_key(record), [])
            if record not in same:
                same.append(record)
    clashing = {key[0] for key, records in met.items() if len(records) > 1}
    return [
        run.model_copy(
            update={
                "records": [
                    record.model_copy(update={"name": f"{record.name} ({label})"}) if record.name in clashing else record
                    for record in run.records
                ]
            }
        )
        for label, run in zip(labels, runs, strict=True)
    ]


def provenance(device: torch.device) -> dict[str, Any]:
    """Versions, machine and time."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "versions": versions,
        "machine": describe_machine(device),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
