"""Accuracy with some filters ideally corrected (Figures 4 and 5)."""

from __future__ import annotations

from matplotlib.axes import Axes

from deepcorrect.report.plots.levels import plot_levels
from deepcorrect.runs.ideal import IdealCurves


def plot_ideal_shares(axes: Axes, curves: IdealCurves, layer: str, clean: float) -> Axes:
    """A growing share of one layer ideally corrected: a line for each share of its filters (Figure 4).

    Args:
        clean: top-1 accuracy on undistorted images, where every line begins.
    """
    top1 = dict(zip(curves.shares, curves.top1[layer], strict=True))
    named = {f"{share:.0%} of {layer}" if share else "baseline": (clean, *values) for share, values in top1.items()}
    return plot_levels(axes, curves.distortion, (0.0, *curves.levels), named)


def plot_ideal_layers(axes: Axes, curves: IdealCurves, share: float, clean: float) -> Axes:
    """The same share of one layer at a time ideally corrected: a line for each layer (Figure 5).

    Args:
        share: one of ``curves.shares``.
        clean: top-1 accuracy on undistorted images, where every line begins.

    Raises:
        ValueError: the share was not measured.
    """
    index = curves.shares.index(share)
    baseline = next(iter(curves.top1.values()))[curves.shares.index(0)]
    named = {"baseline": (clean, *baseline)}
    named |= {f"{share:.0%} of {layer}": (clean, *values[index]) for layer, values in curves.top1.items()}
    return plot_levels(axes, curves.distortion, (0.0, *curves.levels), named)
