"""The whole job on scikit-learn's handwritten digits, command by command: ``make demo``.

Every command keeps its results in a folder of its own, so that a second run goes on where the first one stopped.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from deepcorrect.cli import app

RUNS = Path("runs/demo")
BASELINE = RUNS / "baseline"
SETTINGS = "--data digits --layers 3 --epochs 10 --batch-size 64"


def commands() -> list[str]:
    """The command lines, in order."""
    lines = [f"train-baseline smallcnn --data digits --epochs 30 --batch-size 64 --out {BASELINE}"]
    folders = [BASELINE]
    for distortion in ("blur", "noise"):
        against = f"{BASELINE} {SETTINGS} --distortion {distortion}"
        lines += [
            f"correct {against} --unit wide --images 200 --out {RUNS / distortion}-correct",
            f"finetune {against} --out {RUNS / distortion}-finetune",
        ]
        folders += [Path(f"{RUNS / distortion}-correct"), Path(f"{RUNS / distortion}-finetune")]
    return [*lines, f"report {' '.join(map(str, folders))} --out {RUNS / 'report.html'}"]


if __name__ == "__main__":
    for line in commands():
        print(f"\n$ deepcorrect {line}", flush=True)
        status = app(shlex.split(line), standalone_mode=False)
        if status:
            sys.exit(status)
