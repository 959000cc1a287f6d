"""Measure what helps on bad photographs of letters: ``python -m experiments.chars74k --root data``.

Every finished cell, a method and a seed, is a file in ``results/chars74k`` and is not computed again. The command may be
killed at any point and started again, and several of them divide the cells between them. At the end ``docs/photographs.md``
is written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deepcorrect.base.bars import Bars, errors
from deepcorrect.base.device import keep_memory, resolve_device
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import write_json, write_text
from experiments.chars74k.cells import RESULTS, Cell, Workshop, result_file
from experiments.chars74k.methods import METHODS
from experiments.chars74k.page import PAGE, page
from experiments.chars74k.photographs import load_photographs
from experiments.cifar100 import claimed

RUNS = RESULTS.parents[1] / "runs" / "chars74k"


def main(arguments: Sequence[str] | None = None) -> None:
    """Compute the cells that are neither finished nor being computed by another process."""
    names = [method.name for method in METHODS]
    parser = argparse.ArgumentParser(prog="python -m experiments.chars74k", description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder that holds chars74k (default: data)")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="METHOD", help=", ".join(names))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="default: 0")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of unfinished work and of the trained networks")
    options = parser.parse_args(arguments)
    keep_memory()
    wanted = [Cell(method, seed) for seed in options.seeds for method in METHODS if method.name in options.only]
    with Bars() as bars:
        workshop = Workshop(load_photographs(options.root), options.runs, resolve_device(options.device), bars)
        while (cell := work_on_one(workshop, wanted)) is not None:
            errors.print(f"finished {cell.path}")
    write_text(PAGE, page())
    print(PAGE)


def work_on_one(workshop: Workshop, wanted: Sequence[Cell]) -> Cell | None:
    """Finish the first open cell whose needs are finished and that no other process is computing; None if there is none."""
    for cell in wanted:
        if result_file(cell).exists() or not all(result_file(needed).exists() for needed in cell.needs):
            continue
        with claimed(workshop.runs / f"{cell.path}.lock") as mine:
            if mine and not result_file(cell).exists():
                content = workshop.work(cell)
                RESULTS.mkdir(parents=True, exist_ok=True)
                write_json(result_file(cell), content)
                return cell
    return None


if __name__ == "__main__":
    try:
        main()
    except DeepcorrectError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command continues")
