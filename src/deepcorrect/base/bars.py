"""Progress bars on standard error, in a terminal or a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from deepcorrect.base.names import encodable, readable
from deepcorrect.base.progress import EpochMetrics

errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


class Bars:
    """A progress bar a stage, and a line for each training epoch, on standard error."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(), console=errors,
        )  # fmt: skip
        self._task: TaskID | None = None

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def stage(self, name: str, total: int) -> None:
        """A new bar."""
        self._task = self._bars.add_task(readable(name), total=total)

    def advance(self, steps: int) -> None:
        """Move the newest bar."""
        if self._task is not None:
            self._bars.advance(self._task, steps)

    def epochs(self, history: Sequence[EpochMetrics]) -> None:
        """One line for the last epoch."""
        last = history[-1]
        errors.print(
            f"epoch {last.epoch}: loss {last.loss:.4f}, validation {last.validation_mean:.4f} "
            f"(clean {last.validation[0]:.4f}), {last.images_per_second:.0f} images/s"
        )

    def tell(self, message: str) -> None:
        """One line."""
        errors.print(encodable(message))
