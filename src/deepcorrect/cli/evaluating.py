"""The command that measures what came of it: a network with a saved correction, or without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.cli import options as o
from deepcorrect.cli.application import METHOD, Command, app
from deepcorrect.cli.groups import Common, spread

if TYPE_CHECKING:
    from deepcorrect.pipeline.job import Job
    from deepcorrect.runs.results import Record


@app.command(cls=Command, rich_help_panel=METHOD)
@spread
def evaluate(
    model: o.Model,
    common: Common,
    unlabelled: o.Unlabelled = None,
    correction: o.CorrectionName = None,
    distortion: o.CorrectionsOwn = None,
    levels: o.Levels = None,
    restore: o.Restore = None,
    gate: o.GateFile = None,
    out: o.Out = None,
) -> None:
    """Measure a network, with or without a correction, at every level of one distortion or several.

    Example: deepcorrect evaluate allcnn-cifar100 --correction deepcorr-6-blur --data cifar100 --root data --json
    """
    from deepcorrect.adapters.attach import load_correction
    from deepcorrect.adapters.correction import Correction
    from deepcorrect.adapters.file import find_correction
    from deepcorrect.cli import keeping, loading, parsing
    from deepcorrect.distortions.base import Ladder
    from deepcorrect.distortions.restoration import restored
    from deepcorrect.evaluation.cost import count_parameters
    from deepcorrect.pipeline.measure import measure_each
    from deepcorrect.runs.kinds import kind_of_plan

    if gate is not None:
        _evaluate_gated(model, common, gate, unlabelled, correction, distortion, levels, restore, out)
        return
    path = find_correction(correction) if correction else None
    names = distortion or (parsing.trained_against(path) if path else "blur")
    with loading.open_job(model, common, corrections=[path] if path else [], unlabelled=unlabelled) as job:
        ladders = parsing.ladders_of(job, names, levels)
        settings = {"model": model, "correction": correction, **parsing.described(ladders)}
        settings |= {"restore": restore} if restore else {}
        records = keeping.open_run(job, out, "evaluate", settings, ladders)
        if records is None:
            parts = load_correction(path, job.model, job.example) if path else job.model
            trained = count_parameters(parts.parameters())
            name = f"{correction or 'baseline'}{f' after {restore}' if restore else ''}"
            network = kind_of_plan(parts.plan) if isinstance(parts, Correction) else "restored" if restore else "baseline"
            if restore:
                ladders = [Ladder(restored(each, restore), steps) for each, steps in ladders]
            records = measure_each(job, name, ladders, trained, kind=network)
        keeping.keep(job, records)
    _print(model, job, records, as_json=common.as_json)


def _evaluate_gated(
    model: str, common: Common, gate: Path, unlabelled: Path | None, correction: str | None, distortion: str | None,
    levels: str | None, restore: str | None, out: Path | None,
) -> None:  # fmt: skip
    """The same for a network with a saved gate, under its corrections' distortions if no other is named."""
    from deepcorrect.adapters.gated import corrections_of, load_gate
    from deepcorrect.cli import keeping, loading, parsing
    from deepcorrect.pipeline.gate import measure_gated

    if restore:
        raise DeepcorrectError(f"--restore {restore}: not with --gate; measure one after the other")
    corrections = corrections_of(gate, correction.split(",") if correction else None)
    paths = list(corrections.values())
    names = [distortion] if distortion else list(dict.fromkeys(map(parsing.trained_against, paths)))
    with loading.open_job(model, common, corrections=[*paths, gate], unlabelled=unlabelled) as job:
        ladders = [ladder for name in names for ladder in parsing.ladders_of(job, name, levels)]
        settings = {"model": model, "gate": str(gate), "corrections": list(corrections), **parsing.described(ladders)}
        records = keeping.open_run(job, out, "evaluate", settings, ladders)
        if records is None:
            records = measure_gated(job, load_gate(gate, job.model, paths), "gated", ladders)
        keeping.keep(job, records)
    _print(model, job, records, as_json=common.as_json)


def _print(model: str, job: Job, records: list[Record], *, as_json: bool) -> None:
    from deepcorrect.cli.console import show_records

    if not job.processes.first:
        return
    if as_json:
        measured = [record.model_dump(mode="json") for record in records]
        told = measured[0] if len(measured) == 1 else {"records": measured}
        print(json.dumps({"model": model, "data": job.data.name, **told}))
    else:
        show_records(records)
