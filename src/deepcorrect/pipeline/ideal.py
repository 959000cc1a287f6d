"""Ideal correction of a job's network, kept in the run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deepcorrect.distortions.base import Distortion
from deepcorrect.models.layers import Layer
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.traits import traits_of
from deepcorrect.ranking.ideal import evaluate_ideal
from deepcorrect.ranking.result import Ranking, count_of_share
from deepcorrect.runs.ideal import FILE, IdealCurves, read_ideal
from deepcorrect.runs.stages import digest
from deepcorrect.swapping.swaps import swaps_of


def measure_ideal(
    job: Job,
    distortion: Distortion,
    levels: Sequence[float],
    ranking: Ranking,
    layers: Sequence[Layer],
    shares: Sequence[float],
    images: int,
) -> IdealCurves:
    """Correct ever larger shares of each layer ideally, the others as they are (Figures 4 and 5); a run keeps what is done.

    Args:
        shares: in (0, 1].
        images: how many test images, drawn evenly over the classes.

    Raises:
        DeepcorrectError: the run folder holds other ideal corrections.
    """
    if job.run is not None:
        asked = {"layers": [layer.name for layer in layers], "shares": shares, "images": images}
        orders = digest({layer.name: ranking.local(layer.name) for layer in layers})
        job.run.claim({"ideal corrections": {**traits_of(job, distortion, levels), **asked, "given ranking": orders}})
    test = job.data.test.balanced(images, job.seed)
    done: Mapping[str, tuple[tuple[float, ...], ...]] = {}
    if job.run is not None and job.run.file(FILE).exists():
        done = read_ideal(job.run.path).top1
    everything = (0.0, *shares)
    curves = IdealCurves(distortion=distortion.name, levels=tuple(levels), images=len(test), shares=everything, top1=dict(done))
    job.reporter.stage("correct ideally", (len(layers) - len(done)) * len(everything) * len(levels) * len(test))
    swaps = swaps_of(job.model, test, job.device, job.task)
    for layer in layers:
        if layer.name in done:
            continue
        order = ranking.local(layer.name)
        counts = [count_of_share(share, layer.filters, layer.name) for share in shares]
        curves.top1[layer.name] = tuple(
            evaluate_ideal(
                job.model, test, distortion, levels, layer, [order[:count] for count in (0, *counts)],
                seed=job.seed, device=job.device, precision=job.precision, progress=job.reporter.advance,
                swaps=swaps, task=job.task,
            )
        )  # fmt: skip
        if job.run is not None:
            job.run.write_json(FILE, curves.model_dump(mode="json"))
    return curves
