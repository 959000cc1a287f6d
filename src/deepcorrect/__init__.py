"""Find the filters of a convolutional network that blur and noise ruin, and repair just those (DeepCorrect).

After Borkar and Karam, "DeepCorrect: Correcting DNN Models against Image Distortions", IEEE TIP 2019. Names are imported
when they are first used, so that ``import deepcorrect`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Correction": "correction",
    "CorrectionOptions": "pipeline",
    "DeepcorrectError": "errors",
    "Distortion": "distortions",
    "Job": "job",
    "Plan": "correction",
    "Ranking": "ranking",
    "RankingOptions": "rank",
    "Run": "results",
    "assess": "pipeline",
    "attach": "correction",
    "correct": "pipeline",
    "evaluate": "evaluation",
    "find_layers": "layers",
    "finetune": "pipeline",
    "get_distortion": "distortions",
    "get_recipe": "recipes",
    "load_correction": "correction",
    "load_dataset": "datasets",
    "load_model": "models",
    "output_names": "models.labels",
    "patched": "patching",
    "rank_filters": "priority",
    "register": "distortions",
    "train": "training",
    "train_baseline": "pipeline",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'deepcorrect' has no attribute {name!r}")
    return getattr(import_module(f"deepcorrect.{_HOMES[name]}"), name)
