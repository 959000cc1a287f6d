"""Penultimate features by t-SNE, and how well they separate the classes (Figures 2 and 10)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from deepcorrect.report.plots.style import COLOURS, legend_beside, legend_name, style
from deepcorrect.runs.penultimate import Penultimate

NEIGHBOURS = 5
_COMPONENTS = 50
_PERPLEXITY = 30.0
_ITERATIONS = 500


def embed(penultimate: Penultimate, *, seed: int = 0) -> dict[str, list[NDArray[np.float32]]]:
    """Two-dimensional t-SNE of each network's features, after a PCA to 50 components.

    All levels of a network are embedded together, so that its panels are one map: as long as the features are not changed by
    the distortion, a class stays where it is for clean images. Maps of different networks are not comparable point by point.

    Args:
        seed: of t-SNE; the same seed gives the same points.

    Returns:
        {network: points (N, 2) for each level}.
    """
    return {network: _embed_levels(features, seed) for network, features in penultimate.features.items()}


def _embed_levels(features: Tensor, seed: int) -> list[NDArray[np.float32]]:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    levels, images, size = features.shape
    together = features.reshape(levels * images, size).double().numpy()
    components = min(_COMPONENTS, *together.shape)
    reduced = PCA(components, svd_solver="full").fit_transform(together)
    perplexity = min(_PERPLEXITY, (len(together) - 1) / 3)
    method = TSNE(2, perplexity=perplexity, init="pca", max_iter=_ITERATIONS, random_state=seed, n_jobs=1)
    points = method.fit_transform(reduced)
    return list(points.reshape(levels, images, 2))


def class_separation(features: Tensor, labels: Tensor) -> float:
    """How well features separate the classes: the share of an image's five nearest neighbours that are of its class, averaged.

    Args:
        features: (N, D), N > 1; Euclidean distances are taken between them.
        labels: (N,).

    Returns:
        1 where classes are well separated; about the share of a class in the data where features carry no information.
    """
    distances = torch.cdist(features.double(), features.double()).fill_diagonal_(torch.inf)
    nearest = distances.topk(min(NEIGHBOURS, len(labels) - 1), largest=False).indices
    return float((labels[nearest] == labels[:, None]).double().mean())


def plot_embedding(axes: Axes, points: ArrayLike, labels: ArrayLike, classes: Sequence[str], *, legend: bool = True) -> Axes:
    """One panel of an embedding: a point for each image, each class with a marker of its own (Figures 2 and 10).

    Markers are hollow from the eighth class on, where colours repeat. Panels of one network are best given shared axes.

    Args:
        points: (N, 2).
        labels: classes of the images, (N,).
        classes: names, by label.
        legend: beside the axes, on their right.
    """
    points, labels = np.asarray(points), np.asarray(labels)
    for index, label in enumerate(np.unique(labels)):
        x, y = points[labels == label].T
        fill = "full" if index < len(COLOURS) else "none"
        axes.plot(x, y, linestyle="none", markersize=4, fillstyle=fill, label=legend_name(classes[label], 40), **style(index))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("t-SNE 1")
    axes.set_ylabel("t-SNE 2")
    return legend_beside(axes) if legend else axes
