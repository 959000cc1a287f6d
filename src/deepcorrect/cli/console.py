"""What a person sees in the terminal: progress bars on standard error, tables on standard output."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from statistics import fmean
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
from deepcorrect.cli.tables import Cell, show_note, show_table
from deepcorrect.ranking.result import Ranking
from deepcorrect.runs.comparison import Comparison
from deepcorrect.runs.ideal import IdealCurves
from deepcorrect.runs.results import Record, by_ladder
from deepcorrect.runs.transfer import TransferRecord

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


def show_records(records: Sequence[Record]) -> None:
    """A table a distortion, like the paper's Tables 3 and 4."""
    for shown in by_ladder(records):
        show_table(
            f"Top-1 accuracy under {shown[0].distortion} ({shown[0].images:,} test images)",
            ("Network", *map(_level, shown[0].levels), "Avg", "Trainable", "MACs (M)"),
            [
                (
                    record.name,
                    *(f"{value:.4f}" for value in (*record.top1, record.mean_top1)),
                    f"{record.trainable_parameters:,}",
                    f"{record.multiply_accumulates / 1e6:,.1f}",
                )
                for record in shown
            ],
        )


def show_ranking(ranking: Ranking, counts: Mapping[str, int], shown: int = 6) -> None:
    """The most susceptible filters of each layer, and how far the ranking is to be trusted.

    Args:
        counts: how many filters of each layer would be corrected.
    """
    rows: list[Sequence[Cell]] = []
    for layer, scores in ranking.scores.items():
        errors = ranking.errors.get(layer, (math.nan,) * len(scores))
        first = [f"{filter_} ({scores[filter_]:+.4f} ± {errors[filter_]:.4f})" for filter_ in ranking.local(layer)[:shown]]
        agreed = ranking.reliability.get(layer, {}).get(ranking.score)
        needed = ranking.images_to_separate(layer, counts[layer])
        reliability = "" if agreed is None else f"{agreed:.2f}"
        rows.append((layer, str(len(scores)), first, reliability, "" if math.isnan(needed) else f"{needed:,.0f}"))
    show_table(
        f"Correction priority under {ranking.distortion} ({ranking.method}, {ranking.images:,} images a level)",
        (
            "Layer", "Filters", f"First {shown}: filter (gain in {ranking.score} ± standard error)",
            "Reliability", "Images for the cut",
        ),
        rows,
    )  # fmt: skip
    show_note(
        "Reliability: rank correlation to be expected of a ranking on as many other images. Images for the cut: as many a "
        "level put two standard errors between the last filter to be corrected and the next."
    )


def show_ideal(curves: IdealCurves) -> None:
    """Accuracy with shares of one layer ideally corrected, mean over the levels."""
    show_table(
        f"Top-1 accuracy under {curves.distortion} with one layer corrected ideally "
        f"({curves.images:,} test images, mean over {len(curves.levels)} levels)",
        ("Layer", *(f"{share:.0%}" for share in curves.shares)),
        [(layer, *(f"{fmean(row):.4f}" for row in rows)) for layer, rows in curves.top1.items()],
    )


def show_comparisons(comparisons: Sequence[Comparison]) -> None:
    """Means with their intervals, differences with theirs, and the p-values of both tests."""
    for comparison in comparisons:
        _show_differences(comparison)
        tested = [pair for pair in comparison.pairs if pair.mcnemar]
        if tested:
            show_table(
                f"p of McNemar's test at each level of {comparison.distortion}",
                ("Network", "Against", *map(_level, comparison.levels)),
                [(pair.network, pair.against, *map(_probability, pair.mcnemar or ())) for pair in comparison.pairs],
                names=(0, 1),
            )
        for note in comparison.notes:
            show_note(note)
    show_note(
        "Intervals: 95 %, of 10,000 resamples of the test images. t-test: paired, over the levels, as in the paper.\n"
        "McNemar: exact, image by image, adjusted for the number of levels (Holm), not for that of pairs.\n"
        "Classes: by mean accuracy over the levels."
    )


def _show_differences(comparison: Comparison) -> None:
    rows = []
    for mean in comparison.means:
        about = (mean.network, f"{mean.top1:.4f}{_interval(mean.interval, '.4f')}")
        pairs = [pair for pair in comparison.pairs if pair.network == mean.network]
        for pair in pairs:
            classes = pair.classes
            rows.append(
                (
                    *about,
                    pair.against,
                    f"{pair.difference:+.4f}{_interval(pair.interval, '+.4f')}",
                    "" if pair.t_test is None else _probability(pair.t_test),
                    "" if classes is None else f"{classes.better}, {classes.worse}, {classes.equal}",
                )
            )
        if not pairs:
            rows.append((*about, "", "", "", ""))
    show_table(
        f"Mean top-1 accuracy under {comparison.distortion}",
        ("Network", "Avg", "Against", "Difference", "p (t-test)", "Classes better, worse, equal"),
        rows, names=(0, 2), repeated=2,
    )  # fmt: skip


def _level(level: float) -> str:
    return f"{level:g}" if level else "clean"


def _interval(interval: tuple[float, float] | None, digits: str) -> str:
    return "" if interval is None else f" [{interval[0]:{digits}}, {interval[1]:{digits}}]"


def _probability(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def show_transfer(records: Sequence[TransferRecord]) -> None:
    """A table a distortion, like the paper's Tables 13 to 15."""
    for (distortion, levels), shown in groupby(records, lambda record: (record.distortion, record.levels)):
        rows = list(shown)
        show_table(
            f"Mean accuracy per category of SVMs {'on clean images' if len(levels) == 1 else f'under {distortion}'} "
            f"({len(rows[0].splits)} splits, {rows[0].images[2]:,} test images)",
            ("Network", *map(_level, levels), "Avg", "± over splits", "Features"),
            [
                (
                    row.name,
                    *(f"{value:.4f}" for value in (*row.accuracy, row.mean)),
                    "" if row.spread is None else f"{row.spread:.4f}",
                    f"{row.features:,}",
                )
                for row in rows
            ],
        )
