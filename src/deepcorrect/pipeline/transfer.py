"""How well a network's features serve another task under distortion (section 5.3, Tables 13 to 15).

The features of every image at every level are taken once. In each of some random splits, linear SVMs are trained on those of
the training images, their regularisation is chosen on the validation images, and all other images are tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from urllib.parse import quote

import torch
from torch import Tensor

from deepcorrect.adapters.attach import load_correction
from deepcorrect.adapters.file import read_header
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_tensors, write_tensors
from deepcorrect.base.names import readable
from deepcorrect.base.words import argument
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.division import Counts, draw
from deepcorrect.distortions.base import Distortion, parts_of
from deepcorrect.distortions.registry import measured_under
from deepcorrect.evaluation.features import features
from deepcorrect.evaluation.svm import fit_split
from deepcorrect.models.fingerprint import fingerprint
from deepcorrect.pipeline.job import Job
from deepcorrect.runs.kinds import Kind, kind_of_plan
from deepcorrect.runs.results import provenance
from deepcorrect.runs.stages import Ladders, Traits, distortion_traits
from deepcorrect.runs.transfer import CLEAN, FILE, TransferRecord, read_transfer

COUNTS = Counts(25, 5)
"""The paper's."""


@dataclass(frozen=True)
class Protocol:
    """What every network is asked.

    Attributes:
        layer: features are what arrives at it (see ``deepcorrect.evaluation.features.features``).
        counts: images of every class to train and to validate on in one split, and the first split's seed.
        splits: how many; their seeds count up from the first.
    """

    layer: str
    counts: Counts
    splits: int = 5


def transfer(
    job: Job,
    ladders: Ladders,
    corrections: Mapping[str, Path],
    protocol: Protocol,
) -> list[TransferRecord]:
    """The network on clean images alone, then under each distortion, there followed by its corrections against that distortion.

    Given a run folder, features and records are kept there and never made again, so that the same call continues, and another
    with more distortions or corrections adds to them.

    Args:
        job: its training, validation and test images are taken together.
        ladders: distortions with their severities above 0.
        corrections: files by name, for this network.

    Raises:
        DeepcorrectError: several processes, images that are divided already or too few, a correction of another network or
            against a distortion that is not asked for, or a run folder of another protocol.
    """
    if job.processes.count > 1:
        raise DeepcorrectError("transfer runs in one process; start it without accelerate launch or torchrun")
    plans = {name: read_header(path) for name, path in corrections.items()}
    ladders = parts_of(ladders)
    against = {name: measured_under(plan.distortion) for name, plan in plans.items()}
    asked = {distortion.name for distortion, _ in ladders}
    for name, distortions in against.items():
        if not asked & set(distortions):
            added = argument("ladders", option="distortion")
            raise DeepcorrectError(f"correction {name}: trained against {plans[name].distortion}; add that to {added}")
    if job.run is not None:
        job.run.claim({"transfer": _traits(job, protocol), **_features_stages(job, ladders)})
    records = [_recorded(job, "baseline", "baseline", None, (), protocol)]
    for distortion, levels in ladders:
        records.append(_recorded(job, "baseline", "baseline", distortion, levels, protocol))
        for name in (name for name in corrections if distortion.name in against[name]):
            correction = load_correction(corrections[name], job.model, job.example)
            try:
                records.append(_recorded(job, name, kind_of_plan(plans[name]), distortion, levels, protocol))
            finally:
                correction.detach()
    return records


def _traits(job: Job, protocol: Protocol) -> Traits:
    """What all records of a run folder share; each is told from others by its network, distortion and levels."""
    data = {"data": job.data_fingerprint(), "seed": job.seed, "precision": job.precision}
    return {**data, "layer": protocol.layer, "split": protocol.counts, "splits": protocol.splits}


def _features_stages(job: Job, ladders: Ladders) -> dict[str, Traits]:
    """A distortion of the user's may have changed under its name."""
    return {
        f"features under {distortion.name} at {level:g}": distortion_traits(distortion, [level], job.example[:1], job.seed)
        for distortion, levels in ladders
        for level in levels
    }


def _recorded(
    job: Job, name: str, kind: Kind, distortion: Distortion | None, levels: Sequence[float], protocol: Protocol
) -> TransferRecord:
    """The record from the run folder if it is there, else measured, and into it."""
    file = job.run.file(FILE) if job.run is not None else None
    known = read_transfer(file) if file and file.exists() else []
    key = (fingerprint(job.model), readable(distortion.name) if distortion else CLEAN, (0.0, *levels))
    for record in known:
        if (record.fingerprint, record.distortion, record.levels) == key:
            return record.model_copy(update={"name": readable(name), "kind": kind})
    record = measure_transfer(job, name, distortion, levels, protocol, kind=kind)
    if job.run is not None:
        content = {"command": job.run.command, "settings": job.run.settings, "provenance": provenance(job.device)}
        job.run.write_json(FILE, {**content, "records": [each.model_dump(mode="json") for each in (*known, record)]})
    return record


def measure_transfer(
    job: Job,
    name: str,
    distortion: Distortion | None,
    levels: Sequence[float],
    protocol: Protocol,
    *,
    kind: Kind = "other",
) -> TransferRecord:
    """Take the features of the network as it now stands, all of which are held in memory, and fit every split.

    Args:
        distortion: None for clean images alone.
        levels: severities above 0; the clean level is added in front.

    Raises:
        DeepcorrectError: images that are divided already, or too few for the splits.
    """
    order = _source_order(job.data)
    labels = torch.cat([part.labels for part in (job.data.train, job.data.validation, job.data.test)])[order]
    first = protocol.counts
    divisions = {seed: draw(labels, first._replace(seed=seed)) for seed in range(first.seed, first.seed + protocol.splits)}
    train, validation, test = (len(part) for part in divisions[first.seed])
    if not validation or not test:
        raise DeepcorrectError(
            f"{argument('counts', option='split')}: too few images for {first.train} and {first.validation} of every class; "
            "give smaller numbers"
        )
    everything = (0.0, *(float(level) for level in levels))
    under = readable(distortion.name) if distortion else CLEAN
    job.reporter.stage(f"features of {name} under {under}", len(labels) * len(everything))
    taken = [_features(job, distortion, level, protocol.layer, order) for level in everything]
    job.reporter.stage(f"SVMs on {name} under {under}", protocol.splits)
    splits = []
    for seed, parts in divisions.items():
        splits.append(fit_split(taken, labels, parts, seed=seed))
        job.reporter.advance(1)
    means = [fmean(split.accuracy) for split in splits]
    return TransferRecord(
        name=readable(name),
        kind=kind,
        fingerprint=fingerprint(job.model),
        distortion=under,
        levels=everything,
        features=taken[0].shape[1],
        images=(train, validation, test),
        accuracy=tuple(fmean(split.accuracy[place] for split in splits) for place in range(len(everything))),
        mean=fmean(means),
        spread=stdev(means) if len(means) > 1 else None,
        splits=tuple(splits),
    )


def _source_order(data: Dataset) -> Tensor:
    """Where each image of the source, in its order, is among the training, validation and test images in a row."""
    found = torch.cat([part.indices for part in (data.train, data.validation, data.test)]).sort()
    if bool((found.values.diff() == 0).any()):
        raise DeepcorrectError(f"{data.name}: divided already; the splits are drawn from images that are not")
    return found.indices


def _features(job: Job, distortion: Distortion | None, level: float, layer: str, order: Tensor) -> Tensor:
    """Of all images in the order of their source, (N, D) float32, from the run folder if they are there."""
    kind = "clean" if distortion is None or level == 0 else f"{quote(distortion.name, safe='')}-{level!r}"
    file = None if job.run is None else job.run.file(f"features/{fingerprint(job.model)[:16]}/{kind}.safetensors")
    if file is not None and file.is_file():
        job.reporter.advance(len(order))
        return read_tensors(file)["features"]

    def distorted(images: Tensor, indices: Tensor) -> Tensor:
        return images if distortion is None else distortion.at(images, level, indices, job.seed)

    found = [
        features(
            job.model, layer, images,
            device=job.device, precision=job.precision, prepare=distorted, progress=job.reporter.advance,
        )
        for images in (job.data.train, job.data.validation, job.data.test)
    ]  # fmt: skip
    taken = torch.cat(found)[order]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(file, {"features": taken})
    return taken
