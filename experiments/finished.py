"""Finished cells, read back."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from deepcorrect.base.files import read_json
from deepcorrect.runs.results import Record, Results
from experiments.cells import RESULTS, result_file
from experiments.grid import DRAWS, Baseline, Network, first_layer


def recipes() -> list[str]:
    """Names of the recipes that anything was trained with."""
    return sorted(folder.name for folder in RESULTS.iterdir() if folder.is_dir())


def saved(network: Network, distortion: str, recipe: str) -> list[Record]:
    """A network's records, one for each finished seed."""
    files = sorted(RESULTS.glob(f"{recipe}/{network.name}-{distortion}-seed*.json"))
    return [Results.model_validate(read_json(file)).records[-1] for file in files]


def baseline(distortion: str) -> Record:
    """The network as it is."""
    records = Results.model_validate(read_json(result_file(Baseline()))).records
    return next(record for record in records if record.distortion == distortion)


def mean_top1(records: Iterable[Record]) -> tuple[float, ...]:
    """Accuracies by level, averaged over records."""
    return tuple(statistics.mean(values) for values in zip(*(record.top1 for record in records), strict=True))


def random_draws(count: int, distortion: str, recipe: str) -> list[Record]:
    """The finished draws of a number of random filters."""
    return [record for draw in range(DRAWS) for record in saved(first_layer(count, "random", draw), distortion, recipe)]


def corrected_filters(network: Network, distortion: str, recipe: str) -> list[int]:
    """How many filters of each layer a trained network corrects."""
    file = next(RESULTS.glob(f"{recipe}/{network.name}-{distortion}-seed*.json"))
    return [len(filters) for filters in read_json(file)["filters"].values()]
