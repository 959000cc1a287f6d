"""The ranking of a job: which filters, by which method, kept in the run folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import get_args

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import write_tensors
from deepcorrect.base.words import argument
from deepcorrect.distortions.base import Distortion
from deepcorrect.models.fingerprint import fingerprint
from deepcorrect.models.layers import Layer, convolutions
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.traits import traits_of
from deepcorrect.ranking.attribution import attribute_filters, captured_swaps
from deepcorrect.ranking.exact import rank_from
from deepcorrect.ranking.gain_files import GainFiles
from deepcorrect.ranking.gains import GainMeter
from deepcorrect.ranking.joint import rank_jointly
from deepcorrect.ranking.result import Method, Ranking, Score, count_of_share
from deepcorrect.ranking.verification import verify
from deepcorrect.runs.saved import KERNELS
from deepcorrect.swapping.graph_swap import GraphSwap
from deepcorrect.tasks.base import Task


@dataclass(frozen=True)
class RankingOptions:
    """How filters are ranked.

    Attributes:
        images: how many validation images, drawn evenly over the classes.
        method: measured, estimated from gradients, or chosen together.
        score: what is to be gained, one of the task's scores. Without it the first, or if the method estimates the first with a
            gradient: of a classifier top-1, or the true class's probability.
        steps: of an estimate; see ``attribute_filters``.
        verify: how many filters around the cut of an estimate are measured.
        block: how many filters are chosen at once together.
        memory: bytes that a pass may take; the device's default without it.

    Raises:
        DeepcorrectError: options that do not go together.
    """

    images: int = 1000
    method: Method = "exact"
    score: Score | None = None
    steps: int = 1
    verify: int = 0
    block: int = 8
    memory: int | None = None

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise DeepcorrectError(f"{argument('method', self.method)}: unknown; use {', '.join(get_args(Method))}")
        if self.verify and self.method != "attribution":
            raise DeepcorrectError(
                f"{argument('verify', self.verify)}: only for {argument('method', 'attribution')}; "
                "the others measure every filter"
            )

    def score_of(self, task: Task) -> Score:
        """The score that is ranked by.

        Raises:
            DeepcorrectError: the task does not have it, or it cannot be estimated by this method.
        """
        estimated = self.method != "exact"
        score = self.score or task.default_score(gradient=estimated)
        task.index_of(score, gradient=estimated)
        return score


def ranking_traits(layers: Sequence[Layer], options: RankingOptions, shares: Mapping[str, float]) -> dict[str, object]:
    """What decides a ranking besides the network, the data and the distortion; shares do only where filters depend on a cut."""
    cut = options.method == "joint" or options.verify
    decides = {name: value for name, value in asdict(options).items() if name != "memory"}
    return {"layers": [layer.name for layer in layers], **decides, **({"shares": dict(shares)} if cut else {})}


def rank(
    job: Job,
    distortion: Distortion,
    levels: Sequence[float],
    layers: Sequence[Layer],
    options: RankingOptions,
    shares: Mapping[str, float],
) -> Ranking:
    """Rank filters on validation images, from the run folder if it has the ranking; the first convolution's weights are kept.

    Under a mixture, filters are ranked by the mean of their priorities under its members, on the same images.

    Args:
        shares: of each layer's filters, those to be corrected: where a choice together ends, and what is verified.

    Raises:
        DeepcorrectError: the run folder holds another ranking.
    """
    distortion.require_function()
    score = options.score_of(job.task)
    if job.run is not None:
        job.run.claim({"ranking": traits_of(job, distortion, levels) | ranking_traits(layers, options, shares)})
        first = convolutions(job.layers)[0]
        if first.name in {layer.name for layer in layers}:
            write_tensors(job.run.file(KERNELS), {first.name: first.module.weight.detach()})
    saved = job.run.file("ranking.json") if job.run is not None else None
    finished = job.processes.agreed(Ranking.load(saved) if saved and saved.exists() else None)
    if finished is not None:
        return finished
    images = job.data.validation.balanced(options.images, job.seed)
    counts = {layer.name: count_of_share(shares[layer.name], layer.filters, layer.name) for layer in layers}
    filters = sum(layer.filters for layer in layers)
    parts = distortion.parts(levels)
    distorted = sum(len(severities) for _, severities in parts) * len(images)
    under = f" under {len(parts)} distortions" if len(parts) > 1 else ""
    meter = GainMeter(
        job.model,
        images,
        distortion,
        job.seed,
        job.device,
        job.precision,
        options.memory,
        job.processes,
        job.reporter.advance,
        job.task,
    )
    folder = job.run.file("parts") if job.run is not None else None
    files = GainFiles(meter, folder)
    if options.method == "attribution":
        captured_swaps(meter, layers)
        job.reporter.stage(f"estimate priorities{under}", filters * distorted)
        kept = folder / "estimates.safetensors" if folder and under else None
        ranking = attribute_filters(meter, levels, layers=layers, score=score, steps=options.steps, kept=kept)
        if options.verify:
            job.reporter.stage(f"verify{under}", len(layers) * options.verify * distorted)
            ranking = verify(ranking, files, levels, layers=layers, counts=counts, near=options.verify)
    elif options.method == "joint":
        captured_swaps(meter, layers)
        blocks = sum(layer.filters * -(-counts[layer.name] // options.block) for layer in layers)
        job.reporter.stage(f"choose filters together{under}", blocks * distorted)
        kept = folder / "chosen.json" if folder else None
        ranking = rank_jointly(
            meter, levels, layers=layers, counts=counts, block=options.block, score=score, kept=kept
        )  # fmt: skip
    else:
        hooked = [layer.name for layer in layers if not isinstance(meter.swap(layer), GraphSwap)]
        if hooked:
            told = ", ".join(f"{name} ({meter.swaps.reasons[name]})" for name in hooked)
            job.reporter.tell(f"not captured by torch.export, so a whole pass a filter: {told}")
        if under:
            estimate = argument("method", "attribution")
            job.reporter.tell(
                f"{filters * distorted:,} swaps of a filter in an image to measure{under}; {estimate} estimates them"
            )
        job.reporter.stage(f"rank filters{under}", filters * distorted)
        ranking = rank_from(files, levels, layers=layers, score=score)
    ranking = replace(ranking, network=fingerprint(job.model))
    if saved and folder:
        ranking.save(saved)
        shutil.rmtree(folder)
    return ranking
