"""What in a folder is an image, and what a program or a system has put there for itself."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif"}
SYSTEM = {"__MACOSX", "__pycache__", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}


def is_hidden(path: Path) -> bool:
    """Whether a file or folder is no part of the data: its name starts with a dot, or is one that a system gives."""
    return path.name.startswith(".") or path.name in SYSTEM
