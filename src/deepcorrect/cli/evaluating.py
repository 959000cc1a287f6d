"""The command that measures what came of it: a network with a saved correction, or without."""

from __future__ import annotations

import json

from deepcorrect.cli import options as o
from deepcorrect.cli.application import METHOD, Command, app
from deepcorrect.cli.groups import Common, spread


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
    out: o.Out = None,
) -> None:
    """Measure a network, with or without a correction, at every level of one distortion or several.

    Example: deepcorrect evaluate allcnn-cifar100 --correction deepcorr-6-blur --data cifar100 --root data --json
    """
    from deepcorrect.adapters.attach import load_correction
    from deepcorrect.adapters.correction import Correction
    from deepcorrect.adapters.file import find_correction
    from deepcorrect.cli import keeping, loading, parsing
    from deepcorrect.cli.console import show_records
    from deepcorrect.distortions.base import Ladder
    from deepcorrect.distortions.restoration import restored
    from deepcorrect.evaluation.cost import count_parameters
    from deepcorrect.pipeline.measure import measure_each
    from deepcorrect.runs.kinds import kind_of_plan

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
    if not job.processes.first:
        return
    if common.as_json:
        measured = [record.model_dump(mode="json") for record in records]
        told = measured[0] if len(measured) == 1 else {"records": measured}
        print(json.dumps({"model": model, "data": job.data.name, **told}))
    else:
        show_records(records)
