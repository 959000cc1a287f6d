"""What a set of images is made up of: the shares of several kinds of images, told by numbers that describe each image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError

ROUNDS = 500
_SMALLEST = 1e-6


def mixing_shares(known: Sequence[Tensor], seen: Tensor) -> Tensor:
    """The shares of several kinds of images in a set, by maximum likelihood.

    A linear discriminant analysis gives the probability of each kind for each image. Expectation maximisation then finds the
    shares that make the set most likely (Saerens et al., Neural Computation 2002): counting each image as its most likely kind
    would give too much to kinds that others are mistaken for.

    Args:
        known: of each kind, descriptors of some of its images, (N, D) finite.
        seen: those of the set, (N, D).

    Returns:
        Shares, (kinds,) float64, 0 or more, 1 together.

    Raises:
        DeepcorrectError: fewer than two kinds, fewer than two images of one, or none in the set.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    if len(known) < 2 or min(map(len, known)) < 2 or not len(seen):
        raise DeepcorrectError("to tell kinds of images apart takes two kinds, two images of each, and one to be told")
    every = torch.cat(list(known)).double()
    mean, scale = every.mean(0), every.std(0, correction=0).clamp_min(_SMALLEST)
    kinds = np.repeat(np.arange(len(known)), [len(part) for part in known])
    even = np.full(len(known), 1 / len(known))
    told = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=even).fit(((every - mean) / scale).numpy(), kinds)
    likely = torch.from_numpy(told.predict_proba(((seen.double() - mean) / scale).numpy()))
    shares = torch.full((len(known),), 1 / len(known), dtype=torch.float64)
    for _ in range(ROUNDS):
        weighed = likely * shares
        shares = (weighed / weighed.sum(1, keepdim=True)).mean(0)
    return shares
