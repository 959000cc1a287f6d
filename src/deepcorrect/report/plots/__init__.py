"""Figures of a run: axes in, axes out, drawn from saved results alone.

Every function draws on the axes that it is given and returns them; none touches pyplot or any other state outside of them.
"""

from deepcorrect.report.plots.architecture import architecture_size, plot_architecture, plot_unit
from deepcorrect.report.plots.classes import plot_class_differences
from deepcorrect.report.plots.embedding import class_separation, embed, plot_embedding
from deepcorrect.report.plots.ideal import plot_ideal_layers, plot_ideal_shares
from deepcorrect.report.plots.kernels import plot_kernels
from deepcorrect.report.plots.levels import plot_accuracy, plot_levels, plot_ranked_and_random
from deepcorrect.report.plots.pareto import pareto_front, plot_pareto
from deepcorrect.report.plots.priority import plot_priority, plot_priority_map
from deepcorrect.report.plots.robustness import plot_gain, plot_robustness, robustness_size
from deepcorrect.report.plots.samples import plot_samples, samples_size
from deepcorrect.report.plots.style import COLOURS, DIVERGING, MARKERS, drawable, legend_name, style
from deepcorrect.report.plots.training import plot_training

__all__ = [
    "COLOURS",
    "DIVERGING",
    "MARKERS",
    "architecture_size",
    "class_separation",
    "drawable",
    "embed",
    "legend_name",
    "pareto_front",
    "plot_accuracy",
    "plot_architecture",
    "plot_class_differences",
    "plot_embedding",
    "plot_gain",
    "plot_ideal_layers",
    "plot_ideal_shares",
    "plot_kernels",
    "plot_levels",
    "plot_pareto",
    "plot_priority",
    "plot_priority_map",
    "plot_ranked_and_random",
    "plot_robustness",
    "plot_samples",
    "plot_training",
    "plot_unit",
    "robustness_size",
    "samples_size",
    "style",
]
