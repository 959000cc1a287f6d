"""Job files: a command with its options in a TOML file, so that a whole protocol is a set of files."""

from __future__ import annotations

from pathlib import Path

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_toml


def arguments_of(file: Path) -> list[str]:
    """The command line that a job file stands for: ``command``, ``model``, and an option for each other entry.

    A .toml file that an entry names is looked for beside the job file first.

    Raises:
        DeepcorrectError: the file cannot be read, names no command, or has a table for an option.
    """
    content = read_toml(file)
    if not isinstance(content.get("command"), str) or content["command"] == "run":
        raise DeepcorrectError(f'{file}: it must name a command, such as command = "correct"')
    words = [content.pop("command")]
    if "model" in content:
        words.append(str(content.pop("model")))
    for name, value in content.items():
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict | list) for item in value)):
            raise DeepcorrectError(
                f"{file}: {name}: no option takes a table; give text, a number, true, false or a list of these"
            )
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif isinstance(value, list):
            words += [option, ",".join(map(str, value))]
        elif value is not False:
            beside = file.parent / str(value)
            words += [option, str(beside if str(value).endswith(".toml") and beside.is_file() else value)]
    return words
