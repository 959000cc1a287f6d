"""From options to a job and back to the screen: what the commands share besides their options."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from deepcorrect.base.bars import Bars
from deepcorrect.base.device import keep_memory, resolve_device, resolve_precision, usable_cores
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.processes import Processes
from deepcorrect.base.progress import Silent
from deepcorrect.cli import invocation
from deepcorrect.cli.console import show_records
from deepcorrect.cli.options import Common, Images, Ranked, Training
from deepcorrect.datasets import Counts, Dataset, load_dataset
from deepcorrect.datasets.class_names import read_class_names
from deepcorrect.datasets.decoding import Resize
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.registry import get_distortion, parse_levels
from deepcorrect.models import find_preprocessing, load_model
from deepcorrect.models.fingerprint import fingerprint
from deepcorrect.models.head import last_dense, replace_head
from deepcorrect.models.labels import output_names
from deepcorrect.models.layers import Layer, convolutions, find_layers, pick
from deepcorrect.pipeline.job import Job, count_outputs, example_of
from deepcorrect.pipeline.rank import RankingOptions
from deepcorrect.ranking.result import Ranking, count_of_share
from deepcorrect.report.page import build_report
from deepcorrect.runs.held_out import hold_out, trainings
from deepcorrect.runs.results import Record, Run
from deepcorrect.runs.stages import Ladders, distortion_traits
from deepcorrect.training.recipes import Recipe, Task, get_recipe


@contextmanager
def open_job(
    model: str,
    common: Common,
    *,
    trains: bool = False,
    new_outputs: bool = False,
    new_head: bool = False,
    classifies: bool = True,
    corrections: Sequence[Path] = (),
) -> Iterator[Job]:
    """A network, if asked with a new last layer for these classes, its data, and progress bars as long as it is worked on.

    Args:
        trains: whether images are needed to train on; otherwise images that come undivided are all measured on, but for those
            that the network or a correction was trained on.
        new_outputs: whether the outputs are made for the data's classes, in their order; with ``new_head`` they are.
        classifies: whether the network's outputs are to be the data's classes.
        corrections: files of those that are measured too.
    """
    keep_memory()
    processes = Processes.launched(common.device)
    device = processes.device or resolve_device(common.device)
    data = _data_of(model, common, trains, classifies and not new_outputs and not new_head, corrections)
    if new_outputs:
        data = replace(data, numbered=False)
    network = load_model(
        model, classes=len(data.classes), channels=data.image_shape[0], weights=common.weights, seed=common.seed
    )
    if new_head:
        replace_head(network, last_dense(find_layers(network, example_of(data))), len(data.classes))
    if common.classes:
        outputs = count_outputs(network, data, example_of(data))
        if outputs != len(data.classes):
            raise DeepcorrectError(f"--classes {common.classes}: {len(data.classes)} names for a network of {outputs} outputs")
    precision = resolve_precision(common.precision.value, device)
    with Bars() if processes.first else nullcontext(Silent()) as reporter:
        try:
            yield Job(network, data, device, precision, common.seed, None, reporter, processes, classifies)
        except KeyboardInterrupt:
            tell("interrupted; the same command with the same --out continues")
            raise


def _data_of(model: str, common: Common, trains: bool, named: bool, corrections: Sequence[Path]) -> Dataset:
    """The data for a network: its classes by the names of the network's outputs if these are to be, and undivided unless it
    trains or has been trained on a part of it."""
    if common.classes and not named:
        raise DeepcorrectError(f"--classes {common.classes}: this command takes the data's classes as they are")
    names = (read_class_names(common.classes) if common.classes else output_names(model)) if named else None
    resize = find_resize(common, model)
    data = open_data(common.data, common, resize, whole=not trains, outputs=names)
    if trains:
        return data

    def everything() -> Dataset:
        unlimited = replace(common, limit=None)
        return open_data(common.data, unlimited, resize, whole=True, outputs=names, warn=lambda message: None)

    return hold_out(data, trainings([model, common.weights, *corrections]), everything, common.limit, tell)


def find_resize(given: Images, model: str | None = None) -> Resize | None:
    """How a folder's images are brought to one size: as the options say, or else as the network expects it."""
    expected = find_preprocessing(model) if model else None
    if given.size:
        return Resize(given.size)
    return expected.resize if expected else None


def open_data(
    spec: str,
    given: Images,
    resize: Resize | None,
    *,
    whole: bool,
    outputs: Sequence[str] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Dataset:
    """The data that the options name; see ``load_dataset`` for the others."""
    workers = usable_cores() if given.workers is None else given.workers
    return load_dataset(
        spec, root=given.root, resize=resize, grey=given.grey, skip_bad=given.skip_bad,
        limit=given.limit, counts=counts_of(given), workers=workers, whole=whole, outputs=outputs, warn=warn or tell,
    )  # fmt: skip


def counts_of(given: Images) -> Counts | None:
    """What ``--split`` and ``--split-seed`` say."""
    if given.split is None:
        return None
    try:
        train, validation = (int(count) for count in given.split.split(","))
    except ValueError:
        raise DeepcorrectError(f"--split {given.split}: give two numbers, such as 25,5") from None
    if min(train, validation) < 1:
        raise DeepcorrectError(f"--split {given.split}: at least one image of each class to train on and to validate on")
    return Counts(train, validation, given.split_seed)


def open_run(job: Job, out: Path | None, command: str, settings: dict[str, Any], ladders: Ladders = ()) -> list[Record] | None:
    """Give the job its run folder, if there is one to be; the records, if that run is finished already.

    Of several processes the first alone has the folder.

    Args:
        ladders: what the network is measured under; a distortion of the user's is part of the settings.
    """
    finished = None
    if job.processes.first and out is None and command in ("correct", "finetune", "train-baseline"):
        tell("without --out nothing is kept but what is printed")
    if job.processes.first and out is not None:
        everything = {
            **settings,
            "data": job.data.name,
            "data_fingerprint": job.data_fingerprint(),
            "seed": job.seed,
            "precision": job.precision,
            "fingerprint": fingerprint(job.model),
        }
        own = [ladder for ladder in ladders if not getattr(ladder[0].function, "__module__", "").startswith("deepcorrect.")]
        for distortion, levels in own:
            everything[f"function of {distortion.name}"] = distortion_traits(distortion, levels, job.example[:1], job.seed)[
                "function"
            ]
        job.run = Run(out, command, everything, command_line=invocation.current.get())
        finished = job.run.finished()
    return job.processes.agreed(finished.records if finished else None)


def keep(job: Job, records: list[Record]) -> None:
    """Save the results and the page of the run, if there is one."""
    if job.run is not None:
        if job.run.finished() is None:
            job.run.finish(records, job.device)
        page = job.run.file("report.html")
        try:
            if not page.exists():
                build_report([job.run.path], page)
            tell(f"report: {page}")
        except Exception as error:  # the results are saved, and worth more than the page
            reason = " ".join(str(error).split()) or type(error).__name__
            tell(f"no report.html: {reason}; the results are saved, and 'deepcorrect report {job.run.path}' tries again")


def conclude(job: Job, records: list[Record], *, as_json: bool) -> None:
    """Keep the records, and print them."""
    keep(job, records)
    if not job.processes.first:
        return
    if as_json:
        print(json.dumps({"records": [record.model_dump(mode="json") for record in records]}))
    else:
        show_records(records)


def recipe_for(task: Task, training: Training, common: Common) -> Recipe:
    """The recipe that the options ask for; ``--precision``, where it is named, is that of training too."""
    precision = None if common.precision.value == "auto" else common.precision.value
    changes = {"epochs": training.epochs, "rate": training.rate, "batch_size": training.batch_size}
    return get_recipe(training.recipe, task, **changes, precision=precision)


def ranking_options(ranked: Ranked) -> RankingOptions:
    """How the options say to rank."""
    return RankingOptions(
        images=ranked.images,
        method=ranked.method.value,
        score=ranked.score.value if ranked.score else None,
        steps=ranked.steps,
        verify=ranked.verify,
        block=ranked.block,
        memory=int(ranked.memory * 1e9) if ranked.memory else None,
    )


def read_ranking(place: Path | None) -> Ranking | None:
    """The ranking that ``--ranked-by`` names, a file or a run folder."""
    if place is None:
        return None
    return Ranking.load(place / "ranking.json" if place.is_dir() else place)


def ladder_of(job: Job, name: str, levels: str | None) -> tuple[Distortion, tuple[float, ...]]:
    """A distortion and the severities that the options ask for."""
    distortion = get_distortion(name)
    return distortion, parse_levels(levels, distortion, job.data.ladder)


def pick_convolutions(job: Job, given: str) -> list[Layer]:
    """The convolutions that ``--layers`` names."""
    return pick(convolutions(job.layers), given)


def last_layers(job: Job, count: int) -> tuple[str, ...]:
    """Names of the last ``count`` layers."""
    layers = job.layers
    if count > len(layers):
        raise DeepcorrectError(f"--retrain-last {count}: the network has {len(layers)} layers")
    return tuple(layer.name for layer in layers[len(layers) - count :])


def shares_of(given: str, layers: list[Layer]) -> tuple[float, ...]:
    """One share for each layer from ``--share``."""
    shares = read_shares("--share", given)
    if len(shares) == 1:
        return shares * len(layers)
    if len(shares) != len(layers):
        names = ", ".join(layer.name for layer in layers)
        raise DeepcorrectError(f"--share {given}: {len(shares)} shares for {len(layers)} layers ({names})")
    return shares


def ideal_shares(given: str, layers: list[Layer]) -> tuple[float, ...]:
    """The shares of ``--ideal``, each of which is a filter or more of every layer."""
    shares = read_shares("--ideal", given)
    for layer, share in product(layers, shares):
        count_of_share(share, layer.filters, layer.name, "--ideal")
    return shares


def read_shares(option: str, given: str) -> tuple[float, ...]:
    """Shares separated by commas."""
    try:
        return tuple(float(number) for number in given.split(","))
    except ValueError:
        raise DeepcorrectError(f"{option} {given}: give numbers in (0, 1], separated by commas") from None


def tell(message: str) -> None:
    """A line on standard error."""
    print(message, file=sys.stderr)
