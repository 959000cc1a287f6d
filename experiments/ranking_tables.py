"""Tables on rankings: how far they agree, and what each way of choosing brings."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from deepcorrect.base.files import read_json
from deepcorrect.ranking.result import SCORES
from experiments.cells import result_file
from experiments.finished import recipes, saved
from experiments.grid import BY_ORDER, DISTORTIONS, RANKED_LAYERS, AgreementCell, ChoiceCell
from experiments.markdown import titled

ESTIMATE = "probability, 1 step"


def agreement_tables() -> str:
    """Reliability by score and number of images, and the estimate beside an exact ranking on other images."""
    cells = list(_finished(AgreementCell))
    if not cells:
        return ""
    counts = list(next(iter(cells[0][1]["reliability"].values())))
    reliable = [
        [name, *(_number(content["reliability"][score][count]) for score in SCORES for count in counts)]
        for name, content in cells
    ]
    headings = ["Layer", *(f"{score}, {count}" for score in SCORES for count in counts)]
    text = titled("Reliability: Spearman correlation of exact rankings on disjoint images", headings, reliable)
    rows = []
    for name, content in cells:
        row = [name]
        for score in ("top1", "probability"):
            correlations = content["agreement"][score]
            for measure in ("spearman", "overlap"):
                row += [_number(correlations["other images"][measure]), _number(correlations[ESTIMATE][measure])]
        rows.append(row)
    headings = ["Layer"]
    for score in ("top1", "probability"):
        for measure in ("Spearman", "overlap of halves"):
            headings += [f"{score}, {measure}: other images", "estimate"]
    title = f"Attribution: agreement with the exact ranking on the same {cells[0][1]['images']} images"
    return f"{text}\n\n{titled(title, headings, rows)}"


def choice_table() -> str:
    """Ideal correction of shares of a layer that were chosen in several ways."""
    rows = []
    for name, content in _finished(ChoiceCell):
        means = {way: [statistics.mean(levels) for levels in shares] for way, shares in content["top1"].items()}
        for index, (share, count) in enumerate(zip(content["shares"], content["filters"], strict=True)):
            best = max(shares[index] for shares in means.values())
            values = [shares[index] for shares in means.values()]
            shown = [f"**{value:.4f}**" if value == best else f"{value:.4f}" for value in values]
            rows.append([f"{name}, {count} filters ({share:.0%})", *shown])
    if not rows:
        return ""
    title = f"Choosing filters: ideal correction on {content['test_images']:,} test images, mean of six levels"
    headings = [{"top1": "the paper's ranking"}.get(way, way) for way in means]
    return titled(title, ["Layer", *headings], rows)


def trained_table() -> str:
    """Deepcorr-3 with filters chosen by several rankings on the same images."""
    rows = []
    for recipe in recipes():
        for distortion in DISTORTIONS:
            for network in BY_ORDER:
                for record in saved(network, distortion, recipe):
                    levels = [f"{value:.4f}" for value in record.top1]
                    chosen = "the paper's ranking" if network.choice == "local" else network.choice
                    rows.append([f"{distortion}, {chosen}, {recipe}", *levels, f"{record.mean_top1:.4f}"])
    if not rows:
        return ""
    headings = ["Chosen by", "clean", *(f"level {number}" for number in range(1, 7)), "Avg"]
    return titled("Deepcorr-3 with filters chosen by rankings on the same 250 images", headings, rows)


def _finished(cell: type[AgreementCell] | type[ChoiceCell]) -> Iterator[tuple[str, dict[str, Any]]]:
    for distortion in DISTORTIONS:
        for layer in RANKED_LAYERS:
            file = result_file(cell(distortion, layer))
            if file.exists():
                yield f"{distortion}, {layer}", read_json(file)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
