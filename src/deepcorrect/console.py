"""What a person sees in the terminal: progress bars on standard error, tables on standard output."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
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
from rich.table import Table

from deepcorrect.comparison import Comparison
from deepcorrect.ideal import IdealCurves
from deepcorrect.progress import EpochMetrics
from deepcorrect.ranking import Ranking
from deepcorrect.results import Record, by_ladder
from deepcorrect.transfer import TransferRecord

errors = Console(stderr=True, highlight=False, soft_wrap=True)


class Bars:
    """A progress bar a stage, and a line for each training epoch, on standard error."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
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
        self._task = self._bars.add_task(name, total=total)

    def advance(self, steps: int) -> None:
        """Move the newest bar."""
        if self._task is not None:
            self._bars.advance(self._task, steps)

    def epochs(self, history: Sequence[EpochMetrics]) -> None:
        """One line for the last epoch."""
        last = history[-1]
        errors.print(
            f"epoch {last.epoch}: loss {last.loss:.4f}, validation {last.validation_mean:.4f} "
            f"(clean {last.validation_top1[0]:.4f}), {last.images_per_second:.0f} images/s"
        )

    def tell(self, message: str) -> None:
        """One line."""
        errors.print(message)


def _tables() -> Console:
    """Standard output: as wide as the terminal, or as a table needs where there is none."""
    return Console(width=None if Console().is_terminal else 140)


def show_records(records: Sequence[Record]) -> None:
    """A table a distortion, like the paper's Tables 3 and 4."""
    console = _tables()
    for shown in by_ladder(records):
        table = Table(
            title=f"Top-1 accuracy under {shown[0].distortion} ({shown[0].images:,} test images)", title_justify="left"
        )
        table.add_column("Network")
        for level in shown[0].levels:
            table.add_column("clean" if level == 0 else f"{level:g}", justify="right")
        for heading in ("Avg", "Trainable", "MACs (M)"):
            table.add_column(heading, justify="right")
        for record in shown:
            accuracies = [f"{value:.4f}" for value in (*record.top1, record.mean_top1)]
            cost = f"{record.multiply_accumulates / 1e6:,.1f}"
            table.add_row(record.name, *accuracies, f"{record.trainable_parameters:,}", cost)
        console.print(table)


def show_ranking(ranking: Ranking, counts: Mapping[str, int], shown: int = 6) -> None:
    """The most susceptible filters of each layer, and how far the ranking is to be trusted.

    Args:
        counts: how many filters of each layer would be corrected.
    """
    table = Table(
        title=f"Correction priority under {ranking.distortion} ({ranking.method}, {ranking.images:,} images a level)",
        title_justify="left",
    )
    table.add_column("Layer")
    table.add_column("Filters", justify="right")
    table.add_column(f"First {shown}: filter (gain in {ranking.score} ± standard error)")
    table.add_column("Reliability", justify="right")
    table.add_column("Images for the cut", justify="right")
    for layer, scores in ranking.scores.items():
        errors = ranking.errors.get(layer, (math.nan,) * len(scores))
        first = ", ".join(
            f"{filter_} ({scores[filter_]:+.4f} ± {errors[filter_]:.4f})" for filter_ in ranking.local(layer)[:shown]
        )
        agreed = ranking.reliability.get(layer, {}).get(ranking.score)
        needed = ranking.images_to_separate(layer, counts[layer])
        table.add_row(
            layer,
            str(len(scores)),
            first,
            "" if agreed is None else f"{agreed:.2f}",
            "" if math.isnan(needed) else f"{needed:,.0f}",
        )
    _tables().print(table)
    print(
        "Reliability: rank correlation to be expected of a ranking on as many other images. Images for the cut: as many a\n"
        "level put two standard errors between the last filter to be corrected and the next."
    )


def show_ideal(curves: IdealCurves) -> None:
    """Accuracy with shares of one layer ideally corrected, mean over the levels."""
    table = Table(
        title=f"Top-1 accuracy under {curves.distortion} with one layer corrected ideally "
        f"({curves.images:,} test images, mean over {len(curves.levels)} levels)",
        title_justify="left",
    )
    table.add_column("Layer")
    for share in curves.shares:
        table.add_column(f"{share:.0%}", justify="right")
    for layer, rows in curves.top1.items():
        table.add_row(layer, *(f"{sum(row) / len(row):.4f}" for row in rows))
    _tables().print(table)


def show_comparisons(comparisons: Sequence[Comparison]) -> None:
    """Means with their intervals, differences with theirs, and the p-values of both tests."""
    console = _tables()
    for comparison in comparisons:
        console.print(_differences(comparison))
        if any(pair.mcnemar for pair in comparison.pairs):
            console.print(_image_tests(comparison))
        for note in comparison.notes:
            print(note)
    print(
        "Intervals: 95 %, of 10,000 resamples of the test images. t-test: paired, over the levels, as in the paper.\n"
        "McNemar: exact, image by image, adjusted for the number of levels (Holm), not for that of pairs.\n"
        "Classes: by mean accuracy over the levels."
    )


def _differences(comparison: Comparison) -> Table:
    table = Table(title=f"Mean top-1 accuracy under {comparison.distortion}", title_justify="left")
    for heading in ("Network", "Avg", "Against", "Difference", "p (t-test)", "Classes better, worse, equal"):
        table.add_column(heading, justify="left" if heading in ("Network", "Against") else "right")
    for mean in comparison.means:
        about = (mean.network, f"{mean.top1:.4f}{_interval(mean.interval, '.4f')}")
        pairs = [pair for pair in comparison.pairs if pair.network == mean.network]
        for place, pair in enumerate(pairs):
            classes = pair.classes
            table.add_row(
                *(("", "") if place else about),
                pair.against,
                f"{pair.difference:+.4f}{_interval(pair.interval, '+.4f')}",
                "" if pair.t_test is None else _probability(pair.t_test),
                "" if classes is None else f"{classes.better}, {classes.worse}, {classes.equal}",
            )
        if not pairs:
            table.add_row(*about)
    return table


def _image_tests(comparison: Comparison) -> Table:
    table = Table(title=f"p of McNemar's test at each level of {comparison.distortion}", title_justify="left")
    for heading in ("Network", "Against"):
        table.add_column(heading)
    for level in comparison.levels:
        table.add_column("clean" if level == 0 else f"{level:g}", justify="right")
    for pair in comparison.pairs:
        table.add_row(pair.network, pair.against, *map(_probability, pair.mcnemar or ()))
    return table


def _interval(interval: tuple[float, float] | None, digits: str) -> str:
    return "" if interval is None else f" [{interval[0]:{digits}}, {interval[1]:{digits}}]"


def _probability(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def show_transfer(records: Sequence[TransferRecord]) -> None:
    """A table a distortion, like the paper's Tables 13 to 15."""
    console = _tables()
    for (distortion, levels), shown in groupby(records, lambda record: (record.distortion, record.levels)):
        rows = list(shown)
        table = Table(
            title=f"Mean accuracy per category of SVMs {'on clean images' if len(levels) == 1 else f'under {distortion}'} "
            f"({len(rows[0].splits)} splits, {rows[0].images[2]:,} test images)",
            title_justify="left",
        )
        table.add_column("Network")
        for level in levels:
            table.add_column("clean" if level == 0 else f"{level:g}", justify="right")
        for heading in ("Avg", "± over splits", "Features"):
            table.add_column(heading, justify="right")
        for row in rows:
            accuracies = [f"{value:.4f}" for value in (*row.accuracy, row.mean)]
            spread = "" if row.spread is None else f"{row.spread:.4f}"
            table.add_row(row.name, *accuracies, spread, f"{row.features:,}")
        console.print(table)
