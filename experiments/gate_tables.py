"""The finished cell of the gate as tables."""

from __future__ import annotations

from statistics import fmean

from deepcorrect.base.files import read_json
from deepcorrect.runs.results import Record
from deepcorrect.runs.sent import shares
from experiments.cells import result_file
from experiments.gating import GateCell
from experiments.markdown import titled


def gate_tables() -> str:
    """Accuracies behind the gate and without it, what it decides, and the mixed stream; nothing without the cell."""
    file = result_file(GateCell())
    if not file.exists():
        return ""
    content = read_json(file)
    records = [Record.model_validate(record) for record in content["records"]]
    levels = ("clean", *(f"level {number}" for number in range(1, len(records[0].levels))))
    accuracies = [
        [f"{record.distortion}, {record.name}", *(f"{value:.4f}" for value in record.top1), f"{record.mean_top1:.4f}"]
        for record in sorted(records, key=lambda record: (record.distortion, record.kind != "baseline", record.name))
    ]
    decided = [
        [f"{record.distortion}, {to}", *(f"{share:.4f}" for share in row)]
        for record in records
        if record.sent
        for to, row in shares(record.sent).items()
    ]
    stream = content["stream"]
    kinds = list(next(iter(stream["by_kind"].values())))
    mixed = [
        [name, *(f"{stream['by_kind'][name][kind]:.4f}" for kind in kinds), f"{top1:.4f}"]
        for name, top1 in stream["top1"].items()
    ]
    parts = (
        titled("A gate before the two shipped corrections", ["Network", *levels, "Avg"], accuracies),
        titled("Shares of images that the gate sends to each correction", ["Sent to", *levels], decided),
        titled(f"A mixed stream of {stream['images']:,} images, one at a time", ["Network", *kinds, "All"], mixed),
    )
    clean = fmean(shares(record.sent)["left alone"][0] for record in records if record.sent)
    return "\n\n".join(parts) + f"\n\nOf clean test images, {clean:.1%} are left to the network as it is."
