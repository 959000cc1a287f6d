"""Which output of a network a class is, by their names: classes of a folder are few or many of a network's, in any order.

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
        found = _ID.fullmatch(text)
        return cls(found[1], (found[2] or "").strip()) if found else cls("", text)

    @property
    def synonyms(self) -> list[str]:
        """What stands between commas."""
        return [part.strip() for part in self.words.split(",") if part.strip()]


def label_by_outputs(data: Dataset, outputs: Sequence[str], warn: Callable[[str], None]) -> Dataset:
    """The data with labels that number a network's outputs, and the outputs' names for classes.

    Where they are the data's own already, nothing changes.

    Args:
        outputs: the network's, in their order.
        warn: told of names that are found by a part or another spelling, or that the order decides, as none is known.

    Raises:
        DeepcorrectError: as ``match_classes``.
    """
    found = match_classes(data.classes, outputs, data.name)
    if found is None:
        warn(
            f"{data.name}: none of its {len(outputs)} classes is called like the network's outputs "
            f"({data.classes[0]}; {_shown(outputs)[0]}), so they are taken in their order"
        )
    if found is None or found == tuple(range(len(outputs))):
        return replace(data, numbered=False)
    table, shown = torch.tensor(found), _shown(outputs)
    guessed = [f"{name} as {outputs[place]}" for name, place in zip(data.classes, found, strict=True) if name != outputs[place]]
    if guessed and not all(Name.parse(name).id for name in data.classes):
        warn(f"{data.name}: classes found among the network's outputs: {', '.join(guessed[:3])}{', ...' * (len(guessed) > 3)}")
    return replace(data, classes=shown, numbered=False).each(lambda part: part.labelled(table[part.labels]))


def match_classes(classes: Sequence[str], outputs: Sequence[str], data: str = "the data") -> tuple[int, ...] | None:
    """The output of each class; None where no name matches and there are as many of each, so that only the order can decide.

    Names that several outputs have are no obstacle where all classes are in the outputs' order, behind a background if any.

    Names match by WordNet id; as they are, whole or the first of some synonyms; the same with upper and lower case, spaces,
    underscores and hyphens taken as one; and by any synonym: whichever comes first.

    Args:
        data: what to call the classes' source in messages.

    Raises:
        DeepcorrectError: a class that is no output or may be several, or two classes that are the same.
    """
    index = _Index(outputs)
    found = [index.find(name) for name in classes]
    first = 1 if outputs and outputs[0].casefold() == "background" and len(outputs) == len(classes) + 1 else 0
    if len(classes) == len(outputs) - first and all(place in places for place, places in enumerate(found, first)):
        return tuple(range(first, len(outputs)))
    if len(classes) == len(outputs) and not any(found):
        return None
    for name, places in zip(classes, found, strict=True):
        if not places:
            raise DeepcorrectError(
                f"{data}: class {name} is none of the network's {len(outputs)} outputs by name; "
                f"name the outputs as the data's classes are, in the outputs' order, {_given()}"
            )
        if len(places) > 1:
            one, other = places[:2]
            raise DeepcorrectError(
                f"{data}: class {name} may be the network's output {one} ({outputs[one]}) or {other} ({outputs[other]}); "
                f"name its folder by WordNet id, or name the outputs {_given()}"
            )
    chosen = [places[0] for places in found]
    for place, output in enumerate(chosen):
        if chosen.index(output) < place:
            same = classes[chosen.index(output)]
            raise DeepcorrectError(
                f"{data}: classes {same} and {classes[place]} are both output {output} ({outputs[output]}) of the network; "
                "put their images together"
            )
    return tuple(chosen)


def _given() -> str:
    return phrase(python="as load_dataset's outputs", command_line="in a file for --classes")


class _Index:
    """Outputs by what they may be called, the surest ways first."""

    def __init__(self, outputs: Sequence[str]) -> None:
        parsed = [Name.parse(output) for output in outputs]
        self._ids = _by_key([name.id] for name in parsed)
        self._ways = [
            (_exact, _by_key([name.words, *name.synonyms[:1]] for name in parsed)),
            (_folded, _by_key(map(_folded, [name.words, *name.synonyms[:1]]) for name in parsed)),
            (_folded, _by_key(map(_folded, name.synonyms) for name in parsed)),
        ]

    def find(self, text: str) -> list[int]:
        """All outputs that a class may be in the surest way that knows any; by its synonyms together if none knows it whole."""
        name = Name.parse(text)
        if name.id in self._ids:
            return self._ids[name.id]
        parts = [set(places) for part in name.synonyms if (places := self._find(part))]
        return self._find(name.words) or sorted(set.intersection(*parts) or set.union(*parts)) if parts else []

    def _find(self, words: str) -> list[int]:
        return next((known[key(words)] for key, known in self._ways if words and key(words) in known), [])


def _by_key(keys: Iterable[Iterable[str]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, each in enumerate(keys):
        for key in dict.fromkeys(each):
            if key:
                found.setdefault(key, []).append(place)
    return found


def _exact(words: str) -> str:
    return words


def _folded(words: str) -> str:
    return re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", words.replace("_", " ").strip()).casefold()


def _shown(outputs: Sequence[str]) -> tuple[str, ...]:
    """What to call outputs: the first name of each, or all of it where several begin with the same."""
    names = [Name.parse(output) for output in outputs]
    first = [next(iter(name.synonyms), name.id) for name in names]
    count = Counter(first)
    return tuple(name if count[name] == 1 else output for name, output in zip(first, outputs, strict=True))
