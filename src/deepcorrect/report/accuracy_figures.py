"""How accurate the networks are, at what cost: accuracy by severity, the Pareto front, training, ranked against random."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from deepcorrect.report import plots
from deepcorrect.report.drawing import Sheet
from deepcorrect.runs.saved import Section

HEADING = "How accurate, at what cost"


def draw_accuracy_figures(section: Section, sheet: Sheet) -> None:
    """Every figure for which the section's runs have the numbers."""
    _accuracy(section, sheet)
    _cost(section, sheet)
    _training(section, sheet)
    _random(section, sheet)


def _accuracy(section: Section, sheet: Sheet) -> None:
    said = "; ".join(f"{record.name} falls from {record.top1[0]:.3f} to {record.top1[-1]:.3f}" for record in section.records)
    sheet.draw(
        HEADING, "accuracy", f"{section.measured.capitalize()} under {section.increasing}", said,
        lambda axes: plots.plot_accuracy(axes[0], section.records),
        commands=section.commands_of(*section.records),
    )  # fmt: skip


def _cost(section: Section, sheet: Sheet) -> None:
    if len(section.records) < 2:
        return
    said = "; ".join(
        f"{record.name} {record.mean_top1:.3f} with {record.trainable_parameters:,} parameters and "
        f"{record.multiply_accumulates / 1e6:,.1f} million multiply-accumulates"
        for record in section.records
    )

    def draw(axes: Sequence[Axes]) -> None:
        plots.plot_pareto(axes[0], section.records, "trainable_parameters")
        plots.plot_pareto(axes[1], section.records, "multiply_accumulates")

    sheet.draw(
        HEADING, "cost", f"Mean {section.measured} against trained parameters and multiply-accumulates", said, draw,
        commands=section.commands_of(*section.records), grid=(1, 2), size=(10, 4),
    )  # fmt: skip


def _training(section: Section, sheet: Sheet) -> None:
    curves = {str(run.trained_name): run.training for run in section.trained if run.training}
    if curves:
        metrics = {run.validated_by for run in section.trained if run.training}
        measured = "agreement" if metrics == {"agreement"} else "accuracy"
        said = "; ".join(f"{name} ends at {values[-1][1]:.3f}" for name, values in curves.items())
        sheet.draw(
            HEADING, "training", f"Validation {measured} while training", said,
            lambda axes: plots.plot_training(axes[0], curves, measured),
            commands=[run.command_line for run in section.trained],
        )  # fmt: skip


def _random(section: Section, sheet: Sheet) -> None:
    """Ranked filters against random ones, where a run has chosen at random."""
    drawn = [record for record in section.records if record.random]
    ranked = [record for record in section.records if record.kind == "correction" and not record.random]
    if drawn and ranked:
        said = "; ".join(f"{record.name} {record.mean_top1:.3f} on average" for record in (*ranked, *drawn))
        sheet.draw(
            HEADING, "random", "Filters chosen by the ranking and at random", said,
            lambda axes: plots.plot_ranked_and_random(axes[0], [*ranked, *drawn]),
            commands=section.commands_of(*ranked, *drawn),
        )  # fmt: skip
