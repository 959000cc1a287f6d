"""The commands."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from deepcorrect.cli import options as o
from deepcorrect.errors import DeepcorrectError

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Find the filters of a convolutional network that blur and noise ruin, and repair just those (DeepCorrect).",
)


@app.command()
@o.spread
def assess(
    model: o.Model,
    common: o.Common,
    distortion: Annotated[str, typer.Option("--distortion", help="One or more, separated by commas.")] = "blur,noise",
    levels: o.Levels = None,
    out: o.Out = None,
) -> None:
    """How bad is it: accuracy of a network at every level of each distortion.

    Example: deepcorrect assess allcnn-cifar100 --data cifar100 --root data
    """
    from deepcorrect import pipeline
    from deepcorrect.cli import context

    with context.open_job(model, common) as job:
        ladders = [context.ladder_of(job, name, levels) for name in distortion.split(",")]
        settings = {"model": model, "ladders": [[kind.name, *steps] for kind, steps in ladders]}
        records = context.open_run(job, out, "assess", settings) or pipeline.assess(job, ladders)
        context.conclude(job, records, as_json=common.as_json)


@app.command()
@o.spread
def rank(
    model: o.Model,
    common: o.Common,
    ranked: o.Ranked,
    distortion: o.DistortionName = "blur",
    levels: o.Levels = None,
    layers: o.Layers = "all",
    share: o.Share = "0.5",
    ideal: o.Ideal = None,
    out: o.Out = None,
) -> None:
    """Which filters: the correction priority of every filter (Algorithm 1). Under accelerate launch, processes share the work.

    Example: deepcorrect rank allcnn-cifar100 --data cifar100 --root data --distortion blur --layers 3 --out runs/rank
    """
    from deepcorrect.cli import context
    from deepcorrect.console import show_ideal, show_ranking
    from deepcorrect.ideal import measure_ideal
    from deepcorrect.rank import rank as rank_job
    from deepcorrect.ranking import count_of_share

    options = context.ranking_options(ranked)
    with context.open_job(model, common) as job:
        kind, steps = context.ladder_of(job, distortion, levels)
        chosen = context.pick_convolutions(job, layers)
        shares = dict(zip((layer.name for layer in chosen), context.shares_of(share, chosen), strict=True))
        settings = {"model": model, "distortion": kind.name, "levels": steps, "shares": shares, **asdict(options)}
        del settings["memory"]  # decides no result
        measured = context.read_shares("--ideal", ideal) if ideal else ()
        settings |= {"ideal": measured} if ideal else {}
        context.open_run(job, out, "rank", settings)
        ranking = rank_job(job, kind, steps, chosen, options, shares)
        curves = measure_ideal(job, kind, steps, ranking, chosen, measured, options.images) if ideal else None
        if job.run is not None:
            job.run.finish([], job.device)
    if not job.processes.first:
        return
    if common.as_json:
        print(json.dumps(ranking.as_json() | ({"ideal": curves.model_dump(mode="json")} if curves else {})))
    else:
        show_ranking(ranking, {layer.name: count_of_share(shares[layer.name], layer.filters, layer.name) for layer in chosen})
        if curves is not None:
            show_ideal(curves)


@app.command()
@o.spread
def correct(
    model: o.Model,
    common: o.Common,
    training: o.Training,
    ranked: o.Ranked,
    distortion: o.DistortionName = "blur",
    levels: o.Levels = None,
    layers: o.Layers = "3",
    share: o.Share = "0.5",
    ranking: o.Scope = o.RankingScope.local,
    unit: o.Unit = "cifar",
    no_bn: o.NoBatchNorm = False,
    retrain_last: o.RetrainLast = 0,
    ranked_by: o.RankedBy = None,
    out: o.Out = None,
) -> None:
    """Repair them: train correction units behind the most susceptible filters. Ranks, trains, evaluates and reports.

    Example: deepcorrect correct allcnn-cifar100 --data cifar100 --root data --distortion blur --layers 3 --out runs/fix
    """
    from deepcorrect import pipeline
    from deepcorrect.cli import context

    recipe = context.recipe_for("correct", training, common)
    with context.open_job(model, common) as job:
        kind, steps = context.ladder_of(job, distortion, levels)
        chosen = context.pick_convolutions(job, layers)
        plan = pipeline.CorrectionOptions(
            layers=tuple(layer.name for layer in chosen),
            shares=context.shares_of(share, chosen),
            ranking=ranking.value,
            ranked=context.ranking_options(ranked),
            unit=unit,
            batch_norm=not no_bn,
            retrained=context.last_layers(job, retrain_last),
        )
        pipeline.check_options(job, plan)
        given = context.read_ranking(ranked_by)
        if given is not None:
            pipeline.check_ranking(given, kind, chosen)
        settings = {"model": model, "distortion": kind.name, "levels": steps, **asdict(plan), "half": training.half}
        del settings["ranked"]["memory"]
        settings |= {"recipe": recipe.model_dump(), "ranked_by": str(ranked_by) if ranked_by else None}
        records = context.open_run(job, out, "correct", settings)
        records = records or pipeline.correct(job, kind, steps, plan, recipe, ranking=given, half=training.half)[1]
        context.conclude(job, records, as_json=common.as_json)


@app.command()
@o.spread
def finetune(
    model: o.Model,
    common: o.Common,
    training: o.Training,
    distortion: o.DistortionName = "blur",
    levels: o.Levels = None,
    layers: o.Layers = "3",
    out: o.Out = None,
) -> None:
    """The alternative: train the first layers whole (Finetune-k).

    Example: deepcorrect finetune allcnn-cifar100 --data cifar100 --root data --distortion blur --layers 3 --out runs/ft
    """
    from deepcorrect import pipeline
    from deepcorrect.cli import context
    from deepcorrect.layers import pick

    recipe = context.recipe_for("finetune", training, common)
    with context.open_job(model, common) as job:
        kind, steps = context.ladder_of(job, distortion, levels)
        names = [layer.name for layer in pick(job.layers, layers)]
        settings = {"model": model, "distortion": kind.name, "levels": steps, "layers": names, "half": training.half}
        records = context.open_run(job, out, "finetune", {**settings, "recipe": recipe.model_dump()})
        records = records or pipeline.finetune(job, kind, steps, names, recipe, half=training.half)[1]
        context.conclude(job, records, as_json=common.as_json)


@app.command()
@o.spread
def evaluate(
    model: o.Model,
    common: o.Common,
    correction: o.CorrectionName = None,
    distortion: Annotated[str | None, typer.Option("--distortion", help="Default: the correction's own, else blur.")] = None,
    levels: o.Levels = None,
    restore: o.Restore = None,
    out: o.Out = None,
) -> None:
    """Measure a network, with or without a correction, at every level of one distortion.

    Example: deepcorrect evaluate allcnn-cifar100 --correction deepcorr-6-blur --data cifar100 --root data --json
    """
    from deepcorrect.cli import context
    from deepcorrect.console import show_records
    from deepcorrect.correction import find_correction, load_correction, read_header
    from deepcorrect.cost import count_parameters
    from deepcorrect.job import measure
    from deepcorrect.restoration import restored

    path = find_correction(correction) if correction else None
    trained_against = read_header(path).distortion if path else "blur"
    with context.open_job(model, common) as job:
        kind, steps = context.ladder_of(job, distortion or trained_against, levels)
        settings = {"model": model, "correction": correction, "distortion": kind.name, "levels": steps}
        settings |= {"restore": restore} if restore else {}
        records = context.open_run(job, out, "evaluate", settings)
        if records is None:
            parts = load_correction(path, job.model, job.example) if path else job.model
            trained = count_parameters(parts.parameters())
            name = f"{correction or 'baseline'}{f' after {restore}' if restore else ''}"
            records = [measure(job, name, restored(kind, restore) if restore else kind, steps, trained)]
        context.keep(job, records)
    if not job.processes.first:
        return
    if common.as_json:
        print(json.dumps({"model": model, "data": job.data.name, **records[0].model_dump(mode="json")}))
    else:
        show_records(records)


@app.command()
@o.spread
def transfer(
    model: o.Model,
    common: o.Common,
    correction: o.Corrections = None,
    layer: o.FeatureLayer = None,
    distortion: Annotated[
        str | None,
        typer.Option("--distortion", help="One or more, separated by commas. Default: the corrections' own, else blur."),
    ] = None,
    levels: o.Levels = None,
    splits: Annotated[int, typer.Option("--splits", min=1, help="How many, seeds counted up from --split-seed.")] = 5,
    out: o.Out = None,
) -> None:
    """Do its features serve other data: linear SVMs on them, trained and tested at every level (Tables 13 to 15).

    Each split trains on 25 images of every class and validates on 5, unless --split says otherwise. The network's own classes
    do not matter. In the same run folder, corrections and distortions can be added later.

    Example: deepcorrect transfer allcnn-cifar100 --correction deepcorr-6-blur --data caltech101:data --size 32 --levels cifar
    """
    from deepcorrect.cli import context
    from deepcorrect.console import show_transfer
    from deepcorrect.correction import find_correction, read_header
    from deepcorrect.layers import named
    from deepcorrect.transfer import COUNTS, Protocol
    from deepcorrect.transfer import transfer as transfer_job

    paths = {name: find_correction(name) for name in correction.split(",")} if correction else {}
    own = dict.fromkeys(read_header(path).distortion for path in paths.values()) or {"blur": None}
    counts = context.counts_of(common) or COUNTS._replace(seed=common.split_seed)
    common = replace(common, split=f"{counts.train},{counts.validation}")
    with context.open_job(model, common, classifies=False) as job:
        ladders = [context.ladder_of(job, name, levels) for name in (distortion.split(",") if distortion else own)]
        chosen = (named(job.layers, layer) if layer else job.layers[-1]).name
        settings = {"model": model, "layer": chosen, "split": counts, "splits": splits}
        context.open_run(job, out, "transfer", settings)
        records = transfer_job(job, ladders, paths, Protocol(chosen, counts, splits))
    if common.as_json:
        described = {"model": model, "data": job.data.name, "layer": chosen}
        print(json.dumps({**described, "records": [record.model_dump(mode="json") for record in records]}))
    else:
        show_transfer(records)


@app.command("train-baseline")
@o.spread
def train_baseline(
    common: o.Common,
    training: o.Training,
    model: Annotated[str, typer.Argument(help="allcnn, smallcnn, alexnet or file.py:factory.")] = "allcnn",
    out: o.Out = None,
) -> None:
    """Train a network on clean images, to have one to correct.

    Example: deepcorrect train-baseline allcnn --data cifar100 --root data --out runs/baseline
    """
    from deepcorrect import pipeline
    from deepcorrect.cli import context

    recipe = context.recipe_for("baseline", training, common)
    with context.open_job(model, common) as job:
        ladders = [context.ladder_of(job, name, None) for name in ("blur", "noise")]
        shape = {"classes": len(job.data.classes), "image_shape": job.data.image_shape}
        settings = {"model": model, **shape, "half": training.half, "recipe": recipe.model_dump()}
        records = context.open_run(job, out, "train-baseline", settings)
        records = records or pipeline.train_baseline(job, recipe, ladders, half=training.half)
        context.conclude(job, records, as_json=common.as_json)


@app.command("train-head")
@o.spread
def train_head(
    model: o.Model,
    common: o.Common,
    half: Annotated[bool, typer.Option("--half", help="Save weights in half precision, and measure them so.")] = False,
    out: o.Out = None,
) -> None:
    """Give a pretrained network a last layer for the classes of your images, the rest of it as it is.

    Example: deepcorrect train-head hf:google/mobilenet_v2_1.0_224 --data folder:caltech-101 --split 25,5 --out runs/head
    """
    from deepcorrect import pipeline
    from deepcorrect.cli import context
    from deepcorrect.heads import last_dense

    with context.open_job(model, common, new_head=True) as job:
        ladders = [context.ladder_of(job, name, None) for name in ("blur", "noise")]
        shape = {"classes": len(job.data.classes), "image_shape": job.data.image_shape}
        settings = {"model": model, "head": last_dense(job.layers), **shape, "half": half}
        records = context.open_run(job, out, "train-head", settings) or pipeline.train_head(job, ladders, half=half)
        context.conclude(job, records, as_json=common.as_json)


@app.command("run", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A job file: command, model and options in TOML.", show_default=False)],
) -> None:
    """Run the command that a job file describes; options behind it are added, and replace the file's.

    Example: deepcorrect run experiments/imagenet/deepcorr-5.toml --data folder:imagenet --weights alexnet.safetensors
    """
    from deepcorrect.cli.jobfile import arguments_of

    app([*arguments_of(file), *context.args], standalone_mode=False)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Finished run folders, shown together.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", help="The page; default: report.html in the first run.")] = None,
) -> None:
    """Look at it: one page with the tables and figures of some runs, from their saved results alone.

    Example: deepcorrect report runs/blur runs/finetune --out report.html
    """
    from deepcorrect.console import show_records
    from deepcorrect.report import build_report
    from deepcorrect.results import read_together

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
    from deepcorrect.comparison import compare_records
    from deepcorrect.console import show_comparisons, show_records
    from deepcorrect.report import build_report
    from deepcorrect.results import read_together

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
    from deepcorrect.app import Comparison, examples_of, require_gradio, serve
    from deepcorrect.cli import context
    from deepcorrect.correction import find_correction, read_header
    from deepcorrect.distortions import ladders_for

    require_gradio()
    paths = {name: find_correction(name) for name in correction}
    with context.open_job(model, common) as job:
        kind, steps = context.ladder_of(job, distortion or read_header(paths[correction[0]]).distortion, levels)
        comparison = Comparison.of_job(job, paths, context.find_resize(model, common))
        ladders = ladders_for(job.data.ladder) | {kind.name: steps}
        examples = examples_of(job)
    serve(comparison, ladders, kind.name, examples, port)


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
    from deepcorrect.cli.context import open_data
    from deepcorrect.datasets.cifar100 import download_cifar100, is_complete

    if download:
        if spec != "cifar100" or images.root is None:
            raise DeepcorrectError("--download: only for cifar100, with --root")
        if not is_complete(images.root):
            download_cifar100(images.root)
    found = open_data(spec, images)
    described = {
        "data": found.name,
        "classes": len(found.classes),
        "image_shape": found.image_shape,
        "ladder": found.ladder,
        "train": len(found.train),
        "validation": len(found.validation),
        "test": len(found.test),
    }
    print(json.dumps(described) if as_json else "\n".join(f"{name}: {value}" for name, value in described.items()))


@app.command("convert-alexnet")
def convert_weights(
    file: Annotated[Path, typer.Argument(help="An .npz or .h5 file of arrays by layer.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="The .safetensors file to write, for --weights.")],
    layout: Annotated[o.Layout, typer.Option("--layout", help="Whose arrays: Caffe's, or Keras' on Theano or TensorFlow.")],
) -> None:
    """Bring AlexNet's published weights into the form that ``alexnet`` takes.

    Example: deepcorrect convert-alexnet alexnet_weights.h5 --layout theano --out alexnet.safetensors
    """
    from deepcorrect.files import write_tensors
    from deepcorrect.models.alexnet_weights import convert_alexnet, read_arrays

    arrays = read_arrays(file)
    try:
        state = convert_alexnet(arrays, layout.value)
    except DeepcorrectError as error:
        raise DeepcorrectError(f"{file}: {error}") from None
    write_tensors(out, state)
    print(out)
