"""From options to a job: its data, and its network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from deepcorrect.base.bars import Bars
from deepcorrect.base.device import keep_memory, resolve_device, resolve_precision, usable_cores
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.processes import Processes
from deepcorrect.base.progress import Silent
from deepcorrect.base.tables import print_table
from deepcorrect.cli.console import tell
from deepcorrect.cli.groups import Common, Images
from deepcorrect.datasets import Counts, Dataset, load_dataset
from deepcorrect.datasets.class_names import read_class_names
from deepcorrect.datasets.decoding import Resize
from deepcorrect.datasets.unlabelled import learn_from, require_apart
from deepcorrect.distortions.base import Ladder
from deepcorrect.models import find_preprocessing, load_model
from deepcorrect.models.head import last_dense, replace_head
from deepcorrect.models.labels import output_names
from deepcorrect.models.layers import find_layers
from deepcorrect.pipeline.job import Job, count_outputs, example_of
from deepcorrect.pipeline.real import resemblance_of
from deepcorrect.pipeline.unlabelled import label_by_answers
from deepcorrect.runs.held_out import hold_out, trainings


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
    unlabelled: Path | None = None,
) -> Iterator[Job]:
    """A job with the network and the data that the options name; progress bars are shown inside the context.

    Args:
        trains: whether images are needed for training. Otherwise a data set that is not divided is measured whole, without the
            images that the network or a correction was trained on.
        new_outputs: whether the network's outputs are made for the data's classes, in their order.
        new_head: whether the network gets a new last layer for the data's classes.
        classifies: whether the network's outputs are to be the data's classes.
        corrections: files of the corrections that are measured too.
        unlabelled: folder of images without labels, which the network's own answers stand for.
    """
    keep_memory()
    processes = Processes.launched(common.device)
    device = processes.device or resolve_device(common.device)
    named = classifies and not new_outputs and not new_head
    data = _data_of(model, common, trains, named, corrections, unlabelled)
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
            job = Job(network, data, device, precision, common.seed, None, reporter, processes, classifies)
            if unlabelled is not None:
                label_by_answers(job)
            yield job
        except KeyboardInterrupt:
            tell("interrupted; the same command with the same --out continues")
            raise


def _data_of(
    model: str, common: Common, trains: bool, named: bool, corrections: Sequence[Path], unlabelled: Path | None
) -> Dataset:
    """The data for a network: classes matched with its outputs by name if ``named``, and not divided unless the network is
    trained, or has been trained on a part of them.

    With a folder of ``unlabelled`` images, the labelled ones, if there are any, are for testing alone.
    """
    if common.classes and not named:
        raise DeepcorrectError(f"--classes {common.classes}: this command takes the data's classes as they are")
    names = (read_class_names(common.classes) if common.classes else output_names(model)) if named else None
    resize = find_resize(common, model)

    def load(spec: str, trains: bool, given: Images = common) -> Dataset:
        data = open_data(spec, given, resize, whole=not trains, outputs=names)
        if trains:
            return data

        def everything() -> Dataset:
            unlimited = replace(given, limit=None)
            return open_data(spec, unlimited, resize, whole=True, outputs=names, warn=lambda message: None)

        return hold_out(data, trainings([model, common.weights, *corrections]), everything, common.limit, tell)

    if unlabelled is None:
        return load(common.spec, trains)
    if common.data is not None and not trains:
        raise DeepcorrectError(
            f"--unlabelled {unlabelled}: this command takes either these images or those of --data {common.data}"
        )
    photos = load(f"images:{unlabelled}", trains, common if common.data is None else replace(common, split=None))
    return photos if common.data is None else learn_from(photos, load(common.data, trains=False))


def steered(job: Job, ladder: Ladder, model: str, common: Common, real: Path | None) -> Ladder:
    """The mixture weighted as the images of ``--real`` look like its distortions, which are shown; itself without any."""
    if real is None:
        return ladder
    images = open_data(f"images:{real}", replace(common, split=None, limit=None), find_resize(common, model), whole=True)
    require_apart(images.name, job.data.name)
    found = resemblance_of(job, ladder.distortion, images.test)
    if job.processes.first and not common.as_json:
        for view in found.views():
            print_table(view.table)
    return Ladder(found.weighted, ladder.levels)


def find_resize(given: Images, model: str | None = None) -> Resize | None:
    """How a folder's images are resized: as the options say, or else as the network expects."""
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
    """The data that the options name; for the other arguments see ``load_dataset``."""
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
