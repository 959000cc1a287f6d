"""Which output of a network each class of a data set is, by name: the classes may be some of the network's, in any order.

An output's name may be a line of ImageNet's lists, ``n01440764 tench, Tinca tinca``: a WordNet id, a name, and synonyms.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import phrase
from deepcorrect.datasets.dataset import Dataset

_ID = re.compile(r"(n\d{8})(?:[\s_.,:-]+(.*))?")


class Name(NamedTuple):
    """A class's name in its parts; ``id`` is empty where it has no WordNet id, ``words`` where it has nothing else."""

    id: str
    words: str

    @classmethod
    def parse(cls, text: str) -> Name:
        """Of a line of a list, a folder or a label."""
        text = unicodedata.normalize("NFC", text.strip())
        match = _ID.fullmatch(text)
        return cls(match[1], (match[2] or "").strip()) if match else cls("", text)

    @property
    def synonyms(self) -> list[str]:
        """What stands between commas."""
        return [part.strip() for part in self.words.split(",") if part.strip()]


def label_by_outputs(data: Dataset, outputs: Sequence[str], warn: Callable[[str], None]) -> Dataset:
    """The data with the numbers of a network's outputs as labels and the names of the outputs as classes.

    If classes and outputs are the same already, nothing changes. Data without labels get the outputs' names.

    Args:
        outputs: the network's, in their order.
        warn: is told which names match only in part or in another spelling, or that no name matches and the order decides.

    Raises:
        DeepcorrectError: as ``match_classes``.
    """
    if not data.classes:
        return replace(data, classes=_shown(outputs))
    matched = match_classes(data.classes, outputs, data.name)
    if matched is None:
        warn(
            f"{data.name}: none of its {len(outputs)} classes has the name of one of the network's outputs "
            f"({data.classes[0]}; {_shown(outputs)[0]}), so classes and outputs are matched by their order"
        )
    if matched is None or matched == tuple(range(len(outputs))):
        return replace(data, numbered=False)
    table, shown = torch.tensor(matched), _shown(outputs)
    pairs = zip(data.classes, (outputs[index] for index in matched), strict=True)
    guessed = [f"{name} as {output}" for name, output in pairs if name != output]
    if guessed and not all(Name.parse(name).id for name in data.classes):
        more = ", ..." if len(guessed) > 3 else ""
        warn(f"{data.name}: classes matched with similar names of the network's outputs: {', '.join(guessed[:3])}{more}")
    return replace(data, classes=shown, numbered=False).each(lambda part: part.labelled(table[part.labels]))


def match_classes(classes: Sequence[str], outputs: Sequence[str], data: str = "the data") -> tuple[int, ...] | None:
    """The index of the output of each class; None if no name matches and there are as many outputs as classes.

    Outputs of the same name are accepted if the classes are in the outputs' order, which a background class may precede.

    The first of these rules that matches decides: the WordNet id; the name itself or the first of its synonyms; the same
    regardless of case, spaces, underscores and hyphens; any synonym.

    Args:
        data: what to call the classes' source in messages.

    Raises:
        DeepcorrectError: a class matches no output or several, or two classes match the same one.
    """
    index = _Index(outputs)
    candidates = [index.find(name) for name in classes]
    first = 1 if outputs and outputs[0].casefold() == "background" and len(outputs) == len(classes) + 1 else 0
    if len(classes) == len(outputs) - first and all(output in matching for output, matching in enumerate(candidates, first)):
        return tuple(range(first, len(outputs)))
    if len(classes) == len(outputs) and not any(candidates):
        return None
    for name, matching in zip(classes, candidates, strict=True):
        if not matching:
            raise DeepcorrectError(
                f"{data}: class {name} matches none of the network's {len(outputs)} outputs by name; "
                f"name the outputs as the data's classes are, in the outputs' order, {_given()}"
            )
        if len(matching) > 1:
            one, other = matching[:2]
            raise DeepcorrectError(
                f"{data}: class {name} may be the network's output {one} ({outputs[one]}) or {other} ({outputs[other]}); "
                f"name its folder by WordNet id, or name the outputs {_given()}"
            )
    chosen = [matching[0] for matching in candidates]
    for label, output in enumerate(chosen):
        if chosen.index(output) < label:
            same = classes[chosen.index(output)]
            raise DeepcorrectError(
                f"{data}: classes {same} and {classes[label]} are both output {output} ({outputs[output]}) of the network; "
                "put their images together"
            )
    return tuple(chosen)


def _given() -> str:
    return phrase(python="as load_dataset's outputs", command_line="in a file for --classes")


class _Index:
    """Outputs by the names that they go by, the most reliable rules first."""

    def __init__(self, outputs: Sequence[str]) -> None:
        parsed = [Name.parse(output) for output in outputs]
        self._ids = _by_key([name.id] for name in parsed)
        self._ways = [
            (_exact, _by_key([name.words, *name.synonyms[:1]] for name in parsed)),
            (_folded, _by_key(map(_folded, [name.words, *name.synonyms[:1]]) for name in parsed)),
            (_folded, _by_key(map(_folded, name.synonyms) for name in parsed)),
        ]

    def find(self, text: str) -> list[int]:
        """The outputs that match a class by the most reliable rule that matches any, by synonyms last."""
        name = Name.parse(text)
        if name.id in self._ids:
            return self._ids[name.id]
        parts = [set(outputs) for part in name.synonyms if (outputs := self._find(part))]
        return self._find(name.words) or sorted(set.intersection(*parts) or set.union(*parts)) if parts else []

    def _find(self, words: str) -> list[int]:
        return next((known[key(words)] for key, known in self._ways if words and key(words) in known), [])


def _by_key(keys: Iterable[Iterable[str]]) -> dict[str, list[int]]:
    outputs: dict[str, list[int]] = {}
    for output, each in enumerate(keys):
        for key in dict.fromkeys(each):
            if key:
                outputs.setdefault(key, []).append(output)
    return outputs


def _exact(words: str) -> str:
    return words


def _folded(words: str) -> str:
    return re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", words.replace("_", " ").strip()).casefold()


def _shown(outputs: Sequence[str]) -> tuple[str, ...]:
    """Names to show for outputs: the first synonym of each, or all of them where several outputs share the first."""
    names = [Name.parse(output) for output in outputs]
    first = [next(iter(name.synonyms), name.id) for name in names]
    count = Counter(first)
    return tuple(name if count[name] == 1 else output for name, output in zip(first, outputs, strict=True))
