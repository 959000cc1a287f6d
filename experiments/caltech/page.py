"""The page of the Caltech-101 study: ``python -m experiments.caltech.page`` writes ``docs/caltech.md``.

Finished runs under ``runs/caltech`` are first copied into ``results/caltech``, from which the page is written.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from deepcorrect.base.files import read_json, write_json, write_text
from deepcorrect.evaluation.significance import paired_t_test
from deepcorrect.ranking.result import Ranking
from deepcorrect.runs.results import Record, Results
from deepcorrect.runs.transfer import CLEAN, TransferRecord, read_transfer
from experiments.markdown import titled

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RESULTS = ROOT / "results" / "caltech"
PAGE = ROOT / "docs" / "caltech.md"
DISTORTIONS = ("blur", "noise")
NETWORKS = {
    "EfficientNet-Lite0, target categories": "transfer-target.json",
    "EfficientNet-Lite0, all categories": "transfer-efficientnet.json",
    "AllCNN of CIFAR-100": "transfer-allcnn.json",
}
BLOCKS_WITH_SKIP = (2, 4, 6, 7, 9, 10, 12, 13, 14)
"""Of EfficientNet-Lite0's sixteen; the others have no skip connection."""


def take_over(runs: Path) -> None:
    """Copy the results of finished runs; of a ranking, only the sum for each layer."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    for folder in sorted(runs.iterdir()) if runs.is_dir() else ():
        results = folder / "results.json"
        if (folder / "transfer.json").is_file():
            shutil.copyfile(folder / "transfer.json", RESULTS / f"{folder.name}.json")
        elif not results.is_file():
            continue
        elif (folder / "ranking.json").is_file() and read_json(results)["command"] == "rank":
            ranking = Ranking.load(folder / "ranking.json")
            sums = {layer: sum(scores) for layer, scores in ranking.scores.items()}
            summary = {"score": ranking.score, "method": ranking.method, "images": ranking.images, "sums": sums}
            write_json(RESULTS / f"{folder.name}.json", summary | {"provenance": read_json(results)["provenance"]})
        else:
            shutil.copyfile(results, RESULTS / f"{folder.name}.json")


def page() -> str:
    """The whole page, from what is in ``results/caltech``."""
    head = (HERE / "page_head.md").read_text().rstrip()
    all_categories = [_accuracies(distortion, f"Corrected for {distortion}", [distortion]) for distortion in DISTORTIONS]
    sources = [
        _accuracies(
            distortion,
            f"The 51 source categories under {distortion}",
            [f"source-{distortion}", f"source-finetune-{distortion}"],
        )
        for distortion in DISTORTIONS
    ]
    parts = [head, _damage(), *all_categories, *sources, _transfer(), _transfer_differences(), _origins()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _damage() -> str:
    """The sum of the estimated gains of a layer's filters."""
    sums = {name: _saved(f"rank-{name}") for name in DISTORTIONS}
    if None in sums.values():
        return ""
    rows = []
    for block in range(16):
        layer = f"network._blocks.{block}._project_conv"
        values = [f"{summary['sums'][layer]:.3f}" for summary in sums.values() if summary]
        rows.append([f"block {block}", "yes" if block in BLOCKS_WITH_SKIP else "**no**", *values])
    headings = ["Last convolution of", "Skip connection around it", *DISTORTIONS]
    return titled("Where the damage passes: sum of the gains of a layer's filters", headings, rows)


def _accuracies(distortion: str, title: str, names: Sequence[str]) -> str:
    """The networks of some runs, the first run's baseline above them."""
    runs = [Results.model_validate(content).records for content in map(_saved, names) if content is not None]
    if not runs:
        return ""
    records = [runs[0][0], *(run[-1] for run in runs)]
    before, rows = records[0], []
    for record in records:
        recovered = "" if record is before else f"{_recovered(before, record):.0%}"
        levels = [f"{value:.4f}" for value in record.top1]
        trained = "" if record is before else f"{record.trainable_parameters:,}"
        costs = [trained, f"{record.multiply_accumulates / 1e6:,.0f}"]
        rows.append([record.name, *levels, f"{_distorted(record):.4f}", recovered, *costs])
    symbol = {"blur": "σ_b", "noise": "σ_n"}[distortion]
    headings = ["Network", *(f"{symbol} = {level:g}" for level in before.levels), "Mean of the six", "Recovered"]
    return titled(title, [*headings, "Trained parameters", "MACs (M)"], rows)


def _transfer() -> str:
    """Tables 13 to 15 for Caltech-101, ours and the paper's."""
    tables = read_json(HERE.parent / "paper_tables.json")
    paper = {number: tables[f"table{number}"] for number in (13, 14, 15)}
    rows = []
    for network, file in NETWORKS.items():
        for record in sorted(_transferred(file), key=lambda record: [CLEAN, *DISTORTIONS].index(record.distortion)):
            spread = "" if record.spread is None else f" ± {record.spread:.4f}"
            seen = "clean only" if record.distortion == CLEAN else record.distortion
            worst = "" if len(record.levels) == 1 else f"{record.accuracy[-1]:.4f}"
            rows.append(
                [f"{network}, {_variant(record)}", seen, f"{record.accuracy[0]:.4f}", worst, f"{record.mean:.4f}{spread}"]
            )
    if not rows:
        return ""
    clean = f"*{paper[13]['caltech101']:.4f}*"
    rows.append(["*AlexNet, Baseline, paper*", "*clean only*", clean, "", clean])
    for number, distortion in ((14, "blur"), (15, "noise")):
        for name, accuracy in paper[number]["rows"]["caltech101"].items():
            rows.append([f"*AlexNet, {name}, paper*", f"*{distortion}*", "", "", f"*{accuracy:.4f}*"])
    headings = ["Features of", "SVMs see", "Clean", "Worst level", "Mean over levels, five splits"]
    return titled("Features for SVMs (Tables 13 to 15): mean accuracy per category", headings, rows)


def _transfer_differences() -> str:
    """Networks compared on the same images and splits."""
    rows = []
    for network, file in NETWORKS.items():
        known = {
            (_variant(record), record.distortion): [fmean(split.accuracy) for split in record.splits]
            for record in _transferred(file)
        }
        for better, worse in (("corrected", "baseline"), ("fine-tuned", "baseline"), ("fine-tuned", "corrected")):
            for distortion in DISTORTIONS:
                first, second = known.get((better, distortion)), known.get((worse, distortion))
                if first and second:
                    gain, p = fmean(first) - fmean(second), paired_t_test(first, second)
                    rows.append([f"{network}, {better} minus {worse}", distortion, f"{gain:+.4f}", f"{p:.2g}"])
    headings = ["Features of", "SVMs see", "Difference of the means", "p (paired t-test over splits)"]
    return titled("Differences between networks over the five splits", headings, rows) if rows else ""


def _transferred(file: str) -> list[TransferRecord]:
    return read_transfer(RESULTS / file) if (RESULTS / file).exists() else []


def _variant(record: TransferRecord) -> str:
    return {"baseline": "baseline", "finetuned": "fine-tuned"}.get(record.kind, "corrected")


def _distorted(record: Record) -> float:
    return sum(record.top1[1:]) / (len(record.top1) - 1)


def _recovered(before: Record, after: Record) -> float:
    """The share of the accuracy lost to the distortion, averaged over the severities, that a correction recovers."""
    return (_distorted(after) - _distorted(before)) / (before.top1[0] - _distorted(before))


def _origins() -> str:
    rows = []
    for file in sorted(RESULTS.glob("*.json")):
        origin = read_json(file)["provenance"]
        machine = origin["machine"]
        computer = f"{machine.get('gpu', machine['processor'])}, {machine['threads']} threads"
        rows.append([file.stem, computer, origin["versions"]["torch"], origin["finished"]])
    return titled("Where they come from", ["Run", "Machine", "torch", "Finished"], rows)


def _saved(name: str) -> dict[str, Any] | None:
    file = RESULTS / f"{name}.json"
    return read_json(file) if file.exists() else None


if __name__ == "__main__":
    take_over(ROOT / "runs" / "caltech")
    write_text(PAGE, page())
    print(PAGE)
