"""The commands that make networks: baselines, heads, converted weights; and features for other tasks."""

from __future__ import annotations

import json
from dataclasses import replace

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.cli import options as o
from deepcorrect.cli.application import MORE, PREPARATION, Command, app
from deepcorrect.cli.groups import Common, Training, spread


@app.command("train-baseline", cls=Command, rich_help_panel=PREPARATION)
@spread
def train_baseline(
    common: Common,
    training: Training,
    model: o.NewModel = "allcnn",
    out: o.Out = None,
) -> None:
    """Train a network on clean images, to have one to correct.

    Example: deepcorrect train-baseline allcnn --data cifar100 --root data --out runs/baseline
    """
    from deepcorrect.cli import keeping, loading, parsing
    from deepcorrect.pipeline.baselines import train_baseline as train_job

    recipe = parsing.recipe_for("baseline", training, common)
    with loading.open_job(model, common, trains=True, new_outputs=True) as job:
        ladders = [parsing.ladder_of(job, name, None) for name in ("blur", "noise")]
        shape = {"classes": len(job.data.classes), "image_shape": job.data.image_shape}
        settings = {"model": model, **shape, "half": training.half, "recipe": recipe.model_dump()}
        records = keeping.open_run(job, out, "train-baseline", settings)
        records = records or train_job(job, recipe, ladders, half=training.half)
        keeping.conclude(job, records, as_json=common.as_json)


@app.command("train-head", cls=Command, rich_help_panel=PREPARATION)
@spread
def train_head(
    model: o.Model,
    common: Common,
    half: o.Half = False,
    out: o.Out = None,
) -> None:
    """Give a pretrained network a new last layer for the classes of your images, and train that layer alone.

    Example: deepcorrect train-head hf:google/mobilenet_v2_1.0_224 --data folder:caltech-101 --split 25,5 --out runs/head
    """
    from deepcorrect.cli import keeping, loading, parsing
    from deepcorrect.models.head import last_dense
    from deepcorrect.pipeline.baselines import train_head as train_job

    with loading.open_job(model, common, trains=True, new_head=True) as job:
        ladders = [parsing.ladder_of(job, name, None) for name in ("blur", "noise")]
        shape = {"classes": len(job.data.classes), "image_shape": job.data.image_shape}
        settings = {"model": model, "head": last_dense(job.layers), **shape, "half": half}
        records = keeping.open_run(job, out, "train-head", settings) or train_job(job, ladders, half=half)
        keeping.conclude(job, records, as_json=common.as_json)


@app.command(cls=Command, rich_help_panel=MORE)
@spread
def transfer(
    model: o.Model,
    common: Common,
    correction: o.Corrections = None,
    layer: o.FeatureLayer = None,
    distortion: o.CorrectionsOwn = None,
    levels: o.Levels = None,
    splits: o.Splits = 5,
    out: o.Out = None,
) -> None:
    """Measure how well a network's features serve other data: linear SVMs at every level (Tables 13 to 15).

    Unless --split says otherwise, each split has 25 images of every class for training and 5 for validation. The network's own
    classes do not matter. Corrections and distortions can be added to the same run folder later.

    Example: deepcorrect transfer allcnn-cifar100 --correction deepcorr-6-blur --data caltech101:data --size 32 --levels cifar
    """
    from deepcorrect.adapters.file import find_correction
    from deepcorrect.cli import keeping, loading, parsing
    from deepcorrect.cli.console import show_transfer
    from deepcorrect.distortions.base import parts_of
    from deepcorrect.models.layers import named
    from deepcorrect.pipeline.transfer import COUNTS, Protocol
    from deepcorrect.pipeline.transfer import transfer as transfer_job

    paths = {name: find_correction(name) for name in correction.split(",")} if correction else {}
    own = [parsing.trained_against(path) for path in paths.values()] or ["blur"]
    counts = loading.counts_of(common) or COUNTS._replace(seed=common.split_seed)
    common = replace(common, split=f"{counts.train},{counts.validation}")
    with loading.open_job(model, common, classifies=False) as job:
        asked = [distortion] if distortion else own
        ladders = parts_of(ladder for names in asked for ladder in parsing.ladders_of(job, names, levels))
        chosen = (named(job.layers, layer) if layer else job.layers[-1]).name
        settings = {"model": model, "layer": chosen, "split": counts, "splits": splits}
        keeping.open_run(job, out, "transfer", settings)
        records = transfer_job(job, ladders, paths, Protocol(chosen, counts, splits))
    if common.as_json:
        described = {"model": model, "data": job.data.name, "layer": chosen}
        print(json.dumps({**described, "records": [record.model_dump(mode="json") for record in records]}))
    else:
        show_transfer(records)


@app.command("convert-alexnet", cls=Command, rich_help_panel=PREPARATION)
def convert_weights(
    file: o.Arrays,
    layout: o.WeightLayout,
    out: o.Converted,
) -> None:
    """Convert AlexNet's published weights into a file for --weights.

    Example: deepcorrect convert-alexnet alexnet_weights.h5 --layout theano --out alexnet.safetensors
    """
    from deepcorrect.base.files import write_tensors
    from deepcorrect.models.paper.alexnet_weights import convert_alexnet, read_arrays

    arrays = read_arrays(file)
    try:
        state = convert_alexnet(arrays, layout.value)
    except DeepcorrectError as error:
        raise DeepcorrectError(f"{file}: {error}") from None
    write_tensors(out, state)
    print(out)
