"""A new linear head for other classes: logistic regression on the inputs of the network's last dense layer."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.models.layers import Layer

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse regularisation strengths to choose from, for features of unit variance; of equally good ones the strongest wins."""


def last_dense(layers: list[Layer]) -> str:
    """The name of the layer that a new head replaces.

    Raises:
        DeepcorrectError: the last layer is not dense.
    """
    if not layers or not isinstance(layers[-1].module, nn.Linear):
        raise DeepcorrectError("the network does not end in a dense layer (torch.nn.Linear), so there is no head to replace")
    return layers[-1].name


def replace_head(model: nn.Module, name: str, classes: int) -> nn.Linear:
    """Replace a dense layer by a new one for so many classes, with zeros for weights and biases."""
    old = model.get_submodule(name)
    assert isinstance(old, nn.Linear)
    new = nn.Linear(old.in_features, classes, device="meta").to_empty(device=old.weight.device).to(old.weight)
    nn.init.zeros_(new.weight)
    nn.init.zeros_(new.bias)
    model.set_submodule(name, new)
    return new


def fit_head(train: Tensor, train_labels: Tensor, validation: Tensor, validation_labels: Tensor, head: nn.Linear) -> float:
    """Fit a head in place, with the regularisation that is best on the validation images.

    Args:
        train, validation: features, (N, D).
        train_labels, validation_labels: (N,), int64.
        head: a dense layer from D features to the classes.

    Returns:
        Its accuracy on the validation images, in [0, 1].
    """
    from sklearn.linear_model import LogisticRegression

    mean, spread = train.mean(0), train.std(0).clamp_min(1e-6)
    best = -1.0
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=500)
        model.fit(((train - mean) / spread).numpy(), train_labels.numpy())
        accuracy = float(model.score(((validation - mean) / spread).numpy(), validation_labels.numpy()))
        if accuracy > best:
            best, kept = accuracy, copy.deepcopy(model)
    weight, bias = torch.from_numpy(kept.coef_).float() / spread, torch.from_numpy(kept.intercept_).float()
    if len(weight) == 1:  # for two classes scikit-learn has only the difference
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias - weight @ mean)
    return best
