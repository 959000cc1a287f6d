"""Find the filters of a convolutional network that blur and noise ruin, and repair just those (DeepCorrect).

After Borkar and Karam, "DeepCorrect: Correcting DNN Models against Image Distortions", IEEE TIP 2019. Names are imported
when they are first used, so that ``import deepcorrect`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:  # a type checker knows these names and no others
    from deepcorrect.correction import Correction as Correction
    from deepcorrect.correction import Plan as Plan
    from deepcorrect.correction import attach as attach
    from deepcorrect.correction import load_correction as load_correction
    from deepcorrect.datasets import load_dataset as load_dataset
    from deepcorrect.distortions import Distortion as Distortion
    from deepcorrect.distortions import get_distortion as get_distortion
    from deepcorrect.distortions import register as register
    from deepcorrect.errors import DeepcorrectError as DeepcorrectError
    from deepcorrect.evaluation import evaluate as evaluate
    from deepcorrect.job import Job as Job
    from deepcorrect.layers import find_layers as find_layers
    from deepcorrect.models import load_model as load_model
    from deepcorrect.models.labels import output_names as output_names
    from deepcorrect.patching import patched as patched
    from deepcorrect.pipeline import CorrectionOptions as CorrectionOptions
    from deepcorrect.pipeline import assess as assess
    from deepcorrect.pipeline import correct as correct
    from deepcorrect.pipeline import finetune as finetune
    from deepcorrect.pipeline import train_baseline as train_baseline
    from deepcorrect.priority import rank_filters as rank_filters
    from deepcorrect.rank import RankingOptions as RankingOptions
    from deepcorrect.ranking import Ranking as Ranking
    from deepcorrect.recipes import get_recipe as get_recipe
    from deepcorrect.results import Run as Run
    from deepcorrect.training import train as train
else:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'deepcorrect' has no attribute {name!r}")
        return getattr(import_module(f"deepcorrect.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
