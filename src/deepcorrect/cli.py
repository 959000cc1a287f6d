"""The command line: thin commands over ``deepcorrect.pipeline``. Heavy modules are imported inside the commands."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepcorrect.errors import DeepcorrectError

if TYPE_CHECKING:
    from deepcorrect.distortions import Distortion
    from deepcorrect.pipeline import Job
    from deepcorrect.results import Record

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Find the filters of a convolutional network that blur and noise ruin, and repair just those (DeepCorrect).",
)


# an option that does not parse; typer names no public base class for it
_UsageError: type[Any] = typer.BadParameter.__mro__[2]


class PrecisionChoice(StrEnum):
    """Arithmetic of evaluation and ranking."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


class RankingChoice(StrEnum):
    """How filters are chosen."""

    local = "local"
    global_ = "global"


MODEL = "A shipped name (allcnn-cifar100), a run folder of train-baseline, file.py:factory, or allcnn, alexnet, smallcnn."
ModelArgument = Annotated[str, typer.Argument(help=MODEL, show_default=False)]
DataOption = Annotated[str, typer.Option("--data", help="cifar100, folder:DIR (one sub-folder a class), or digits.")]
RootOption = Annotated[Path | None, typer.Option("--root", help="Folder that holds cifar-100-python.")]
SizeOption = Annotated[int | None, typer.Option("--size", min=1, help="Bring a folder's images to this many pixels a side.")]
GreyOption = Annotated[bool, typer.Option("--grey", help="Read a folder's images with one channel.")]
SkipOption = Annotated[bool, typer.Option("--skip-bad", help="Leave out images that cannot be read.")]
WeightsOption = Annotated[Path | None, typer.Option("--weights", help="Safetensors file with the network's weights.")]
DistortionOption = Annotated[str, typer.Option("--distortion", help="blur, noise, or file.py:name of your own.")]
LevelsOption = Annotated[
    str | None,
    typer.Option("--levels", help="Severities (0.5,1,2) or a ladder: cifar, imagenet, digits. Default: the data's."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of noise, image choice, initial weights and training.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
PrecisionOption = Annotated[
    PrecisionChoice,
    typer.Option("--precision", help="Of evaluation and ranking. auto: bf16 where the processor has it, else fp32."),
]
OutOption = Annotated[Path | None, typer.Option("--out", help="Run folder; the same command continues it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
RecipeOption = Annotated[str, typer.Option("--recipe", help="fast, paper, or a .toml file.")]
EpochsOption = Annotated[int | None, typer.Option("--epochs", help="Instead of the recipe's.")]
RateOption = Annotated[float | None, typer.Option("--rate", help="Learning rate, instead of the recipe's.")]
BatchOption = Annotated[int | None, typer.Option("--batch-size", help="Instead of the recipe's.")]
HalfOption = Annotated[bool, typer.Option("--half", help="Save weights in half precision, and measure them so.")]
LayersOption = Annotated[str, typer.Option("--layers", help="How many from the input on, or names: conv1,conv3.")]
ImagesOption = Annotated[int, typer.Option("--images", help="Images to rank on, drawn evenly over the classes.")]


def main() -> None:
    """Run the command line; a mistake of the user's is one line and exit code 2."""
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], standalone_mode=False))
    except DeepcorrectError as error:
        _fail(str(error))
    except _UsageError as error:
        _fail(f"{error.format_message()} (see --help)")
    except OSError as error:
        if error.errno is None or (error.filename is None and error.errno != 28):
            raise
        _fail(f"{error.filename or 'the disk'}: {error.strerror}")


def _fail(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


@app.command()
def assess(
    model: ModelArgument,
    data: DataOption = "cifar100",
    root: RootOption = None,
    distortion: Annotated[str, typer.Option("--distortion", help="One or more, separated by commas.")] = "blur,noise",
    levels: LevelsOption = None,
    size: SizeOption = None,
    grey: GreyOption = False,
    skip_bad: SkipOption = False,
    weights: WeightsOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = PrecisionChoice.auto,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """How bad is it: accuracy of a network at every level of each distortion.

    Example: deepcorrect assess allcnn-cifar100 --data cifar100 --root data
    """
    from deepcorrect import pipeline

    with _job(**_common(locals())) as job:
        ladders = [_ladder(name, levels, job) for name in distortion.split(",")]
        _open(job, out, "assess", {**_named(model), "ladders": [[ladder[0].name, *ladder[1]] for ladder in ladders]})
        results = _done(job) or pipeline.assess(job, ladders)
        _conclude(job, results, as_json)


@app.command()
def rank(
    model: ModelArgument,
    data: DataOption = "cifar100",
    root: RootOption = None,
    distortion: DistortionOption = "blur",
    levels: LevelsOption = None,
    layers: Annotated[str, typer.Option("--layers", help="How many from the input on, names, or all.")] = "all",
    images: ImagesOption = 1000,
    size: SizeOption = None,
    grey: GreyOption = False,
    skip_bad: SkipOption = False,
    weights: WeightsOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = PrecisionChoice.auto,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which filters: the correction priority of every filter, exactly (Algorithm 1).

    Example: deepcorrect rank allcnn-cifar100 --data cifar100 --root data --distortion blur --layers 3 --out runs/rank-blur
    """
    from dataclasses import asdict

    from deepcorrect import pipeline

    with _job(**_common(locals())) as job:
        kind, steps = _ladder(distortion, levels, job)
        chosen = _layers(job, layers, "convolutions")
        settings = {**_named(model), "distortion": kind.name, "levels": steps, "layers": chosen, "images": images}
        _open(job, out, "rank", settings)
        ranking = pipeline.rank(job, kind, steps, [layer for layer in job.layers if layer.name in chosen], images=images)
    if as_json:
        print(json.dumps(asdict(ranking)))
        return
    from deepcorrect.console import show_ranking

    show_ranking(ranking)


@app.command()
def correct(
    model: ModelArgument,
    data: DataOption = "cifar100",
    root: RootOption = None,
    distortion: DistortionOption = "blur",
    levels: LevelsOption = None,
    layers: LayersOption = "3",
    share: Annotated[
        str, typer.Option("--share", help="Of each layer's filters, in (0, 1]; or one a layer: 0.75,0.5.")
    ] = "0.5",
    ranking: Annotated[
        RankingChoice, typer.Option("--ranking", help="Each layer by itself, or all together.")
    ] = RankingChoice.local,
    unit: Annotated[str, typer.Option("--unit", help="cifar, wide, lite or bottleneck.")] = "cifar",
    no_bn: Annotated[bool, typer.Option("--no-bn", help="Units without batch normalisation.")] = False,
    retrain_last: Annotated[int, typer.Option("--retrain-last", min=0, help="Also train on the last N layers (paper: 3).")] = 0,
    images: ImagesOption = 1000,
    recipe: RecipeOption = "fast",
    epochs: EpochsOption = None,
    rate: RateOption = None,
    batch_size: BatchOption = None,
    half: HalfOption = False,
    size: SizeOption = None,
    grey: GreyOption = False,
    skip_bad: SkipOption = False,
    weights: WeightsOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = PrecisionChoice.auto,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Repair them: train correction units behind the most susceptible filters. Ranks, trains, evaluates and reports.

    Example: deepcorrect correct allcnn-cifar100 --data cifar100 --root data --distortion blur --layers 3 --out runs/blur
    """
    from dataclasses import asdict

    from deepcorrect import pipeline
    from deepcorrect.recipes import get_recipe

    plan = get_recipe(recipe, "correct", epochs=epochs, rate=rate, batch_size=batch_size)
    with _job(**_common(locals())) as job:
        kind, steps = _ladder(distortion, levels, job)
        chosen = _layers(job, layers, "convolutions")
        options = pipeline.CorrectionOptions(
            chosen, _shares(share, chosen), "global" if ranking is RankingChoice.global_ else "local", images, unit,
            not no_bn, _last(job, retrain_last),
        )  # fmt: skip
        pipeline.check_options(job, options)
        settings = {
            "distortion": kind.name,
            "levels": steps,
            **asdict(options),
            "recipe": plan.model_dump(),
            "half": half,
        }
        _open(job, out, "correct", {**_named(model), **settings})
        results = _done(job) or pipeline.correct(job, kind, steps, options, plan, half=half)[1]
        _conclude(job, results, as_json)


@app.command()
def finetune(
    model: ModelArgument,
    data: DataOption = "cifar100",
    root: RootOption = None,
    distortion: DistortionOption = "blur",
    levels: LevelsOption = None,
    layers: Annotated[str, typer.Option("--layers", help="How many from the input on, names, or all.")] = "3",
    recipe: RecipeOption = "fast",
    epochs: EpochsOption = None,
    rate: RateOption = None,
    batch_size: BatchOption = None,
    half: HalfOption = False,
    size: SizeOption = None,
    grey: GreyOption = False,
    skip_bad: SkipOption = False,
    weights: WeightsOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = PrecisionChoice.auto,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """The alternative: train on the first layers whole (Finetune-k).

    Example: deepcorrect finetune allcnn-cifar100 --data cifar100 --root data --distortion blur --layers 3 --out runs/finetune
    """
    from deepcorrect import pipeline
    from deepcorrect.recipes import get_recipe

    plan = get_recipe(recipe, "finetune", epochs=epochs, rate=rate, batch_size=batch_size)
    with _job(**_common(locals())) as job:
        kind, steps = _ladder(distortion, levels, job)
        chosen = _layers(job, layers, "layers")
        settings = {
            "distortion": kind.name,
            "levels": steps,
            "layers": chosen,
            "recipe": plan.model_dump(),
            "half": half,
        }
        _open(job, out, "finetune", {**_named(model), **settings})
        results = _done(job) or pipeline.finetune(job, kind, steps, chosen, plan, half=half)[1]
        _conclude(job, results, as_json)


@app.command()
def evaluate(
    model: ModelArgument,
    correction: Annotated[
        str | None,
        typer.Option("--correction", help="A shipped name (deepcorr-3-blur), a file, or a run folder of correct or finetune."),
    ] = None,
    data: DataOption = "cifar100",
    root: RootOption = None,
    distortion: Annotated[str | None, typer.Option("--distortion", help="Default: the correction's own, else blur.")] = None,
    levels: LevelsOption = None,
    size: SizeOption = None,
    grey: GreyOption = False,
    skip_bad: SkipOption = False,
    weights: WeightsOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = PrecisionChoice.auto,
    as_json: JsonOption = False,
) -> None:
    """Measure a network, with or without a correction, at every level of one distortion.

    Example: deepcorrect evaluate allcnn-cifar100 --correction deepcorr-3-blur --data cifar100 --root data --json
    """
    from deepcorrect import pipeline
    from deepcorrect.correction import find_correction, load_correction, read_header
    from deepcorrect.cost import count_parameters

    path = find_correction(correction) if correction else None
    trained_for = read_header(path).distortion if path else None
    with _job(**_common(locals())) as job:
        kind, steps = _ladder(distortion or trained_for or "blur", levels, job)
        name, parts = "baseline", job.model
        if path is not None:
            name, parts = correction or "", load_correction(path, job.model, job.example)
        record = pipeline.measure(job, name, kind, steps, count_parameters(parts.parameters()))
    _show([record], as_json and {"model": model, "data": job.data.name, **record.model_dump(mode="json")})


@app.command("train-baseline")
def train_baseline(
    model: Annotated[str, typer.Argument(help="allcnn, smallcnn, alexnet or file.py:factory.")] = "allcnn",
    data: DataOption = "cifar100",
    root: RootOption = None,
    recipe: RecipeOption = "fast",
    epochs: EpochsOption = None,
    rate: RateOption = None,
    batch_size: BatchOption = None,
    half: HalfOption = False,
    size: SizeOption = None,
    grey: GreyOption = False,
    skip_bad: SkipOption = False,
    weights: WeightsOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = PrecisionChoice.auto,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network on clean images, to have one to correct.

    Example: deepcorrect train-baseline allcnn --data cifar100 --root data --out runs/baseline
    """
    from deepcorrect import pipeline
    from deepcorrect.recipes import get_recipe

    plan = get_recipe(recipe, "baseline", epochs=epochs, rate=rate, batch_size=batch_size)
    with _job(**_common(locals())) as job:
        ladders = [_ladder(name, None, job) for name in ("blur", "noise")]
        settings = {
            "classes": len(job.data.classes),
            "image_shape": job.data.image_shape,
            "recipe": plan.model_dump(),
            "half": half,
        }
        _open(job, out, "train-baseline", {**_named(model), **settings})
        results = _done(job) or pipeline.train_baseline(job, plan, ladders, half=half)
        _conclude(job, results, as_json)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Finished run folders, shown together.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", help="The page; default: report.html in the first run.")] = None,
) -> None:
    """Look at it: one page with the tables and figures of some runs, from their saved results alone.

    Example: deepcorrect report runs/blur runs/finetune --out report.html
    """
    from deepcorrect.report import build_report
    from deepcorrect.results import distinct, read_results

    page = build_report(runs, out or runs[0] / "report.html")
    _show(distinct(record for run in runs for record in read_results(run).records), False)
    print(page)


@app.command("data")
def describe_data(
    spec: Annotated[str, typer.Argument(help="cifar100, folder:DIR or digits.", show_default=False)],
    root: RootOption = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch CIFAR-100 into --root if it is not there.")] = False,
    size: SizeOption = None,
    grey: GreyOption = False,
    skip_bad: SkipOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check a data set and say what is in it; fetch CIFAR-100.

    Example: deepcorrect data cifar100 --root data --download
    """
    from deepcorrect.datasets import load_dataset

    if download:
        from deepcorrect.datasets.cifar100 import FOLDER, download_cifar100

        if spec != "cifar100" or root is None:
            raise DeepcorrectError("--download: only for cifar100, with --root")
        if not (root / FOLDER).is_dir():
            download_cifar100(root)
    found = load_dataset(spec, root=root, size=size, grey=grey, skip_bad=skip_bad, warn=_warn)
    counts = {"train": len(found.train), "validation": len(found.validation), "test": len(found.test)}
    described = {
        "data": found.name,
        "classes": len(found.classes),
        "image_shape": found.image_shape,
        "ladder": found.ladder,
        **counts,
    }
    if as_json:
        print(json.dumps(described))
    else:
        print("\n".join(f"{name}: {value}" for name, value in described.items()))


def _common(given: dict[str, Any]) -> dict[str, Any]:
    """The options that every command on a network has."""
    names = ("model", "data", "root", "size", "grey", "skip_bad", "weights", "seed", "device", "precision")
    return {name: given[name] for name in names}


class _job:  # noqa: N801
    """A job with a progress bar around it, from the common options."""

    def __init__(self, **options: Any) -> None:
        self._options = options

    def __enter__(self) -> Job:
        from deepcorrect.console import Bars
        from deepcorrect.datasets import load_dataset
        from deepcorrect.models import load_model
        from deepcorrect.pipeline import Job
        from deepcorrect.runtime import keep_memory, resolve_device, resolve_precision

        keep_memory()
        given = self._options
        device = resolve_device(given["device"])
        data = load_dataset(
            given["data"],
            root=given["root"],
            size=given["size"],
            grey=given["grey"],
            skip_bad=given["skip_bad"],
            warn=_warn,
        )
        model = load_model(
            given["model"],
            classes=len(data.classes),
            channels=data.image_shape[0],
            weights=given["weights"],
            seed=given["seed"],
        )
        precision = resolve_precision(given["precision"].value, device)
        self._bars = Bars()
        job = Job(model, data, device, precision, given["seed"], None, self._bars)
        self._bars.__enter__()
        return job

    def __exit__(self, *failure: Any) -> None:
        self._bars.__exit__(*failure)
        if failure[0] is KeyboardInterrupt:
            _warn("interrupted; the same command with the same --out continues")


def _open(job: Job, out: Path | None, command: str, settings: dict[str, Any]) -> None:
    from deepcorrect.correction import fingerprint
    from deepcorrect.results import Run

    if out is not None:
        common = {
            "data": job.data.name,
            "seed": job.seed,
            "precision": job.precision,
            "fingerprint": fingerprint(job.model),
        }
        job.run = Run(out, command, {**settings, **common})


def _named(model: str) -> dict[str, str]:
    return {"model": model}


def _done(job: Job) -> list[Record] | None:
    """The records of a run that is finished already."""
    results = job.run.finished() if job.run else None
    return results.records if results else None


def _conclude(job: Job, records: list[Record], as_json: bool) -> None:
    """Save the results and the page, then print."""
    if job.run is not None:
        from deepcorrect.report import build_report

        if job.run.finished() is None:
            job.run.finish(records)
        page = job.run.file("report.html")
        if not page.exists():
            build_report([job.run.path], page)
        _warn(f"report: {page}")
    _show(records, as_json and {"records": [record.model_dump(mode="json") for record in records]})


def _show(records: list[Record], content: dict[str, Any] | bool) -> None:
    if content:
        print(json.dumps(content))
    else:
        from deepcorrect.console import show_records

        show_records(records)


def _ladder(name: str, levels: str | None, job: Job) -> tuple[Distortion, tuple[float, ...]]:
    from deepcorrect.distortions import get_distortion, parse_levels

    distortion = get_distortion(name)
    return distortion, parse_levels(levels, distortion, job.data.ladder)


def _layers(job: Job, given: str, kind: str) -> tuple[str, ...]:
    from deepcorrect.layers import convolutions, pick

    layers = convolutions(job.layers) if kind == "convolutions" else job.layers
    return tuple(layer.name for layer in pick(layers, given))


def _last(job: Job, count: int) -> tuple[str, ...]:
    layers = job.layers
    if count > len(layers):
        raise DeepcorrectError(f"--retrain-last {count}: the network has {len(layers)} layers")
    return tuple(layer.name for layer in layers[len(layers) - count :])


def _shares(given: str, layers: tuple[str, ...]) -> tuple[float, ...]:
    try:
        shares = tuple(float(share) for share in given.split(","))
    except ValueError:
        raise DeepcorrectError(f"--share {given}: give a number in (0, 1], or one a layer separated by commas") from None
    if len(shares) == 1:
        shares *= len(layers)
    if len(shares) != len(layers):
        raise DeepcorrectError(f"--share {given}: {len(shares)} shares for {len(layers)} layers ({', '.join(layers)})")
    return shares


def _warn(message: str) -> None:
    print(message, file=sys.stderr)


if __name__ == "__main__":
    main()
