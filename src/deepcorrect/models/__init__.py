"""A network from a spec: shipped weights, an architecture of this package, a run folder, a library's network, or a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, cast

from torch import nn

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.plugins import load_file
from deepcorrect.base.seeding import own_random_state
from deepcorrect.models.exported import load_exported
from deepcorrect.models.head import replace_head
from deepcorrect.models.libraries import library_model, library_preprocessing
from deepcorrect.models.paper.alexnet import AlexNet
from deepcorrect.models.paper.allcnn import AllCNN
from deepcorrect.models.preprocessing import Preprocessing
from deepcorrect.models.shipped import shipped_model, shipped_names
from deepcorrect.models.smallcnn import SmallCNN
from deepcorrect.models.states import load_weights

ARCHITECTURES: Mapping[str, Callable[..., nn.Module]] = {"allcnn": AllCNN, "alexnet": AlexNet, "smallcnn": SmallCNN}
"""Networks that are defined in this package."""


def load_model(
    spec: str, *, classes: int | None = None, channels: int = 3, weights: Path | None = None, seed: int = 0
) -> nn.Module:
    """Make a network; it takes images (B, C, H, W) in [0, 1] and normalises inside.

    Args:
        spec: a shipped name (``allcnn-cifar100``), a run folder of ``train-baseline`` or ``train-head``, a pretrained network
            (``torchvision:NAME``, ``timm:NAME``, ``hf:NAME``), ``file.py:factory``, a program saved by ``torch.export.save``
            (``file.pt2``), or an architecture (``allcnn``, ``alexnet``, ``smallcnn``), which starts from random weights.
        classes: outputs of an architecture; its own default when None.
        channels: image channels, where the architecture leaves the choice.
        weights: a file of the network's state dict, of safetensors or of ``torch.save``, loaded last; a checkpoint that holds
            one, and a prefix that a wrapper gave its names, will do (see ``deepcorrect.models.states``).
        seed: of random weights; the global random state is left as it was.

    Raises:
        DeepcorrectError: unknown spec, a factory that fails, or weights that do not fit.
    """
    with own_random_state(seed):
        model, own_weights = _model(spec, classes, channels)
    weights = weights or own_weights
    if weights is not None:
        load_weights(model, weights)
    return model.eval()


def _model(spec: str, classes: int | None, channels: int) -> tuple[nn.Module, Path | None]:
    """A network, and the file of its weights if they are still to be loaded."""
    shipped = shipped_model(spec)
    if shipped is not None:
        return _architecture(shipped.architecture, shipped.classes, 3), shipped.path
    if Path(spec).is_dir():
        config = _run_config(Path(spec))
        model = load_model(config["model"], classes=config["classes"], channels=config["image_shape"][0])
        if "head" in config:
            replace_head(model, config["head"], config["classes"])
        return model, Path(spec) / "model.safetensors"
    if spec in ARCHITECTURES:
        return _architecture(spec, classes, channels), None
    if spec.endswith(".pt2"):
        return load_exported(Path(spec)), None
    return library_model(spec) or _from_factory(spec), None


def find_preprocessing(spec: str) -> Preprocessing | None:
    """The preprocessing that the network of a spec expects, if it is known, without loading the network.

    Raises:
        DeepcorrectError: unknown spec.
    """
    if Path(spec).is_dir():
        return find_preprocessing(_run_config(Path(spec))["model"])
    if spec.endswith(".pt2") or spec in shipped_names("models"):
        return None
    if spec in ARCHITECTURES:
        return getattr(ARCHITECTURES[spec], "preprocessing", None)
    return library_preprocessing(spec) or getattr(_factory(spec), "preprocessing", None)


def _architecture(name: str, classes: int | None, channels: int) -> nn.Module:
    make = ARCHITECTURES[name]
    options = {"classes": classes, "channels": channels}
    known = signature(make).parameters
    return make(**{option: value for option, value in options.items() if value is not None and option in known})


def _factory(spec: str) -> Callable[[], nn.Module]:
    path, _, name = spec.rpartition(":")
    if not path.endswith(".py"):
        raise DeepcorrectError(
            f"{spec}: unknown network; use a shipped name (allcnn-cifar100), a run folder, torchvision:NAME, "
            f"timm:NAME, hf:NAME, file.py:factory, file.pt2, or one of {', '.join(ARCHITECTURES)}"
        )
    factory = getattr(load_file(Path(path)), name, None)
    if not callable(factory):
        raise DeepcorrectError(f"{spec}: {path} has no function {name!r}")
    return cast(Callable[[], nn.Module], factory)


def _from_factory(spec: str) -> nn.Module:
    factory = _factory(spec)
    try:
        model = factory()
    except Exception as error:
        raise DeepcorrectError(f"{spec}: the factory failed: {type(error).__name__}: {error}") from error
    if not isinstance(model, nn.Module):
        raise DeepcorrectError(f"{spec}: the factory returned {type(model).__name__}, not a torch.nn.Module")
    return model


def _run_config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())["settings"]
        if (folder / "model.safetensors").is_file():
            return config
    except (OSError, ValueError, KeyError):
        pass
    raise DeepcorrectError(f"{folder}: not a finished run of train-baseline or train-head (config.json and model.safetensors)")
