"""Put the weights of a finished run into the package: ``python -m experiments.ship RUN NAME``.

The file is copied, its SHA-256 goes into the package's index, and the run's results go to ``results/cifar100/NAME.json``.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from deepcorrect.files import read_json, write_json
from deepcorrect.results import read_results
from deepcorrect.shipped import FOLDER

RESULTS = Path(__file__).parent.parent / "results" / "cifar100"


def ship(run: Path, name: str) -> None:
    """Copy a run's weights and results under a name."""
    results = read_results(run)
    is_model = results.command == "train-baseline"
    target = FOLDER / f"{name}.safetensors"
    shutil.copyfile(run / ("model.safetensors" if is_model else "correction.safetensors"), target)
    entry: dict[str, str | int] = {"sha256": hashlib.sha256(target.read_bytes()).hexdigest()}
    if is_model:
        entry |= {"architecture": results.settings["model"], "classes": results.settings["classes"]}
    index = read_json(FOLDER / "index.json")
    index["models" if is_model else "corrections"][name] = entry
    write_json(FOLDER / "index.json", index)
    RESULTS.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run / "results.json", RESULTS / f"{name}.json")


if __name__ == "__main__":
    ship(Path(sys.argv[1]), sys.argv[2])
