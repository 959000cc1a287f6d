"""Which files under a folder are images: those that Pillow can read, in an order that does not depend on the file system."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.names import readable
from deepcorrect.base.words import argument

STILL = frozenset((
    "AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "JXL", "MPO",
    "PCX", "PNG", "PPM", "QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP",
))  # fmt: skip
"""Formats of photographs and scans, by Pillow's names; no documents, films or icons. Some need a Pillow plugin."""
SUFFIXES = frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in STILL)
"""Of the images that are read, in lower case."""

SYSTEM = frozenset((
    "__macosx", "__pycache__", "@eadir", "#recycle", "@recycle", "$recycle.bin", "lost+found", "system volume information",
))  # fmt: skip
"""Folders of operating systems, storage and Python, in lower case."""
BESIDE = frozenset((".csv", ".db", ".html", ".ini", ".json", ".jsonl", ".log", ".md", ".tsv", ".txt", ".xml", ".yaml", ".yml"))
"""Suffixes of files that describe images; that they are not read needs no warning."""


def is_hidden(path: Path) -> bool:
    """Whether a file or folder, by its name, is hidden or belongs to the system: previews, backups, deleted files."""
    return _is_hidden(path.name)


@dataclass
class PassedOver:
    """What a folder contains that is not read.

    Attributes:
        suffixes: the number of files, by suffix, that are not images Pillow can read here.
        hidden: the number of images that are hidden, or in hidden folders.
        again: the number of links to folders that have been read already.
    """

    suffixes: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    again: int = 0

    def add(self, other: PassedOver) -> None:
        """Add what another folder contains."""
        self.suffixes += other.suffixes
        self.hidden += other.hidden
        self.again += other.again

    def files(self, most: int = 6) -> str:
        """The number of files of each suffix, the most frequent first: ``6 .heic, 1 .mov``."""
        counts = sorted(self.suffixes.items(), key=lambda item: (-item[1], item[0]))
        shown = [f"{count} {readable(suffix) if suffix else 'without a suffix'}" for suffix, count in counts[:most]]
        rest = sum(count for _, count in counts[most:])
        return ", ".join([*shown, f"{rest} of other suffixes"] if rest else shown)

    def lines(self) -> Iterator[str]:
        """What the user should be told, if anything."""
        if self.suffixes:
            yield f"skipped, because Pillow cannot read them here: {self.files()}"
        if self.hidden:
            yield f"skipped: {self.hidden} hidden image(s), such as those in .ipynb_checkpoints"
        if self.again:
            yield f"skipped: {self.again} link(s) to folders that have been read already"


def list_pictures(folder: Path, unreadable: Callable[[str], None] | None = None) -> tuple[list[bytes], PassedOver]:
    """The file names of all images in a folder and its sub-folders, linked ones included, and what else was there.

    They are in the order of sorted paths. Hidden files and folders are left out; a folder that several links point to is read
    once; a missing folder has no images.

    Args:
        unreadable: is told of each sub-folder that cannot be listed; without it they are refused.

    Raises:
        DeepcorrectError: a folder cannot be listed.
    """
    passed, seen = PassedOver(), set[tuple[int, int]]()

    def walk(path: str) -> Iterator[bytes]:
        try:
            status = os.stat(path)
            with os.scandir(path) as unsorted:
                entries = sorted(unsorted, key=lambda entry: entry.name)
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = f"{readable(path)}: this folder cannot be listed ({error.strerror})"
            if unreadable is None:
                raise DeepcorrectError(
                    f"{reason}; make it readable, or leave it out with {argument('skip_bad', True)}"
                ) from None
            return unreadable(f"skipped: {reason}")
        if (status.st_dev, status.st_ino) in seen:
            passed.again += 1
            return None
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            suffix = os.path.splitext(entry.name)[1].lower()
            if _is_folder(entry):
                if _is_hidden(entry.name):
                    passed.hidden += _count(entry.path)
                else:
                    yield from walk(entry.path)
            elif suffix in SUFFIXES and _is_hidden(entry.name):
                passed.hidden += 1
            elif suffix in SUFFIXES and _is_file(entry):
                yield os.fsencode(entry.path)
            elif suffix not in BESIDE and not _is_hidden(entry.name):
                passed.suffixes[suffix] += 1
        return None

    return list(walk(os.fspath(folder))), passed


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """A file, or a broken link, which is reported when it is opened; not a pipe, which would block."""
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))
    except OSError:
        return True


def _count(hidden: str) -> int:
    return sum(os.path.splitext(name)[1].lower() in SUFFIXES for _, _, names in os.walk(hidden) for name in names)
