"""Linear SVMs on features, against scikit-learn by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import Tensor

from deepcorrect.datasets.division import Counts, draw
from deepcorrect.evaluation.svm import STRENGTHS, TOLERANCE, fit_split, mean_per_category


def test_the_mean_per_category_of_unequal_classes() -> None:
    labels = np.array([0, 0, 0, 0, 1, 3, 3])
    assert mean_per_category(np.array([0, 0, 0, 3, 0, 3, 1]), labels) == pytest.approx((3 / 4 + 0 + 1 / 2) / 3)
    answers = np.random.RandomState(0).choice(labels, 7)
    assert mean_per_category(answers, labels) == pytest.approx(balanced_accuracy_score(labels, answers))


def blobs(spread: float, seed: int) -> tuple[list[Tensor], Tensor]:
    """Features of 150 images of five unequal classes at two levels, of very different scales."""
    torch.manual_seed(seed)
    labels = torch.tensor([0] * 50 + [1] * 40 + [2] * 25 + [3] * 20 + [4] * 15)
    centres, scales = torch.randn(5, 30), torch.logspace(-2, 2, 30)
    return [(centres[labels] + level * torch.randn(150, 30)) * scales + 3 for level in (spread, 2 * spread)], labels


def test_a_split_is_what_scikit_learn_says() -> None:
    chosen = set()
    for seed in range(4):
        levels, labels = blobs(1.5 + seed, seed)
        parts = train, validation, test = draw(labels, Counts(8, 4, seed))
        inputs, answers = torch.cat([level[train] for level in levels]), torch.cat([labels[train]] * 2)
        tried = []
        for strength in STRENGTHS:
            svm = make_pipeline(StandardScaler(), LinearSVC(C=strength, dual=True, tol=TOLERANCE, random_state=seed))
            svm.fit(inputs.numpy(), answers.numpy())
            accuracies = [
                [balanced_accuracy_score(labels[part], svm.predict(level[part].numpy())) for level in levels]
                for part in (validation, test)
            ]
            tried.append((strength, float(np.mean(accuracies[0])), accuracies[1]))
        reached = [entry[1] for entry in tried]
        fallen = next((place for place in range(1, 4) if reached[place] < max(reached[:place])), 4)
        best = tried[reached.index(max(reached[:fallen]))]
        found = fit_split(levels, labels, parts, seed=seed)
        assert (found.seed, found.strength) == (seed, best[0])
        assert found.validation == pytest.approx(best[1])
        assert found.accuracy == pytest.approx(best[2])
        chosen.add(found.strength)
    assert len(chosen) > 1


def test_of_equally_good_regularisations_the_strongest_is_kept() -> None:
    levels, labels = blobs(0.01, 0)
    found = fit_split(levels, labels, draw(labels, Counts(8, 4)))
    assert (found.strength, found.validation, found.accuracy) == (STRENGTHS[0], 1.0, (1.0, 1.0))
