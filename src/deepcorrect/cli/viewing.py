"""The commands to look at data and results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.cli import options as o
from deepcorrect.cli.application import app


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Finished run folders, shown together.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", help="The page; default: report.html in the first run.")] = None,
) -> None:
    """Look at it: one page with the tables and figures of some runs, from their saved results alone.

    Example: deepcorrect report runs/blur runs/finetune --out report.html
    """
    from deepcorrect.cli.console import show_records
    from deepcorrect.report.page import build_report
    from deepcorrect.runs.results import read_together

    page = build_report(runs, out or runs[0] / "report.html")
    show_records([record for run in read_together(runs) for record in run.records])
    print(page)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Finished run folders.", show_default=False)],
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            help="Network that all others are compared with. Default: up to six all with each other, more with the first "
            "that is no baseline.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Also write the page of report here.")] = None,
    as_json: o.Json = False,
) -> None:
    """Which is better, and is it chance: the networks of some runs, with intervals and paired tests.

    Example: deepcorrect compare runs/fix runs/finetune --against finetune-3
    """
    from deepcorrect.cli.console import show_comparisons, show_records
    from deepcorrect.report.page import build_report
    from deepcorrect.runs.comparison import compare_records
    from deepcorrect.runs.results import read_together

    comparisons = compare_records(runs, against=against)
    if not comparisons:
        raise DeepcorrectError(f"{', '.join(map(str, runs))}: no two networks measured under one distortion at the same levels")
    page = build_report(runs, out) if out else None
    if as_json:
        print(json.dumps({"comparisons": [comparison.model_dump(mode="json") for comparison in comparisons]}))
        return
    show_records([record for run in read_together(runs) for record in run.records])
    show_comparisons(comparisons)
    if page:
        print(page)


@app.command("app")
@o.spread
def show_app(
    model: o.Model,
    common: o.Common,
    correction: Annotated[
        list[str], typer.Option("--correction", help="As of evaluate; again for each further one.", show_default=False)
    ],
    distortion: Annotated[
        str | None, typer.Option("--distortion", help="To begin with. Default: the first correction's.")
    ] = None,
    levels: o.Levels = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="On this machine, 127.0.0.1.")] = 7860,
) -> None:
    """Try your own image: a local page (pip install 'deepcorrect[app]') with the network's answers, corrected or not.

    Example: deepcorrect app allcnn-cifar100 --correction deepcorr-6-blur --data cifar100 --root data
    """
    from deepcorrect.adapters.file import find_correction, read_header
    from deepcorrect.app import Trial, examples_of, require_gradio, serve
    from deepcorrect.cli import context
    from deepcorrect.distortions.registry import ladders_for

    require_gradio()
    paths = {name: find_correction(name) for name in correction}
    with context.open_job(model, common, corrections=list(paths.values())) as job:
        kind, steps = context.ladder_of(job, distortion or read_header(paths[correction[0]]).distortion, levels)
        trial = Trial.of_job(job, paths, context.find_resize(common, model))
        ladders = ladders_for(job.data.ladder) | {kind.name: steps}
        examples = examples_of(job)
    serve(trial, ladders, kind.name, examples, port)


@app.command("data")
@o.spread
def describe_data(
    spec: Annotated[str, typer.Argument(help=o.DATA, show_default=False)],
    images: o.Images,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch CIFAR-100 into --root unless it is there and sound.")
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Check a data set and say what is in it; fetch CIFAR-100.

    Example: deepcorrect data cifar100 --root data --download
    """
    from deepcorrect.cli.context import find_resize, open_data
    from deepcorrect.datasets.cifar100 import download_cifar100, is_complete

    if download:
        if spec != "cifar100" or images.root is None:
            raise DeepcorrectError("--download: only for cifar100, with --root")
        if not is_complete(images.root):
            download_cifar100(images.root)
    found = open_data(spec, images, find_resize(images), whole=True)
    described: dict[str, object] = {
        "data": found.name,
        "classes": len(found.classes),
        "image_shape": found.image_shape,
        "ladder": found.ladder,
        "train": len(found.train),
        "validation": len(found.validation),
        "test": len(found.test),
    }
    if found.undivided:
        parts = found.divided()
        sizes = [len(part) for part in (parts.train, parts.validation, parts.test)]
        described["divided to train"] = sizes if all(sizes) else None
    print(json.dumps(described) if as_json else "\n".join(f"{name}: {value}" for name, value in described.items()))
