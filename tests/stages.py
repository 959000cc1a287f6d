"""A small job, and what its run folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepcorrect.distortions.registry import get_distortion
from deepcorrect.pipeline.correct import CorrectionOptions
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.rank import RankingOptions
from deepcorrect.training.recipes import get_recipe

BLUR, NOISE = get_distortion("blur"), get_distortion("noise")
LEVELS = (1.0, 2.0)
RECIPE = get_recipe("fast", "correct", epochs=1, batch_size=30, precision="fp32")
OPTIONS = CorrectionOptions(("0", "3"), (0.5, 0.5), ranked=RankingOptions(images=10), unit="wide")


def state_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def other(job: Job, **changes: Any) -> Job:
    """The same job but for some of its arguments."""
    known = {name: getattr(job, name) for name in ("model", "data", "device", "precision", "seed", "run", "reporter")}
    return Job(**(known | changes))


def run_of(job: Job) -> Path:
    assert job.run is not None
    return job.run.path
