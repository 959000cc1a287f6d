"""Files that are never half there: written aside, then renamed."""

from __future__ import annotations

import codecs
import errno
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.formats import stamped, unstamped

_HEADER = "deepcorrect"
"""The key of the metadata of a safetensors file."""


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give a path to write to; it takes ``path``'s place at the end of the context, or vanishes if writing fails.

    Raises:
        DeepcorrectError: it cannot be written, for instance because the disk is full; what else fails is raised as it is.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        raise DeepcorrectError(f"{path}: cannot be written: {_reason(error)}") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


_REMEDIES = {
    errno.ENOSPC: "free some, or write to another folder",
    errno.EDQUOT: "free some, or write to another folder",
    errno.ENOENT: "make its folder first",
}


def _reason(error: OSError | SafetensorError) -> str:
    """What the system says, and what helps; safetensors tells it in its message alone."""
    told = re.search(r"\(os error (\d+)\)", str(error))
    number = getattr(error, "errno", None) or (int(told[1]) if told else None)
    if number is None:
        return str(error)
    return f"{os.strerror(number)}; {_REMEDIES.get(number, 'write to another folder')}"


def read_text(path: Path) -> str:
    """A text file that a person wrote: UTF-8, or what its byte order mark says; line ends of any system.

    Raises:
        DeepcorrectError: it cannot be read, or its encoding is not certain.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DeepcorrectError(f"{path}: cannot be read ({error.strerror})") from None
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DeepcorrectError(f"{path}: line {line} is not {encoding.upper()} text; save the file as UTF-8") from None
    if "\0" in text:
        raise DeepcorrectError(f"{path}: neither UTF-8 text nor marked as another encoding; save the file as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # its mark begins with that of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file that a person wrote.

    Raises:
        DeepcorrectError: as ``read_text``, or it is not TOML.
    """
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise DeepcorrectError(f"{path}: not TOML: {error}") from None


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    with written_aside(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file with the version of its format."""
    write_text(path, json.dumps(stamped(content), indent=1))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file, without the version of its format.

    Raises:
        DeepcorrectError: it cannot be read, is none, or is of a newer version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DeepcorrectError(f"{path}: cannot be read ({error})") from None
    if not isinstance(content, dict):
        raise DeepcorrectError(f"{path}: not a JSON object")
    return unstamped(path, content)


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], *, half: bool = False, header: Mapping[str, Any] | None = None
) -> None:
    """Write a safetensors file, its metadata one JSON object with the version of its format.

    Args:
        half: store floating-point numbers in half precision.
        header: what else its metadata hold.
    """
    stored = {
        name: (value.half() if half and value.is_floating_point() else value).cpu().contiguous().clone()
        for name, value in tensors.items()
    }
    with written_aside(path) as partial:  # a second key of the metadata would come in another order every time
        save_file(stored, partial, metadata={_HEADER: json.dumps(stamped(header or {}))})


def add_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write more tensors, or others of the same names, into a safetensors file that need not be there."""
    write_tensors(path, {**(read_tensors(path) if path.exists() else {}), **tensors})


def read_tensors(path: Path) -> dict[str, Tensor]:
    """A safetensors file.

    Raises:
        DeepcorrectError: it cannot be read, or is of a newer version.
    """
    read_tensors_header(path)
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from None


def read_tensors_header(path: Path) -> dict[str, Any]:
    """As ``tensors_header``.

    Raises:
        DeepcorrectError: the file cannot be read, or is of a newer version.
    """
    try:
        return tensors_header(path)
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from None


def tensors_header(path: Path) -> dict[str, Any]:
    """What the metadata of a safetensors file hold, without the version of its format; nothing if that is no JSON object.

    Raises:
        OSError, SafetensorError: the file cannot be read.
        DeepcorrectError: it is of a newer version.
    """
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
    try:
        header = json.loads(metadata.get(_HEADER, "{}"))
    except (ValueError, RecursionError):
        return {}
    return unstamped(path, header) if isinstance(header, dict) else {}


def _unreadable(path: Path, error: Exception) -> DeepcorrectError:
    return DeepcorrectError(f"{path}: cannot be read ({error}); delete it to have it made again")


@torch.no_grad()
def round_to_half(module: nn.Module) -> None:
    """Round a module's numbers to what half precision keeps, so that what is measured is what is saved."""
    for value in module.state_dict().values():
        if value.is_floating_point():
            value.copy_(value.half())
