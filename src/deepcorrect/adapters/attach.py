"""Put a correction on a network: a new one, or a saved one."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from deepcorrect.adapters.correction import Correction
from deepcorrect.adapters.file import (
    read_fingerprint,
    read_header,
    read_state,
    read_trained_on,
)
from deepcorrect.adapters.plan import Plan, check_plan
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.models.fingerprint import fingerprint
from deepcorrect.models.inspection import inspecting, random_state_kept, steady_answers
from deepcorrect.models.layers import Layer, find_layers
from deepcorrect.models.stand_in import StandIn


def attach(model: nn.Module, plan: Plan, example: Tensor, *, seed: int = 0, identity: bool = False) -> Correction:
    """Put a new correction on a network; its units start from He initialisation, its copies from the network's weights.

    Args:
        model: takes images (B, C, H, W) in [0, 1]. Its parameters are frozen until the correction is detached.
        plan: what to correct.
        example: one batch of such images, on the model's device.
        seed: of the units' initial weights.
        identity: units change nothing before they are trained (the paper's do).

    Returns:
        The correction, in eval mode, as is the network. As long as it is attached, ``model.train()`` trains what the
        correction owns and leaves the network's own statistics alone.

    Raises:
        DeepcorrectError: the plan does not fit the network, the network already has a correction, or it does not answer
            the same with the correction switched off. The network is left as it was.
    """
    require_bare(model)
    layers = find_layers(model, example)
    check_plan(plan, model, layers)
    return _attach(model, plan, layers, example, seed, identity)


def _attach(model: nn.Module, plan: Plan, layers: Sequence[Layer], example: Tensor, seed: int, identity: bool) -> Correction:
    with inspecting(model):
        before = steady_answers(model, example)
    with random_state_kept(model), torch.inference_mode(False), torch.device("cpu"):
        correction = Correction(model, plan, layers, seed, identity).eval()
    try:
        with inspecting(model):
            correction._verify(example, before)
    except BaseException:
        correction.detach()
        raise
    return correction


def require_bare(model: nn.Module) -> None:
    """Refuse a network that has a correction.

    Raises:
        DeepcorrectError: it has one.
    """
    if any(isinstance(module, StandIn) for module in model.modules()):
        raise DeepcorrectError("the network already has a correction; detach it first")


def load_correction(path: Path | str, model: nn.Module, example: Tensor) -> Correction:
    """Attach a saved correction to the network that it was trained for.

    Raises:
        DeepcorrectError: the file is missing or unsound, or belongs to another network; the message says in what they differ.
            The network is left as it was.
    """
    require_bare(model)
    plan, expected, known = read_header(path), read_fingerprint(path), fingerprint(model)
    layers = find_layers(model, example)
    try:
        check_plan(plan, model, layers)
    except DeepcorrectError as error:
        blamed = "" if known == expected else "made for another network: "
        raise DeepcorrectError(f"{path}: {blamed}{error}") from None
    if known != expected:
        others = {str(value.dtype) for value in model.parameters() if value.is_floating_point()} - {"torch.float32"}
        hint = f"; the network is in {', '.join(sorted(others))}: load the correction before you convert it" if others else ""
        raise DeepcorrectError(
            f"{path}: made for another network: the layers fit, but the weights differ "
            f"(fingerprint {known[:12]}, expected {expected[:12]}){hint}"
        )
    correction = _attach(model, plan, layers, example, seed=0, identity=False)
    try:
        state, own = read_state(path), correction.state_dict()
        wrong = [name for name in own if name in state and state[name].is_floating_point() != own[name].is_floating_point()]
        if wrong:
            raise DeepcorrectError(f"{path}: its tensor {wrong[0]} is of {state[wrong[0]].dtype}, not of {own[wrong[0]].dtype}")
        correction.load_state_dict(state)
        correction.trained_on = read_trained_on(path)
    except RuntimeError as error:
        correction.detach()
        reason = textwrap.shorten(str(error), 300)
        raise DeepcorrectError(f"{path}: its tensors do not fit its own plan ({reason})") from None
    except BaseException:
        correction.detach()
        raise
    return correction
