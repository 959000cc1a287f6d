"""Linear SVMs on features at several levels of distortion: one against the rest for each class, and one set for all levels."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np
from pydantic import BaseModel, ConfigDict
from torch import Tensor

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2)
"""Values of C to choose from, for features scaled to unit variance. They are tried in this order until accuracy on validation
images falls, since the weaker the regularisation, the longer the solver takes; the first of equally good ones is kept."""
TOLERANCE = 0.1
"""Of the dual solver, LIBLINEAR's own default for it; scikit-learn's is a thousandth of it."""


class Split(BaseModel):
    """One split of the images and what SVMs reach in it.

    Attributes:
        seed: of the split.
        strength: the C chosen.
        validation: mean accuracy per category of the validation images, over all levels.
        accuracy: mean accuracy per category of the test images at each level.
    """

    model_config = ConfigDict(frozen=True)

    seed: int
    strength: float
    validation: float
    accuracy: tuple[float, ...]


def fit_split(levels: Sequence[Tensor], labels: Tensor, parts: tuple[Tensor, Tensor, Tensor], *, seed: int = 0) -> Split:
    """Train on the training images at all levels together, scaled to zero mean and unit variance.

    Args:
        levels: features of every image at each level, (N, D).
        labels: (N,), int64.
        parts: positions of the images to train on, to choose the regularisation on, and to test on.
        seed: of the split, and of the order in which the solver goes through its images.
    """
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    train, validation, test = (part.numpy() for part in parts)
    features, right = [level.numpy() for level in levels], labels.numpy()
    scaler = StandardScaler()
    inputs = scaler.fit_transform(np.concatenate([level[train] for level in features]))

    def accuracy(svm: LinearSVC, images: np.ndarray) -> tuple[float, ...]:
        return tuple(mean_per_category(svm.predict(scaler.transform(level[images])), right[images]) for level in features)

    best = -1.0
    for strength in STRENGTHS:
        svm = LinearSVC(C=strength, dual=True, tol=TOLERANCE, random_state=seed).fit(
            inputs, np.tile(right[train], len(features))
        )
        reached = fmean(accuracy(svm, validation))
        if reached < best:
            break
        if reached > best:
            best, chosen, kept = reached, strength, svm
    return Split(seed=seed, strength=chosen, validation=best, accuracy=accuracy(kept, test))


def mean_per_category(answers: np.ndarray, labels: np.ndarray) -> float:
    """The mean of each class's share of right answers, over the classes that there are.

    Args:
        answers, labels: (N,), integers from 0 on.
    """
    images = np.bincount(labels)
    right = np.bincount(labels[answers == labels], minlength=len(images))
    return float((right[images > 0] / images[images > 0]).mean())
