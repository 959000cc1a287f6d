"""Measure the paper's CIFAR-100 tables and figures: ``python -m experiments.cifar100 --root data``.

The work is a grid of cells (``experiments.grid``). Each finished cell is a file in ``results/cifar100`` and is not computed
again; delete the file to measure it again. The command may be killed at any point and started again: a training continues
after its last epoch. Several commands that share the folder of runs divide the cells between them; on a small CPU one for
each core is fastest (``OMP_NUM_THREADS=1``). At the end ``docs/results.md`` is written from the finished cells.
"""

from __future__ import annotations

import argparse
import fcntl
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deepcorrect.base.bars import Bars, errors
from deepcorrect.base.device import keep_memory, resolve_device, resolve_precision
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import write_json
from deepcorrect.datasets import load_dataset
from experiments.cells import HERE, Workshop, result_file
from experiments.grid import ORDER, Cell, cells
from experiments.tables import write_page


def main(arguments: Sequence[str] | None = None) -> None:
    """Compute the cells that are neither finished nor being computed by another process."""
    options = _options(arguments)
    keep_memory()
    wanted = cells(options.only, options.recipe, options.seeds)
    if options.list:
        _show(wanted)
        return
    device = resolve_device(options.device)
    with Bars() as bars:
        data = load_dataset("cifar100", root=options.root)
        workshop = Workshop(data, options.runs, device, resolve_precision("auto", device), bars)
        while (cell := work_on_one(workshop, wanted, options.runs)) is not None:
            errors.print(f"finished {cell.path}; {len(_left(wanted))} of {len(wanted)} cells left")
    _show(wanted)
    print(write_page())


def work_on_one(workshop: Workshop, wanted: Sequence[Cell], runs: Path) -> Cell | None:
    """Finish the first open cell whose needs are finished and that no other process is computing; None if there is none."""
    for cell in _left(wanted):
        if any(not result_file(needed).exists() for needed in cell.needs):
            continue
        with claimed(runs / f"{cell.path}.lock") as mine:
            if not mine or result_file(cell).exists():
                continue
            errors.print(f"{cell.path}: started")
            content = workshop.work(cell)
            result_file(cell).parent.mkdir(parents=True, exist_ok=True)
            write_json(result_file(cell), content)
            return cell
    return None


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether the lock could be taken; it is released when the context or the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _left(wanted: Sequence[Cell]) -> list[Cell]:
    return [cell for cell in wanted if not result_file(cell).exists()]


def _show(wanted: Sequence[Cell]) -> None:
    left = _left(wanted)
    for cell in wanted:
        print(f"{'open    ' if cell in left else 'finished'} {cell.path}")
    print(f"{len(wanted) - len(left)} of {len(wanted)} cells finished")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments.cifar100", description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder that holds cifar-100-python (default: data)")
    parser.add_argument("--only", nargs="+", choices=ORDER, default=ORDER, metavar="TABLE", help=", ".join(ORDER))
    parser.add_argument("--recipe", default="fast", help="fast (default) or paper")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="default: 0")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument("--runs", type=Path, default=HERE.parent / "runs" / "cifar100", help="folder of unfinished work")
    parser.add_argument("--list", action="store_true", help="show which cells are finished, and do nothing")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except DeepcorrectError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command continues")
