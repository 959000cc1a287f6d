"""Files that name a network's outputs: one name per line, or JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_text


def read_class_names(path: Path) -> tuple[str, ...]:
    """The names of a network's outputs, in order.

    Args:
        path: a text file with one name per line, numbered or not, as in ImageNet's ``synset_words.txt``; or JSON: a list, or an
            object (``{"0": "tench"}``, ``{"0": ["n01440764", "tench"]}``, ``{"tench": 0}``, or a ``config.json`` with
            ``id2label``).

    Raises:
        DeepcorrectError: the file cannot be read, has gaps, or gives two outputs the same name.
    """
    text = read_text(path).strip("\r\n\t ")
    names = _from_json(path, text) if text[:1] in ("{", "[") else _from_lines(path, text)
    if not names:
        raise DeepcorrectError(f"{path}: it is empty; give the names of the network's outputs, one a line")
    first: dict[str, int] = {}
    for output, name in enumerate(names):
        if (other := first.setdefault(name, output)) != output:
            raise DeepcorrectError(f"{path}: outputs {other} and {output} are both called {name}; give each a name of its own")
    return tuple(names)


def _from_lines(path: Path, text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    if text and not all(lines):
        raise DeepcorrectError(f"{path}: line {lines.index('') + 1} is empty; give every output a name")
    for pattern in (r"(?P<number>\d+)[\s:.,;)]+(?P<name>.*\S)", r"(?P<name>\S.*?)[\s:,;]+(?P<number>\d+)"):
        matches = [match for line in lines if (match := re.fullmatch(pattern, line))]
        if len(matches) == len(lines) > 1 and [int(match["number"]) for match in matches] in (
            list(range(len(lines))), list(range(1, len(lines) + 1))
        ):  # fmt: skip
            return [match["name"] for match in matches]
    return lines


def _from_json(path: Path, text: str) -> list[str]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise DeepcorrectError(f"{path}: not sound JSON ({error})") from None
    if isinstance(content, dict):
        content = content.get("id2label", content)
    if isinstance(content, dict):
        if content and all(type(value) is int for value in content.values()):
            content = [(value, key) for key, value in content.items()]
        elif all(key.isdecimal() for key in content):
            content = [(int(key), value) for key, value in content.items()]
        else:
            raise DeepcorrectError(f"{path}: neither all of its keys nor all of its values are numbers of outputs")
        content.sort(key=lambda pair: pair[0])
        if [number for number, _ in content] != list(range(len(content))):
            raise DeepcorrectError(f"{path}: its numbers are not 0 to {len(content) - 1}, each exactly once")
        content = [value for _, value in content]
    names = [" ".join(map(str, each)) if isinstance(each, list) else each for each in content]
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise DeepcorrectError(f"{path}: not all of its {len(names)} names are text")
    return [name.strip() for name in names]
