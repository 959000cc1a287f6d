"""The section on corrections without labels."""

from __future__ import annotations

from collections.abc import Sequence

from deepcorrect.base.files import read_json
from deepcorrect.runs.results import Record, Results
from experiments.cells import result_file
from experiments.finished import baseline, mean_top1, recipes, saved
from experiments.grid import DISTORTIONS, deepcorr
from experiments.markdown import titled
from experiments.unlabelled import UnlabelledCell


def unlabelled_table() -> str:
    """Deepcorr-6 with labels and without, each as measured by the labels of the test images; seed 0."""
    rows = []
    for recipe in recipes():
        for distortion in DISTORTIONS:
            file = result_file(UnlabelledCell(distortion, recipe, 0))
            if file.exists():
                without = Results.model_validate(read_json(file)).records[-1:]
                named = {"as it is": [baseline(distortion)], "labels": saved(deepcorr(6), distortion, recipe)[:1]}
                for name, records in (named | {"no labels": without}).items():
                    rows += _row(f"{distortion}, {name}, {recipe}", records)
    if not rows:
        return ""
    headings = ["Network", "clean", *(f"level {number}" for number in range(1, 7)), "Avg"]
    text = (
        "\n\nWithout labels, filters are ranked, units trained and the epoch chosen by what the network itself answers to the "
        "clean images. Accuracy is measured by the labels of the test images."
    )
    return titled("Deepcorr-6 without labels", headings, rows) + text


def _row(name: str, records: Sequence[Record]) -> list[list[str]]:
    return [[name, *(f"{value:.4f}" for value in mean_top1([record])), f"{record.mean_top1:.4f}"] for record in records]
