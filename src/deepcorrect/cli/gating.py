"""Gates on the command line: fitted for existing corrections, and measured."""

from __future__ import annotations

from pathlib import Path

from deepcorrect.base.errors import DeepcorrectError
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


def evaluate_gated(
    model: str,
    common: Common,
    gate: Path,
    correction: str | None,
    distortion: str | None,
    levels: str | None,
    out: Path | None,
) -> None:
    """Measure a network with a saved gate, under its corrections' distortions if no other is named."""
    from deepcorrect.adapters.file import read_header
    from deepcorrect.adapters.gated import corrections_of, load_gate
    from deepcorrect.cli import keeping, loading, parsing
    from deepcorrect.pipeline.gate import measure_gated

    corrections = corrections_of(gate, correction.split(",") if correction else None)
    paths = list(corrections.values())
    own = list(dict.fromkeys(read_header(path).distortion for path in paths))
    with loading.open_job(model, common, corrections=[*paths, gate]) as job:
        ladders = [ladder for name in ([distortion] if distortion else own) for ladder in parsing.ladders_of(job, name, levels)]
        settings = {
            "model": model,
            "gate": str(gate),
            "corrections": list(corrections),
            "ladders": [[ladder.distortion.name, *ladder.levels] for ladder in ladders],
        }
        records = keeping.open_run(job, out, "evaluate", settings, ladders)
        if records is None:
            records = measure_gated(job, load_gate(gate, job.model, paths), "gated", ladders)
        keeping.conclude(job, records, as_json=common.as_json)


def require_alone(restore: str | None, unlabelled: Path | None) -> None:
    """Refuse options that do not go with a gate."""
    for option, value in (("--restore", restore), ("--unlabelled", unlabelled)):
        if value is not None:
            raise DeepcorrectError(f"{option} {value}: not with --gate; measure one after the other")
