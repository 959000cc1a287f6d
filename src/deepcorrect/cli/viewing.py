"""The commands to look at data and results."""

from __future__ import annotations

import json

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.cli import options as o
from deepcorrect.cli.application import PREPARATION, RESULTS, Command, app
from deepcorrect.cli.groups import Common, Images, spread


@app.command(cls=Command, rich_help_panel=RESULTS)
def report(
    runs: o.Runs,
    out: o.Page = None,
) -> None:
    """Write one HTML page with the tables and figures of finished runs, from their saved results alone.

    Example: deepcorrect report runs/fix runs/finetune --out report.html
    """
    from deepcorrect.cli.console import show_runs
    from deepcorrect.report.page import build_report
    from deepcorrect.runs.results import read_together

    page = build_report(runs, out or runs[0] / "report.html")
    show_runs([run.records for run in read_together(runs)])
    print(page)


@app.command(cls=Command, rich_help_panel=RESULTS)
def compare(
    runs: o.Runs,
    against: o.Against = None,
    out: o.PageToo = None,
    as_json: o.Json = False,
) -> None:
    """Compare the networks of finished runs: which is better, and could it be chance? With intervals and paired tests.

    Example: deepcorrect compare runs/fix runs/finetune --against finetune-3
    """
    from deepcorrect.cli.console import show_comparisons, show_runs
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
    show_runs([run.records for run in read_together(runs)])
    show_comparisons(comparisons)
    if page:
        print(page)


@app.command("app", cls=Command, rich_help_panel=RESULTS)
@spread
def show_app(
    model: o.Model,
    common: Common,
    correction: o.EachCorrection,
    distortion: o.FirstDistortion = None,
    levels: o.Levels = None,
    port: o.Port = 7860,
) -> None:
    """Try your own images on a local page that shows what the network answers, corrected and not.

    It needs Gradio: pip install 'deepcorrect[app]'.

    Example: deepcorrect app allcnn-cifar100 --correction deepcorr-6-blur --data cifar100 --root data
    """
    from deepcorrect.adapters.file import find_correction
    from deepcorrect.app import Trial, examples_of, require_gradio, serve
    from deepcorrect.cli import loading, parsing
    from deepcorrect.distortions.base import parts_of
    from deepcorrect.distortions.registry import ladders_for

    require_gradio()
    paths = {name: find_correction(name) for name in correction}
    with loading.open_job(model, common, corrections=list(paths.values())) as job:
        own = parsing.ladder_of(job, distortion or parsing.trained_against(paths[correction[0]]), levels)
        shown = {ladder.distortion.name: ladder for ladder in parts_of([own])}
        trial = Trial.of_job(job, paths, loading.find_resize(common, model))
        ladders = ladders_for(job.data.ladder) | shown
        examples = examples_of(job)
    serve(trial, ladders, next(iter(shown)), examples, port)


@app.command("data", cls=Command, rich_help_panel=PREPARATION)
@spread
def describe_data(
    spec: o.Spec,
    images: Images,
    download: o.Download = False,
    as_json: o.Json = False,
) -> None:
    """Check a data set and print what is in it; download CIFAR-100.

    Example: deepcorrect data cifar100 --root data --download
    """
    from deepcorrect.cli.loading import find_resize, open_data
    from deepcorrect.datasets.cifar100 import download_cifar100, is_complete

    if download:
        if spec != "cifar100" or images.root is None:
            raise DeepcorrectError("--download: only for cifar100, with --root")
        if not is_complete(images.root):
            download_cifar100(images.root)
    data = open_data(spec, images, find_resize(images), whole=True)
    described: dict[str, object] = {
        "data": data.name,
        "classes": len(data.classes),
        "image_shape": data.image_shape,
        "ladder": data.ladder,
        "train": len(data.train),
        "validation": len(data.validation),
        "test": len(data.test),
    }
    if data.undivided:
        parts = data.divided()
        sizes = [len(part) for part in (parts.train, parts.validation, parts.test)]
        described["divided to train"] = sizes if all(sizes) else None
    print(json.dumps(described) if as_json else "\n".join(f"{name}: {value}" for name, value in described.items()))
