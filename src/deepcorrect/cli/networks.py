"""The commands that make networks: baselines, heads, converted weights; and features for other tasks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.cli import options as o
from deepcorrect.cli.application import app


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
    from deepcorrect.cli import context
    from deepcorrect.pipeline.baselines import train_baseline as train_job

    recipe = context.recipe_for("baseline", training, common)
    with context.open_job(model, common, trains=True, new_outputs=True) as job:
        ladders = [context.ladder_of(job, name, None) for name in ("blur", "noise")]
        shape = {"classes": len(job.data.classes), "image_shape": job.data.image_shape}
        settings = {"model": model, **shape, "half": training.half, "recipe": recipe.model_dump()}
        records = context.open_run(job, out, "train-baseline", settings)
        records = records or train_job(job, recipe, ladders, half=training.half)
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
    from deepcorrect.cli import context
    from deepcorrect.models.head import last_dense
    from deepcorrect.pipeline.baselines import train_head as train_job

    with context.open_job(model, common, trains=True, new_head=True) as job:
        ladders = [context.ladder_of(job, name, None) for name in ("blur", "noise")]
        shape = {"classes": len(job.data.classes), "image_shape": job.data.image_shape}
        settings = {"model": model, "head": last_dense(job.layers), **shape, "half": half}
        records = context.open_run(job, out, "train-head", settings) or train_job(job, ladders, half=half)
        context.conclude(job, records, as_json=common.as_json)


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
    from deepcorrect.adapters.file import find_correction, read_header
    from deepcorrect.cli import context
    from deepcorrect.cli.console import show_transfer
    from deepcorrect.models.layers import named
    from deepcorrect.pipeline.transfer import COUNTS, Protocol
    from deepcorrect.pipeline.transfer import transfer as transfer_job

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


@app.command("convert-alexnet")
def convert_weights(
    file: Annotated[Path, typer.Argument(help="An .npz or .h5 file of arrays by layer.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="The .safetensors file to write, for --weights.")],
    layout: Annotated[o.Layout, typer.Option("--layout", help="Whose arrays: Caffe's, or Keras' on Theano or TensorFlow.")],
) -> None:
    """Bring AlexNet's published weights into the form that ``alexnet`` takes.

    Example: deepcorrect convert-alexnet alexnet_weights.h5 --layout theano --out alexnet.safetensors
    """
    from deepcorrect.base.files import write_tensors
    from deepcorrect.models.alexnet_weights import convert_alexnet, read_arrays

    arrays = read_arrays(file)
    try:
        state = convert_alexnet(arrays, layout.value)
    except DeepcorrectError as error:
        raise DeepcorrectError(f"{file}: {error}") from None
    write_tensors(out, state)
    print(out)
