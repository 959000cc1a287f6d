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
SETTINGS = "--data digits --layers 3"
TRAINING = "--epochs 10 --batch-size 64"


def commands() -> list[str]:
    """The command lines, in order."""
    lines = [f"train-baseline smallcnn --data digits --epochs 30 --batch-size 64 --out {BASELINE}"]
    folders = [BASELINE]
    for distortion in ("blur", "noise"):
        against = f"{BASELINE} {SETTINGS} --distortion {distortion}"
        ranked, corrected, random, tuned = (f"{RUNS / distortion}-{name}" for name in ("rank", "correct", "random", "finetune"))
        lines += [
            f"rank {against} --images 200 --ideal 0.1,0.25,0.5,0.75,0.9 --out {ranked}",
            f"correct {against} {TRAINING} --unit wide --ranked-by {ranked} --out {corrected}",
            f"correct {against} {TRAINING} --unit wide --ranking random --out {random}",
            f"finetune {against} {TRAINING} --out {tuned}",
        ]
        folders += [Path(name) for name in (ranked, corrected, random, tuned)]
    return [*lines, f"report {' '.join(map(str, folders))} --out {RUNS / 'report.html'}"]


if __name__ == "__main__":
    for line in commands():
        print(f"\n$ deepcorrect {line}", flush=True)
        status = app(shlex.split(line), standalone_mode=False)
        if status:
            sys.exit(status)
