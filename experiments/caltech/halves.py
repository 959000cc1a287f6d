"""Two halves of Caltech-101's categories, to correct a network on one and test its features on the other.

``python -m experiments.caltech.halves data/caltech-101`` makes ``data/caltech-source`` and ``data/caltech-target``, of links.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

SAME_PHOTOGRAPHS = ("Faces", "Faces_easy")
"""The second are the first, cropped: both belong to one half."""


def halves(categories: Sequence[str]) -> dict[str, list[str]]:
    """Every other category is a target; the others, and those that share photographs, are sources."""
    others = sorted(set(categories) - set(SAME_PHOTOGRAPHS))
    targets = others[::2]
    return {"source": sorted(set(categories) - set(targets)), "target": targets}


def main(arguments: Sequence[str] | None = None) -> None:
    """Link the folders of each half's categories."""
    parser = argparse.ArgumentParser(prog="python -m experiments.caltech.halves", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="of the 101 categories")
    folder = parser.parse_args(arguments).folder
    if not folder.is_dir():
        parser.error(f"{folder}: no such folder")
    for name, categories in halves([each.name for each in folder.iterdir() if each.is_dir()]).items():
        half = folder.with_name(f"caltech-{name}")
        half.mkdir(exist_ok=True)
        for category in categories:
            if not (half / category).exists():
                (half / category).symlink_to(Path("..") / folder.name / category, target_is_directory=True)
        print(f"{half}: {len(categories)} categories")


if __name__ == "__main__":
    main()
