"""Put the weights of a finished cell into the package: ``python -m experiments.ship CELL NAME``.

For instance ``python -m experiments.ship fast/deepcorr-6-blur-seed0 deepcorr-6-blur``. The file is copied from the cell's run
folder, and its SHA-256 and the cell go into the package's index.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from pathlib import Path

from deepcorrect.base.files import read_json, write_json
from deepcorrect.models.shipped import FOLDER
from experiments.cells import HERE


def ship(cell: str, name: str, runs: Path) -> None:
    """Copy a cell's weights under a name."""
    config = read_json(runs / cell / "config.json")["settings"]
    is_model = (runs / cell / "model.safetensors").exists()
    target = FOLDER / f"{name}.safetensors"
    shutil.copyfile(runs / cell / ("model.safetensors" if is_model else "correction.safetensors"), target)
    entry = {"sha256": hashlib.sha256(target.read_bytes()).hexdigest(), "cell": cell}
    if is_model:
        entry |= {"architecture": config["model"], "classes": config["classes"]}
        entry["labels"] = read_json(runs / cell / "classes.json")["classes"]
    index = read_json(FOLDER / "index.json")
    index["models" if is_model else "corrections"][name] = entry
    write_json(FOLDER / "index.json", index)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cell")
    parser.add_argument("name")
    parser.add_argument("--runs", type=Path, default=HERE.parent / "runs" / "cifar100", help="folder of the cells' runs")
    options = parser.parse_args()
    ship(options.cell, options.name, options.runs)
