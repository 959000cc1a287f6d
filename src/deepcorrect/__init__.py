"""Find the filters of a convolutional network that blur and noise ruin, and repair just those (DeepCorrect).

After Borkar and Karam, "DeepCorrect: Correcting DNN Models against Image Distortions", IEEE TIP 2019. Names are imported
when they are first used, so that ``import deepcorrect`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "Correction": "adapters.correction",
    "Composition": "distortions.combined",
    "CorrectionOptions": "pipeline.correct",
    "DeepcorrectError": "base.errors",
    "Distortion": "distortions.base",
    "GaussianBlur": "distortions.blur",
    "GaussianNoise": "distortions.noise",
    "Job": "pipeline.job",
    "Plan": "adapters.plan",
    "Ranking": "ranking.result",
    "RankingOptions": "pipeline.rank",
    "Run": "runs.results",
    "Mixture": "distortions.combined",
    "NormalizedInput": "models.normalized_input",
    "assess": "pipeline.door",
    "as_images": "datasets.door",
    "attach": "pipeline.repair",
    "correct": "pipeline.repair",
    "evaluate": "pipeline.door",
    "Gated": "adapters.gated",
    "find_layers": "models.layers",
    "fit_gate": "pipeline.gate",
    "finetune": "pipeline.repair",
    "get_distortion": "distortions.registry",
    "get_distortions": "distortions.registry",
    "get_recipe": "training.recipes",
    "load_correction": "pipeline.repair",
    "load_dataset": "datasets",
    "load_gate": "adapters.gated",
    "load_model": "models",
    "output_names": "models.labels",
    "patched": "swapping.patching",
    "rank": "pipeline.door",
    "rank_filters": "ranking.exact",
    "register": "distortions.registry",
    "resemblance": "pipeline.real",
    "train": "training.loop",
    "train_baseline": "pipeline.baselines",
}

__all__ = sorted(_HOMES)

if TYPE_CHECKING:  # a type checker knows these names and no others
    from deepcorrect.adapters.correction import Correction as Correction
    from deepcorrect.adapters.gated import Gated as Gated
    from deepcorrect.adapters.gated import load_gate as load_gate
    from deepcorrect.adapters.plan import Plan as Plan
    from deepcorrect.base.errors import DeepcorrectError as DeepcorrectError
    from deepcorrect.datasets import load_dataset as load_dataset
    from deepcorrect.datasets.door import as_images as as_images
    from deepcorrect.distortions.base import Distortion as Distortion
    from deepcorrect.distortions.blur import GaussianBlur as GaussianBlur
    from deepcorrect.distortions.combined import Composition as Composition
    from deepcorrect.distortions.combined import Mixture as Mixture
    from deepcorrect.distortions.noise import GaussianNoise as GaussianNoise
    from deepcorrect.distortions.registry import get_distortion as get_distortion
    from deepcorrect.distortions.registry import get_distortions as get_distortions
    from deepcorrect.distortions.registry import register as register
    from deepcorrect.models import load_model as load_model
    from deepcorrect.models.labels import output_names as output_names
    from deepcorrect.models.layers import find_layers as find_layers
    from deepcorrect.models.normalized_input import NormalizedInput as NormalizedInput
    from deepcorrect.pipeline.baselines import train_baseline as train_baseline
    from deepcorrect.pipeline.correct import CorrectionOptions as CorrectionOptions
    from deepcorrect.pipeline.door import assess as assess
    from deepcorrect.pipeline.door import evaluate as evaluate
    from deepcorrect.pipeline.door import rank as rank
    from deepcorrect.pipeline.gate import fit_gate as fit_gate
    from deepcorrect.pipeline.job import Job as Job
    from deepcorrect.pipeline.rank import RankingOptions as RankingOptions
    from deepcorrect.pipeline.real import resemblance as resemblance
    from deepcorrect.pipeline.repair import attach as attach
    from deepcorrect.pipeline.repair import correct as correct
    from deepcorrect.pipeline.repair import finetune as finetune
    from deepcorrect.pipeline.repair import load_correction as load_correction
    from deepcorrect.ranking.exact import rank_filters as rank_filters
    from deepcorrect.ranking.result import Ranking as Ranking
    from deepcorrect.runs.results import Run as Run
    from deepcorrect.swapping.patching import patched as patched
    from deepcorrect.training.loop import train as train
    from deepcorrect.training.recipes import get_recipe as get_recipe
else:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'deepcorrect' has no attribute {name!r}")
        return getattr(import_module(f"deepcorrect.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
