"""The names of a network's outputs, if a library, a run folder or this package knows them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json
from deepcorrect.datasets.labels import match_classes
from deepcorrect.models.libraries import asking, import_library, torchvision_weights
from deepcorrect.models.shipped import shipped_labels

SYNSETS = Path(__file__).parent / "imagenet_synsets.txt"
"""WordNet ids and synonyms of the 1,000 classes of ImageNet (ILSVRC 2012), in the order that all libraries use."""


def output_names(spec: str) -> tuple[str, ...] | None:
    """The names of a network's outputs in order, without loading the network; None if they are not known.

    Args:
        spec: as for ``deepcorrect.models.load_model``.

    Raises:
        DeepcorrectError: a library is not installed, or does not know the network.
    """
    if Path(spec).is_dir():
        file = Path(spec) / "classes.json"
        return tuple(read_json(file).get("classes", ())) or None if file.is_file() else None
    library, _, name = spec.partition(":")
    if library == "torchvision":
        return with_ids(tuple(torchvision_weights(spec, name).meta.get("categories", ()))) or None
    if library == "timm":
        return _timm_names(spec, name)
    if library == "hf":
        return _huggingface_names(spec, name)
    return shipped_labels(spec)


def with_ids(names: Sequence[str]) -> tuple[str, ...]:
    """ImageNet's class names with the WordNet id and synonyms of each; other names unchanged.

    Names are taken as ImageNet's if 99 % of them match in order; one name for the background may come first.
    """
    lines = SYNSETS.read_text(encoding="utf-8").splitlines()
    start = len(names) - len(lines)
    if start not in (0, 1):
        return tuple(names)
    pairs = list(zip(names[start:], lines, strict=True))
    known = [_is_called(name, line) for name, line in pairs]
    if sum(known) < 0.99 * len(lines):
        return tuple(names)
    full = (line if same else f"{line}, {name}" for (name, line), same in zip(pairs, known, strict=True))
    return (*names[:start], *full)


def _is_called(name: str, line: str) -> bool:
    try:
        return match_classes([name], [line, ""]) == (0,)
    except DeepcorrectError:
        return False


def _timm_names(spec: str, name: str) -> tuple[str, ...] | None:
    timm = import_library(spec, "timm", "timm")
    with asking(spec):
        config = timm.get_pretrained_cfg(name)
        if config is None:
            return None
        if config.label_names:
            described = config.label_descriptions or {}
            return with_ids([described.get(label, label) for label in config.label_names])
        subset = timm.data.infer_imagenet_subset(config.to_dict())
        if subset is None:
            return None
        known = timm.data.ImageNetInfo(subset)
        return tuple(
            f"{label} {text}" for label, text in zip(known.label_names(), known.label_descriptions(), strict=True)
        )  # fmt: skip


def _huggingface_names(spec: str, name: str) -> tuple[str, ...] | None:
    transformers = import_library(spec, "transformers", "transformers")
    with asking(spec):
        given = transformers.AutoConfig.from_pretrained(name).id2label
        names = tuple(str(given[index]) for index in sorted(given))
    if all(re.fullmatch(r"LABEL_\d+", label) for label in names):
        return None
    return with_ids(names)
