"""Copies of a network that share its tensors, each with a correction of its own."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from torch import nn

from deepcorrect.adapters.attach import attach, example_for, load_correction
from deepcorrect.adapters.correction import Correction
from deepcorrect.adapters.file import find_correction
from deepcorrect.adapters.grafting import without_grafts
from deepcorrect.base.device import device_of, lay_out, layout_of
from deepcorrect.base.errors import DeepcorrectError, first_line
from deepcorrect.models.inspection import random_state_kept
from deepcorrect.models.network_print import difference, print_network

CorrectionLike = Correction | Path | str
"""A correction that is on a network, or a saved one: a shipped name, a file or a run folder."""


def with_corrections(model: nn.Module, corrections: Mapping[str, CorrectionLike]) -> dict[str, nn.Module]:
    """Copies of a network with one correction on each; they share its parameters and buffers, which stay as they are.

    Args:
        model: with or without a correction on it, which the copies do not have.
        corrections: by name, saved ones or such as are on ``model`` or on another network of the same numbers.

    Raises:
        DeepcorrectError: the network cannot be copied, or a correction is for another one.
    """
    trained = [(weight, weight.requires_grad) for weight in model.parameters()]
    try:
        with random_state_kept(model):
            return {name: _with_correction(model, name, correction) for name, correction in corrections.items()}
    finally:
        for weight, requires_grad in trained:
            weight.requires_grad_(requires_grad)


def _with_correction(model: nn.Module, name: str, correction: CorrectionLike) -> nn.Module:
    network = bare_copy(model)
    if not isinstance(correction, Correction):
        own = load_correction(find_correction(str(correction)), network)
    else:
        differing = difference(correction.network, print_network(network))
        if differing is not None:
            raise DeepcorrectError(f"correction {name}: made for another network: {differing}")
        own = attach(network, correction.plan, example_for(correction.image_shape, network))
        own.load_state_dict(correction.state_dict())
    lay_out(own.to(device_of(model)), layout_of(model))
    return network


def bare_copy(model: nn.Module) -> nn.Module:
    """A copy without corrections, of the same tensors."""
    shared: dict[int, Any] = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    try:
        copied = copy.deepcopy(model, shared)
    except Exception as error:  # a network may hold anything
        raise DeepcorrectError(
            f"the network cannot be copied, as each correction of a gate needs: {first_line(error)}"
        ) from None
    return without_grafts(copied).eval()
