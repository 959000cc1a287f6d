"""A gate for the corrections of a network: fitted to a job's images, measured, and the front door to it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from deepcorrect.adapters import gate_fitting
from deepcorrect.adapters.copies import CorrectionLike, bare_copy, with_corrections
from deepcorrect.adapters.correction import Correction
from deepcorrect.adapters.file import TrainedOn, find_correction, read_header
from deepcorrect.adapters.gate import Gate
from deepcorrect.adapters.gate_file import FILE, SavedGate, read_gate
from deepcorrect.adapters.gated import Gated, digests_of
from deepcorrect.base.device import autocast, laid_out
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument
from deepcorrect.datasets.batches import batches
from deepcorrect.datasets.door import given_as
from deepcorrect.distortions.base import Distortion, Ladder, parts_of
from deepcorrect.evaluation.cost import count_parameters, multiply_accumulates
from deepcorrect.evaluation.sweep import fitting_batch
from deepcorrect.models.layers import convolutions
from deepcorrect.models.network_print import print_network, relative, root_of
from deepcorrect.models.normalized_input import normalization_of
from deepcorrect.pipeline.entrance import dataset_of, distortion_of, left_as_found, reporting, require_sound
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.measure import measure_each
from deepcorrect.pipeline.traits import traits_of
from deepcorrect.runs.results import Records
from deepcorrect.runs.stages import Ladders, distortion_traits

TRAIN_IMAGES, VALIDATION_IMAGES = 4000, 5000
"""At most so many are used to fit a gate and to set its threshold."""
CLEAN = 0.995
"""Share of clean validation images that are left alone; of others it is then 99 % or more, by a margin."""


def gate_of(
    job: Job,
    corrections: Mapping[str, CorrectionLike],
    ladders: Mapping[str, Ladder],
    *,
    images: int = TRAIN_IMAGES,
    clean: float = CLEAN,
) -> Gated:
    """Fit a gate to a job's training images; a run keeps it, and gives it back to the same call.

    Args:
        corrections: by name, for the job's network; one that is on it may be among them.
        ladders: by the same names, what each is to be used against.
        images: training images to fit it to, at most.
        clean: share of clean validation images that are to be left alone, in (0, 1).

    Raises:
        DeepcorrectError: no images to fit it to, a correction that is for another network, or a run of another gate.
    """
    if images < 1:
        raise DeepcorrectError(f"{argument('images', images)}: at least one image is needed")
    digests = {name: digests_of(correction) for name, correction in corrections.items()}
    if job.run is not None:
        against = {name: distortion_traits(*ladder, job.example[:1], job.seed) for name, ladder in ladders.items()}
        told = [[name, found.fingerprint] for name, found in digests.items()]
        job.run.claim({"gate": {**traits_of(job), "corrections": told, "against": against, "images": images, "clean": clean}})
    networks, bare = with_corrections(job.model, corrections), bare_copy(job.model)
    layer = convolutions(job.layers)[0].name
    kept = job.run.file(FILE) if job.run is not None and job.run.file(FILE).exists() else None
    known = job.processes.agreed(_kept(kept) if kept else None)
    state, passed = known or job.processes.agreed(_fitted(job, layer, ladders, images, clean))
    saved = SavedGate(
        layer=relative(root_of(bare), layer),
        network=print_network(bare),
        corrections=digests,
        passed=passed,
        trained_on=TrainedOn(job.data.name, job.data_fingerprint()),
    )
    gated = Gated(job.model, networks, Gate(tuple(corrections), **state), layer, saved)
    if job.run is not None and kept is None:
        gated.save(job.run.file(FILE))
    return gated


def _fitted(job: Job, layer: str, ladders: Mapping[str, Ladder], images: int, clean: float) -> tuple[dict[str, Tensor], float]:
    """The tensors of a gate, and the share of clean validation images that it leaves alone."""
    train = job.data.train.balanced(images, job.seed)
    validation = job.data.validation.balanced(VALIDATION_IMAGES, job.seed)
    job.reporter.stage("fit the gate", len(train) * (1 + len(gate_fitting.kinds_of(ladders))) + len(validation))
    gate, passed = gate_fitting.fit_gate(
        job.model, layer, train, validation, ladders,
        clean=clean, seed=job.seed, device=job.device, progress=job.reporter.advance,
    )  # fmt: skip
    job.reporter.tell(f"gate: leaves {passed:.1%} of {len(validation):,} clean validation images alone")
    return gate.state_dict(), passed


def _kept(path: Path) -> tuple[dict[str, Tensor], float]:
    gate, saved = read_gate(path)
    return gate.state_dict(), saved.passed


def add_gate(job: Job, name: str, correction: Correction, ladder: Ladder) -> Records:
    """Fit a gate to the correction that is on a job's network, and measure it.

    Args:
        name: what the network with its correction is called.
        ladder: what the correction was trained against.
    """
    return measure_gated(job, gate_of(job, {name: correction}, {name: ladder}), f"{name} gated", [ladder])


def measure_gated(job: Job, gated: Gated, name: str, ladders: Ladders) -> Records:
    """Measure a gated network on a job's test images, and where its gate sends them; a run keeps the answers.

    Its multiply-accumulates are the mean over all levels, of one image at a time.
    """
    own = copy.copy(job)
    own.model = gated.eval()
    ladders = parts_of(ladders)
    records = measure_each(own, name, ladders, count_trained(gated), kind="gated")
    costs = _costs(job, gated)
    measured = Records()
    for record, ladder in zip(records, ladders, strict=True):
        sent = decisions(own, gated, *ladder)
        shares = torch.stack([(sent == decision).double().mean(1) for decision in range(len(costs))], 1)
        measured.append(
            record.model_copy(
                update={
                    "sent": {correction: tuple(shares[:, 1 + k].tolist()) for k, correction in enumerate(gated.gate.names)},
                    "multiply_accumulates": round(fmean((shares @ torch.tensor(costs).double()).tolist())),
                }
            )
        )
    return measured


def count_trained(gated: Gated) -> int:
    """Numbers that were fitted or trained: the gate's, and those of its corrections."""
    fitted = count_parameters(buffer for buffer in gated.gate.buffers() if buffer.is_floating_point())
    return fitted + count_parameters({*gated.corrected.parameters()} - {*gated.base.parameters()})


@torch.inference_mode()
def decisions(job: Job, gated: Gated, distortion: Distortion, levels: Sequence[float]) -> Tensor:
    """Where the gate sends every test image, (1 + levels, N) int64, the clean level first: see ``Gated.decide``."""
    everything = (0.0, *levels)
    job.reporter.stage(f"decisions under {distortion.name}", len(job.data.test) * len(everything))
    decided: list[list[Tensor]] = [[] for _ in everything]
    for batch in batches(job.data.test, fitting_batch(job.data.test), job.device):
        for level, parts in zip(everything, decided, strict=True):
            distorted = laid_out(distortion.at(batch.images, level, batch.indices, job.seed), gated)
            with autocast(job.device, job.precision):
                parts.append(gated.decide(distorted).cpu())
            job.reporter.advance(len(batch.images))
    return torch.stack([torch.cat(parts) for parts in decided])


def _costs(job: Job, gated: Gated) -> list[int]:
    """Multiply-accumulates for an image that is left alone, and for one that is sent to each correction."""
    first = convolutions(job.layers)[0]
    convolution = first.module
    assert isinstance(convolution, nn.Conv2d)
    _, height, width = first.output_shape
    look = height * width * (convolution.weight.numel() + (convolution.bias is not None) * convolution.out_channels)
    base = multiply_accumulates(bare_copy(job.model), job.example)
    return [base, *(look + multiply_accumulates(network, job.example) for network in gated.corrected.values())]


def fit_gate(
    model: nn.Module,
    train: Any,
    validation: Any,
    corrections: Mapping[str, CorrectionLike],
    *,
    distortions: Mapping[str, Distortion | str] | None = None,
    images: int = TRAIN_IMAGES,
    clean: float = CLEAN,
    seed: int = 0,
    progress: bool | None = None,
) -> Gated:
    """Fit a gate that decides, image by image, whether to correct and with which of several corrections.

    Args:
        model: takes images (B, C, H, W) in [0, 1]; corrections that are on it stay there. It is in eval mode afterwards.
        train: images in any of the forms of ``as_images``. Labels are not used.
        validation: clean images, by which the threshold is set.
        corrections: by name: shipped names, files, run folders, or a ``Correction`` that is on the network.
        distortions: what corrections are to be used against, where it is not the registered distortion that they were
            trained against, at all its levels.
        images: training images to fit it to, at most.
        clean: share of clean validation images that are to be left alone, in (0, 1).
        seed: of the choice of images, their levels and noise.
        progress: whether bars are shown; by default in a terminal or a notebook.

    Returns:
        The network with its gate, to be called as the network is. ``Gated.save`` writes the gate.

    Raises:
        DeepcorrectError: images that cannot be understood, a correction for another network, or no correction.
    """
    require_sound(seed, "fp32")
    normalization = normalization_of(model)
    with left_as_found(model) as network, reporting(progress) as reporter:
        learned = given_as(train, "train", normalization=normalization)
        validated = given_as(validation, "validation", normalization=normalization)
        data = dataset_of(network, train=learned, validation=validated, test=validated)
        job = Job(network, data, seed=seed, reporter=reporter)
        gated = gate_of(job, corrections, ladders_of(job, corrections, distortions), images=images, clean=clean)
    return gated.eval()


def ladders_of(
    job: Job, corrections: Mapping[str, CorrectionLike], distortions: Mapping[str, Distortion | str] | None = None
) -> dict[str, Ladder]:
    """What each correction is used against: the given distortions, or those that they were trained against."""
    given = distortions or {}
    strange = [name for name in given if name not in corrections]
    if strange:
        raise DeepcorrectError(f"{argument('distortions')}: {strange[0]} is none of the corrections {', '.join(corrections)}")
    ladders = {}
    for name, correction in corrections.items():
        plan = correction.plan if isinstance(correction, Correction) else read_header(find_correction(str(correction)))
        distortion = distortion_of(given.get(name, plan.distortion)).fitted(job.data.ladder)
        ladders[name] = Ladder(distortion, distortion.levels(job.data.ladder))
    return ladders
