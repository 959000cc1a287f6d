"""Optimisers by name: SGD with Nesterov momentum (section 5.1), or Muon, which needs fewer images.

Muon (Jordan et al., 2024; ``torch.optim.Muon``) orthogonalises the momentum of every weight matrix, so that all directions of
a layer learn at the same pace. A convolution's weights (O, I, k, k) are the matrix (O, I k k). Biases and normalisations,
which are no matrices, are left to AdamW.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from deepcorrect.training.recipes import Recipe

_ADAM_SHARE = 0.1  # of the rate; AdamW's steps are as long as its rate, whatever the gradient


class Optimizer:
    """What trains some parameters by a recipe, at a rate that is set before every step."""

    def __init__(self, parameters: Iterable[nn.Parameter], recipe: Recipe) -> None:
        muon = recipe.optimizer == "muon"
        self._parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self._weights = [parameter for parameter in self._parameters if muon and parameter.ndim > 1]
        self._matrices = [nn.Parameter(weight.detach().flatten(1).clone()) for weight in self._weights]
        rest = [parameter for parameter in self._parameters if not (muon and parameter.ndim > 1)]
        self._parts: list[tuple[torch.optim.Optimizer, float]] = []
        decay = recipe.weight_decay
        if self._matrices:
            weights = torch.optim.Muon(self._matrices, recipe.rate, weight_decay=decay, momentum=recipe.momentum)
            self._parts.append((weights, 1.0))
        if muon and rest:
            adam = torch.optim.AdamW(rest, recipe.rate * _ADAM_SHARE, betas=(0.9, 0.98), weight_decay=0.0)
            self._parts.append((adam, _ADAM_SHARE))
        elif rest:
            nesterov = recipe.momentum > 0
            sgd = torch.optim.SGD(rest, recipe.rate, recipe.momentum, nesterov=nesterov, weight_decay=decay)
            self._parts.append((sgd, 1.0))

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step at a learning rate; the gradients are used up."""
        for weight, matrix in zip(self._weights, self._matrices, strict=True):
            matrix.copy_(weight.flatten(1))
            matrix.grad = None if weight.grad is None else weight.grad.flatten(1)
        for part, share in self._parts:
            for group in part.param_groups:
                group["lr"] = rate * share
            part.step()
        for weight, matrix in zip(self._weights, self._matrices, strict=True):
            weight.copy_(matrix.view_as(weight))
        for parameter in self._parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """The state of every part."""
        return {"parts": [part.state_dict() for part, _ in self._parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """What ``state_dict`` gave."""
        for (part, _), saved in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(saved)
