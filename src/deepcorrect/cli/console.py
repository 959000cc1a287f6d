"""What a person sees in the terminal: tables on standard output."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from statistics import fmean

from deepcorrect.base.tables import Table, print_note, print_table
from deepcorrect.distortions.groups import is_graded
from deepcorrect.evaluation.levels import level_name
from deepcorrect.evaluation.robustness import corruption_of
from deepcorrect.ranking.result import RELIABILITY, Ranking
from deepcorrect.runs.comparison import Comparison
from deepcorrect.runs.ideal import IdealCurves
from deepcorrect.runs.records import Record, Records, views_of_runs
from deepcorrect.runs.transfer import TransferRecord


def tell(message: str) -> None:
    """Print a line on standard error."""
    print(message, file=sys.stderr)


def show_records(records: Sequence[Record]) -> None:
    """A table a distortion, like the paper's Tables 3 and 4, or corruptions by severity."""
    show_runs([records])


def show_runs(runs: Sequence[Sequence[Record]]) -> None:
    """The records of several runs together."""
    for view in views_of_runs([Records(records) for records in runs]):
        print_table(view.table)
        if view.note:
            print_note(view.note)


def show_ranking(ranking: Ranking, counts: Mapping[str, int]) -> None:
    """The most susceptible filters of each layer, and how far the ranking is to be trusted.

    Args:
        counts: how many filters of each layer would be corrected.
    """
    print_table(ranking.table(counts))
    print_note(
        f"{RELIABILITY} Images for the cut: as many a "
        "level put two standard errors between the last filter to be corrected and the next."
    )


def show_ideal(curves: IdealCurves) -> None:
    """Accuracy with shares of one layer ideally corrected, mean over the levels."""
    print_table(
        Table(
            f"Top-1 accuracy under {curves.distortion} with one layer corrected ideally "
            f"({curves.images:,} test images, mean over {len(curves.levels)} levels)",
            ("Layer", *(f"{share:.0%}" for share in curves.shares)),
            [(layer, *(f"{fmean(row):.4f}" for row in rows)) for layer, rows in curves.top1.items()],
        )
    )


def show_comparisons(comparisons: Sequence[Comparison]) -> None:
    """Means with their intervals, differences with theirs, and the p-values of both tests; of corruptions in one table."""
    graded = [comparison for comparison in comparisons if is_graded(corruption_of(comparison.distortion)[1])]
    together = graded if len(graded) > 1 else []
    if together:
        _show_together(together)
    for comparison in comparisons:
        if comparison in together:
            continue
        _show_differences(comparison)
        tested = [pair for pair in comparison.pairs if pair.mcnemar]
        if tested:
            print_table(
                Table(
                    f"p of McNemar's test at each level of {comparison.distortion}",
                    ("Network", "Against", *map(level_name, comparison.levels)),
                    [(pair.network, pair.against, *map(_probability, pair.mcnemar or ())) for pair in comparison.pairs],
                    names=(0, 1),
                )
            )
        for note in comparison.notes:
            print_note(note)
    print_note(
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
    print_table(Table(
        f"Mean {comparison.measured} under {comparison.distortion}",
        ("Network", "Avg", "Against", "Difference", "p (t-test)", "Classes better, worse, equal"),
        rows, names=(0, 2), repeated=2,
    ))  # fmt: skip


def _show_together(comparisons: Sequence[Comparison]) -> None:
    """The differences under several corruptions, and at how many levels McNemar's test gives p < 0.05."""
    rows = [
        (
            comparison.distortion,
            pair.network,
            pair.against,
            f"{pair.difference:+.4f}{_interval(pair.interval, '+.4f')}",
            "" if pair.t_test is None else _probability(pair.t_test),
            "" if pair.mcnemar is None else f"{sum(p < 0.05 for p in pair.mcnemar)} of {len(pair.mcnemar)}",
        )
        for comparison in comparisons
        for pair in comparison.pairs
    ]
    print_table(Table(
        "Difference of mean top-1 accuracy by corruption",
        ("Corruption", "Network", "Against", "Difference", "p (t-test)", "McNemar p < 0.05 at levels"),
        rows, names=(0, 1, 2), repeated=1,
    ))  # fmt: skip
    for note in dict.fromkeys(note for comparison in comparisons for note in comparison.notes):
        print_note(note)


def _interval(interval: tuple[float, float] | None, digits: str) -> str:
    return "" if interval is None else f" [{interval[0]:{digits}}, {interval[1]:{digits}}]"


def _probability(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def show_transfer(records: Sequence[TransferRecord]) -> None:
    """A table a distortion, like the paper's Tables 13 to 15."""
    for (distortion, levels), shown in groupby(records, lambda record: (record.distortion, record.levels)):
        rows = list(shown)
        print_table(
            Table(
                f"Mean accuracy per category of SVMs {'on clean images' if len(levels) == 1 else f'under {distortion}'} "
                f"({len(rows[0].splits)} splits, {rows[0].images[2]:,} test images)",
                ("Network", *map(level_name, levels), "Avg", "± over splits", "Features"),
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
        )
