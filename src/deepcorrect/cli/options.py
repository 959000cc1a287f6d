"""The options of the commands, each defined once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from deepcorrect.cli import panels


class Precision(StrEnum):
    """Arithmetic of evaluation and ranking."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


class RankingScope(StrEnum):
    """Whether filters are chosen within each layer, across all layers, or at random for comparison."""

    local = "local"
    all_layers = "global"
    random = "random"


class Method(StrEnum):
    """How priorities are computed."""

    exact = "exact"
    attribution = "attribution"
    joint = "joint"


class Score(StrEnum):
    """What the swap of a filter is to gain."""

    top1 = "top1"
    probability = "probability"
    margin = "margin"


class Layout(StrEnum):
    """Whose weights are converted."""

    caffe = "caffe"
    theano = "theano"
    tensorflow = "tensorflow"


NETWORK_SPECS = (
    "A shipped name (allcnn-cifar100), a run folder of train-baseline or train-head, torchvision:NAME, timm:NAME, hf:NAME, "
    "file.py:factory, a program saved by torch.export (file.pt2; trusted like a Python file), or an untrained allcnn, alexnet "
    "or smallcnn."
)

DATA_SPECS = (
    "cifar100, digits, hf:NAME, folder:DIR (one sub-folder per class, inside folders train, val and test or not), or as "
    "distributed: caltech101:DIR, caltech256:DIR, sun397:DIR."
)

Model = Annotated[str, typer.Argument(metavar="MODEL", help=NETWORK_SPECS, show_default=False)]
NewModel = Annotated[str, typer.Argument(metavar="MODEL", help="allcnn, smallcnn, alexnet or file.py:factory.")]
Spec = Annotated[str, typer.Argument(metavar="DATA", help=DATA_SPECS, show_default=False)]
Runs = Annotated[list[Path], typer.Argument(metavar="RUN", help="Finished run folders, one or more.", show_default=False)]
JobFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="A job file: command, model and options in TOML.", show_default=False)
]
Arrays = Annotated[
    Path, typer.Argument(metavar="FILE", help="An .npz or .h5 file with the arrays of each layer.", show_default=False)
]

Json = Annotated[bool, panels.output("--json", metavar="", help="Print one JSON object instead of tables.")]
Out = Annotated[
    Path | None,
    panels.output("--out", metavar="FOLDER", help="Keep everything in this run folder; the same command continues it."),
]
Page = Annotated[Path | None, panels.output("--out", metavar="FILE", help="The page. Default: report.html in the first run.")]
PageToo = Annotated[Path | None, panels.output("--out", metavar="FILE", help="Also write the page of report to this file.")]
Converted = Annotated[Path, panels.output("--out", metavar="FILE", help="The .safetensors file to write, for --weights.")]
Half = Annotated[
    bool, panels.training("--half", metavar="", help="Save weights in half precision, and measure the network with them.")
]
Against = Annotated[
    str | None,
    panels.output(
        "--against",
        metavar="NAME",
        help="The network with which every other is compared. Default: up to six networks are all compared with each other, "
        "more with the first that is no baseline.",
    ),
]
Port = Annotated[
    int, panels.output("--port", metavar="N", min=1, max=65535, help="Port of the page, on this machine (127.0.0.1).")
]

Unlabelled = Annotated[
    Path | None,
    panels.data(
        "--unlabelled",
        metavar="DIR",
        help="Images in any folders, without labels, in place of labelled ones: the network's own answers to the clean images "
        "stand for labels. With --data, tested on its labelled images; without, agreement with the clean answers is measured.",
    ),
]
Real = Annotated[
    Path | None,
    panels.distortion(
        "--real",
        metavar="DIR",
        help="Images in any folders that are ruined already, without labels: what they look like is drawn more often from a "
        "mixture.",
    ),
]
DistortionName = Annotated[
    str,
    panels.distortion(
        "--distortion",
        metavar="NAME",
        help="blur, noise, fog ... or file.py:NAME of your own; a+b for one after the other, mix:a,b or mix:GROUP (imagenet-c) "
        "for one at random in each image.",
    ),
]
Distortions = Annotated[
    str,
    panels.distortion(
        "--distortion",
        metavar="NAME,...",
        help="One or more of blur, noise, fog ..., file.py:NAME of your own, a group (imagenet-c, imagenet-c-extra, noises, "
        "blurs, weather, digital), or published files (cifar-c:DIR, imagenet-c:DIR).",
    ),
]
CorrectionsOwn = Annotated[
    str | None,
    panels.distortion(
        "--distortion", metavar="NAME,...", help="One or more distortions. Default: the corrections' own, else blur."
    ),
]
FirstDistortion = Annotated[
    str | None,
    panels.distortion("--distortion", metavar="NAME", help="The one to begin with. Default: the first correction's."),
]
Levels = Annotated[
    str | None,
    panels.distortion(
        "--levels",
        metavar="LEVELS",
        help="Severities (0.5,1,2), or a ladder: cifar, imagenet, digits. Default: the ladder that suits the images.",
    ),
]
Restore = Annotated[
    str | None,
    panels.distortion("--restore", metavar="NAME", help="Restore the distorted images first: bm3d for noise, wiener for blur."),
]

Layers = Annotated[
    str,
    panels.correction("--layers", metavar="LAYERS", help="How many, counted from the input; or names (conv1,conv3); or all."),
]
Share = Annotated[
    str,
    panels.correction(
        "--share", metavar="SHARE", help="Share of the filters of each layer, in (0, 1]; or one per layer: 0.75,0.5."
    ),
]
Unit = Annotated[
    str, panels.correction("--unit", metavar="NAME", help="Shape of the correction units: cifar, wide, lite or bottleneck.")
]
NoBatchNorm = Annotated[bool, panels.correction("--no-bn", metavar="", help="Correction units without batch normalisation.")]
RetrainLast = Annotated[
    int, panels.correction("--retrain-last", metavar="N", min=0, help="Also train the last N layers (the paper: 3).")
]
CorrectionName = Annotated[
    str | None,
    panels.correction(
        "--correction", metavar="NAME", help="A shipped name (deepcorr-6-blur), a file, or a run folder of correct or finetune."
    ),
]
Corrections = Annotated[
    str | None,
    panels.correction(
        "--correction", metavar="NAME,...", help="As for evaluate; each is tested on the distortion it was made for."
    ),
]
GatedCorrections = Annotated[
    str,
    panels.correction(
        "--correction", metavar="NAME,...", help="The corrections to decide between, each as for evaluate.", show_default=False
    ),
]
Gate = Annotated[
    bool,
    panels.correction(
        "--gate", metavar="", help="Also fit a gate that leaves clean images to the network as it is, and measure with it."
    ),
]
GateFile = Annotated[
    Path | None,
    panels.correction(
        "--gate",
        metavar="FILE",
        help="Decide by this gate, a file or a run folder; --correction then names its corrections. Default: those beside it, "
        "or shipped.",
    ),
]
Clean = Annotated[
    float,
    panels.correction("--clean", metavar="SHARE", help="Share of clean validation images to leave to the network as it is."),
]
EachCorrection = Annotated[
    list[str],
    panels.correction("--correction", metavar="NAME", help="As for evaluate; repeat it for further ones.", show_default=False),
]

Scope = Annotated[
    RankingScope,
    panels.ranking("--ranking", help="Choose filters within each layer (local), across all layers (global), or at random."),
]
RankedBy = Annotated[
    Path | None,
    panels.ranking("--ranked-by", metavar="RUN", help="Choose by this ranking: a run folder of rank, or its ranking.json."),
]
Ideal = Annotated[
    str | None,
    panels.ranking(
        "--ideal",
        metavar="SHARES",
        help="Also measure the accuracy if these shares of each layer were corrected perfectly: 0.1,0.25,0.5.",
    ),
]

FeatureLayer = Annotated[
    str | None,
    panels.network(
        "--layer",
        metavar="NAME",
        help="Convolution or dense layer whose input is the features, maps averaged over positions. Default: the last one.",
    ),
]
Splits = Annotated[
    int, panels.data("--splits", metavar="N", min=1, help="How many splits; their seeds count up from --split-seed.")
]
Download = Annotated[
    bool, panels.data("--download", metavar="", help="Download CIFAR-100 into --root, unless its files are there and sound.")
]
WeightLayout = Annotated[
    Layout, panels.network("--layout", help="Whose arrays: Caffe's, or Keras' with Theano or TensorFlow.", show_default=False)
]
