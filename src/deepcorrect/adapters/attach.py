"""Put a correction on a network: a new one, or a saved one."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from deepcorrect.adapters.correction import Correction
from deepcorrect.adapters.file import SavedCorrection, read_correction, read_state
from deepcorrect.adapters.plan import Plan, check_plan
from deepcorrect.adapters.renaming import Rename, rename_plan, rename_state
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument
from deepcorrect.models.fingerprint import fingerprint
from deepcorrect.models.inspection import inspecting, random_state_kept, steady_answers
from deepcorrect.models.layers import Layer, find_layers
from deepcorrect.models.network_print import absolute, difference, print_network, root_of
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
        correction = Correction(model, plan, layers, tuple(example.shape[1:]), seed, identity).eval()
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


def load_correction(path: Path | str, model: nn.Module, example: Tensor | None = None) -> Correction:
    """Attach a saved correction to the network that it was trained for.

    It belongs to the network and not to what wraps it: trained behind a module that normalises, say, it is put on the bare
    network, or the other way round. The network may be in another precision (see ``deepcorrect.models.network_print``); the
    correction then is in that precision too.

    Args:
        path: of a file that ``Correction.save`` wrote.
        model: the network, by itself or wrapped.
        example: one batch of images (B, C, H, W) in [0, 1], on the network's device and in its precision. It is needed for
            files of an older version alone, which do not tell the images' shape; random images are tried otherwise.

    Returns:
        The correction; its plan has the names that the layers have in ``model``.

    Raises:
        DeepcorrectError: the file is missing or unsound, or belongs to another network; the message says in what they differ.
            The network is left as it was.
    """
    require_bare(model)
    saved = read_correction(path)
    example = _example(path, saved, model) if example is None else example
    layers = find_layers(model, example)
    rename = _names_in(path, saved, model, layers)
    plan = rename_plan(saved.plan, rename)
    try:
        check_plan(plan, model, layers)
    except DeepcorrectError as error:
        raise DeepcorrectError(f"{path}: {error}") from None
    correction = _attach(model, plan, layers, example, seed=0, identity=False)
    try:
        state, own = rename_state(read_state(path), rename), correction.state_dict()
        wrong = [name for name in own if name in state and state[name].is_floating_point() != own[name].is_floating_point()]
        if wrong:
            raise DeepcorrectError(f"{path}: its tensor {wrong[0]} is of {state[wrong[0]].dtype}, not of {own[wrong[0]].dtype}")
        correction.load_state_dict(state)
        correction.trained_on = saved.trained_on
    except RuntimeError as error:
        correction.detach()
        reason = textwrap.shorten(str(error), 300)
        raise DeepcorrectError(f"{path}: its tensors do not fit its own plan ({reason})") from None
    except BaseException:
        correction.detach()
        raise
    return correction


def _example(path: Path | str, saved: SavedCorrection, model: nn.Module) -> Tensor:
    """Two random images of the shape that the file tells."""
    if saved.image_shape is None:
        raise DeepcorrectError(
            f"{path}: saved by an older version of deepcorrect, which did not note the images' shape; give a batch of them, "
            f"{argument('example')}"
        )
    return example_for(saved.image_shape, model)


def example_for(image_shape: tuple[int, ...], model: nn.Module) -> Tensor:
    """Two random images of a shape (C, H, W), on the network's device and in its precision."""
    weight = next((value for value in model.parameters() if value.is_floating_point()), torch.empty(0))
    images = torch.rand(2, *image_shape, generator=torch.Generator().manual_seed(0))
    return images.to(weight.device, weight.dtype)


def _names_in(path: Path | str, saved: SavedCorrection, model: nn.Module, layers: Sequence[Layer]) -> Rename:
    """From a file's names of layers to those of the model.

    Raises:
        DeepcorrectError: it is for another network.
    """
    root = root_of(model)
    if saved.network is None:
        return partial(absolute, _root_by_fingerprint(path, saved, model, root, layers))
    found = difference(saved.network, print_network(model))
    if found is not None:
        raise DeepcorrectError(f"{path}: made for another network: {found}")
    return partial(absolute, root)


def _root_by_fingerprint(path: Path | str, saved: SavedCorrection, model: nn.Module, root: str, layers: Sequence[Layer]) -> str:
    """Name of the module that a file of the older format is for: the model or what it wraps, in single precision."""
    parts = root.split(".") if root else []
    wrapped = [".".join(parts[:depth]) for depth in range(len(parts) + 1)]
    known = {name: fingerprint(model.get_submodule(name)) for name in wrapped}
    for name in wrapped:
        if known[name] == saved.fingerprint:
            return name
    try:
        check_plan(saved.plan, model, layers)
    except DeepcorrectError as error:
        raise DeepcorrectError(f"{path}: made for another network: {error}") from None
    others = {str(value.dtype) for value in model.parameters() if value.is_floating_point()} - {"torch.float32"}
    hint = f"; the network is in {', '.join(sorted(others))}: load the correction before you convert it" if others else ""
    raise DeepcorrectError(
        f"{path}: made for another network: the layers fit, but the weights differ "
        f"(fingerprint {known[''][:12]}, expected {str(saved.fingerprint)[:12]}){hint}"
    )
