"""A network from a spec: shipped weights, an architecture by name, a run folder, or a factory in a file of yours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file as load_tensors
from torch import nn

from deepcorrect.errors import DeepcorrectError
from deepcorrect.plugins import load_file
from deepcorrect.shipped import shipped_model

ARCHITECTURES = ("allcnn", "alexnet", "smallcnn")


def load_model(
    spec: str, *, classes: int | None = None, channels: int = 3, weights: Path | None = None, seed: int = 0
) -> nn.Module:
    """Make a network; it takes images (B, C, H, W) in [0, 1] and normalises inside.

    Args:
        spec: a shipped name (``allcnn-cifar100``), a run folder of ``train-baseline``, ``file.py:factory``, or an
            architecture (``allcnn``, ``alexnet``, ``smallcnn``), which starts from random weights.
        classes: outputs of an architecture; its own default when None.
        channels: image channels, where the architecture leaves the choice.
        weights: a safetensors file of the network's state dict, loaded last.
        seed: of random weights.

    Raises:
        DeepcorrectError: unknown spec, a factory that fails, or weights that do not fit.
    """
    torch.manual_seed(seed)
    shipped = shipped_model(spec)
    if shipped is not None:
        model = load_model(shipped.architecture, classes=shipped.classes)
        weights = weights or shipped.path
    elif Path(spec).is_dir():
        config = _run_config(Path(spec))
        model = load_model(config["model"], classes=config["classes"], channels=config["image_shape"][0])
        weights = weights or Path(spec) / "model.safetensors"
    elif spec in ARCHITECTURES:
        model = _architecture(spec, classes, channels)
    else:
        model = _from_factory(spec)
    if weights is not None:
        _load_weights(model, weights)
    return model.eval()


def _architecture(name: str, classes: int | None, channels: int) -> nn.Module:
    options = {} if classes is None else {"classes": classes}
    if name == "allcnn":
        from deepcorrect.models.allcnn import AllCNN

        return AllCNN(**options)
    if name == "alexnet":
        from deepcorrect.models.alexnet import AlexNet

        return AlexNet(**options)
    from deepcorrect.models.smallcnn import SmallCNN

    return SmallCNN(channels=channels, **options)


def _from_factory(spec: str) -> nn.Module:
    path, separator, name = spec.rpartition(":")
    if not separator or not path.endswith(".py"):
        raise DeepcorrectError(
            f"{spec}: unknown network; use a shipped name (allcnn-cifar100), a run folder of train-baseline, "
            f"file.py:factory, or one of {', '.join(ARCHITECTURES)}"
        )
    factory = getattr(load_file(Path(path)), name, None)
    if not callable(factory):
        raise DeepcorrectError(f"{spec}: {path} has no function {name!r}")
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
    raise DeepcorrectError(f"{folder}: not a finished run of train-baseline (config.json and model.safetensors)")


def _load_weights(model: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise DeepcorrectError(f"--weights {path}: no such file")
    try:
        model.load_state_dict(load_tensors(path))
    except SafetensorError as error:
        raise DeepcorrectError(f"--weights {path}: not a sound safetensors file ({error})") from None
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise DeepcorrectError(f"--weights {path}: these weights are of another network: {reason}") from None
