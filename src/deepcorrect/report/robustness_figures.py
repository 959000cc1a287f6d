"""Accuracy under several corruptions: a heat map of each network, and of what it gains over the baseline."""

from __future__ import annotations

from deepcorrect.report import plots
from deepcorrect.report.drawing import Sheet
from deepcorrect.runs.saved import Robustness, Section

HEADING = "Corruptions by severity"


def draw_robustness_figures(section: Section, sheet: Sheet) -> None:
    """Nothing where the section is of one distortion."""
    for network in section.robustness:
        _accuracy(network, section, sheet)
    for network in section.robustness[1:]:
        if section.robustness[0].baseline:
            _gain(network, section.robustness[0], section, sheet)


def _accuracy(network: Robustness, section: Section, sheet: Sheet) -> None:
    worst = min(network.corruptions, key=lambda name: network.mean([name]))
    records = [record for record in section.records if record.name == network.network]
    sheet.draw(
        HEADING, f"robustness-{network.network}", f"Accuracy of {network.network} by corruption and severity",
        f"{network.summary} Lowest under {worst}, {network.mean([worst]):.3f} on average",
        lambda axes: plots.plot_robustness(axes[0], network),
        commands=section.commands_of(*records), note=network.summary, size=plots.robustness_size(network),
    )  # fmt: skip


def _gain(network: Robustness, first: Robustness, section: Section, sheet: Sheet) -> None:
    gains = {name: network.mean([name]) - first.mean([name]) for name in first.corruptions}
    most = max(gains, key=lambda name: gains[name])
    sheet.draw(
        HEADING, f"gain-{network.network}", f"Accuracy of {network.network} less that of {first.network}",
        f"Mean {network.mean() - first.mean():+.3f}; most under {most}, {gains[most]:+.3f}",
        lambda axes: plots.plot_gain(axes[0], network, first),
        commands=section.commands_of(*section.records), size=plots.robustness_size(network),
    )  # fmt: skip
