"""The command that fits a gate for existing corrections."""

from __future__ import annotations

from deepcorrect.cli import options as o
from deepcorrect.cli.application import METHOD, Command, app
from deepcorrect.cli.groups import Common, spread


@app.command(cls=Command, rich_help_panel=METHOD)
@spread
def gate(
    model: o.Model,
    common: Common,
    correction: o.GatedCorrections,
    clean: o.Clean = 0.995,
    out: o.Out = None,
) -> None:
    """Fit a gate that decides, image by image, whether to correct and with which of several corrections; measure it.

    Clean images then get the answers of the network as it is.

    Example: deepcorrect gate allcnn-cifar100 --correction deepcorr-6-blur,deepcorr-6-noise --data cifar100 --root data --out
    runs/gate
    """
    from deepcorrect.adapters.file import find_correction
    from deepcorrect.cli import keeping, loading
    from deepcorrect.cli.console import tell
    from deepcorrect.pipeline.gate import gate_of, ladders_of, measure_gated

    paths = {name: find_correction(name) for name in correction.split(",")}
    if out is None:
        tell("without --out nothing is kept except what is printed")
    with loading.open_job(model, common, trains=True, corrections=list(paths.values())) as job:
        ladders = ladders_of(job, paths)
        settings = {"model": model, "corrections": list(paths), "clean": clean}
        records = keeping.open_run(job, out, "gate", settings, list(ladders.values()))
        if records is None:
            gated = gate_of(job, paths, ladders, clean=clean)
            records = measure_gated(job, gated, "gated", list(ladders.values()))
        keeping.conclude(job, records, as_json=common.as_json)
