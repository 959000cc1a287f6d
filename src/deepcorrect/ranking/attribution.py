"""Correction priority estimated from gradients: all filters of all layers in a few passes (attribution patching).

To first order, swapping a filter's output h for its clean value h' gains

    grad_h f(h) . (h' - h)

of a smooth score f, of a classifier the true class's probability or margin. One backward pass gives the gradients of all
filters at once. With several steps the gradient is averaged along the way from h to h' (integrated gradients), a layer at a
time, which accounts for curvature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from deepcorrect.base.device import autocast
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument
from deepcorrect.datasets.batches import Batch
from deepcorrect.models.inspection import looking
from deepcorrect.models.layers import Layer
from deepcorrect.ranking.gains import GainMeter
from deepcorrect.ranking.mean_gains import MeanGains, mean_over_members
from deepcorrect.ranking.reliability import summarize_gains
from deepcorrect.ranking.result import Ranking, Score
from deepcorrect.swapping.fusion import fuse
from deepcorrect.swapping.graph import Graph
from deepcorrect.swapping.graph_swap import GraphBatch, GraphSwap
from deepcorrect.swapping.swaps import IMAGES_A_BATCH
from deepcorrect.tasks.base import Task


def attribute_filters(
    meter: GainMeter,
    levels: Sequence[float],
    *,
    layers: Sequence[Layer],
    score: Score | None = None,
    steps: int = 1,
    kept: Path | None = None,
) -> Ranking:
    """Estimate every filter's correction priority; under a mixture, the mean over its members.

    Args:
        meter: the network, its images and their distortion.
        levels: severities above 0.
        layers: those to rank, of ``deepcorrect.models.layers.find_layers``.
        score: one of the task's scores with a gradient, of a classifier ``probability`` or ``margin``; the first of them
            without it.
        steps: gradients between the distorted and the clean values; the only one of one step is taken at the distorted.
        kept: a file that holds what is estimated so far under a mixture's members, to continue from.

    Raises:
        DeepcorrectError: ``score`` has no gradient, the network cannot be captured by ``torch.export``, or ``kept`` holds the
            estimates of something else.
    """
    score = score or meter.task.default_score(gradient=True)
    measured = estimate_gains(meter, levels, layers=layers, score=score, steps=steps, kept=kept)
    return summarize_gains(meter, levels, measured, score, "attribution")


def estimate_gains(
    meter: GainMeter,
    levels: Sequence[float],
    *,
    layers: Sequence[Layer],
    score: Score,
    steps: int = 1,
    swapped: Sequence[int] = (),
    kept: Path | None = None,
) -> MeanGains:
    """What ``attribute_filters`` ranks by, image by image.

    Args:
        swapped: filters of every layer given that are swapped already.
    """
    of = {"levels": levels, "layers": [layer.name for layer in layers], "score": score, "steps": steps, "swapped": swapped}

    def estimate(part: GainMeter, severities: Sequence[float]) -> MeanGains:
        return _estimate(part, severities, layers, score, steps, swapped)

    return mean_over_members(meter, meter.parts(levels), estimate, kept=kept, of=of)


def _estimate(
    meter: GainMeter, levels: Sequence[float], layers: Sequence[Layer], score: Score, steps: int, swapped: Sequence[int]
) -> MeanGains:
    index = meter.task.index_of(score, gradient=True)
    count, processes = len(meter.images), meter.processes
    swaps = captured_swaps(meter, layers)
    scores = len(meter.task.scores)
    gains = {layer.name: torch.full((scores, layer.filters, count), torch.nan, dtype=torch.float64) for layer in layers}
    before = torch.zeros(len(levels), count)
    estimated = torch.zeros(sum(layer.filters for layer in layers), count)
    for row, level in enumerate(levels):
        for start in processes.mine(range(0, count, IMAGES_A_BATCH)):
            part = slice(start, start + IMAGES_A_BATCH)
            clean, distorted = meter.load(part, level)
            with looking(meter.model), autocast(meter.device, meter.precision):
                first, parts = _attribute(meter.task, meter.graph, swaps, clean, distorted, index, steps, swapped)
            before[row, part] = first.cpu()
            estimated[:, part] += torch.cat(list(parts.values())).cpu() / len(levels)
            meter.advance(estimated[:, part].numel())
    estimated, before = processes.total(estimated), processes.total(before)
    for name, each in zip(gains, torch.split(estimated, [layer.filters for layer in layers]), strict=True):
        gains[name][index] = each
    return MeanGains(before.double().mean(1).tolist(), gains)


def captured_swaps(meter: GainMeter, layers: Sequence[Layer]) -> dict[str, GraphSwap]:
    """What swaps the filters of each layer on the network's graph, by name.

    Raises:
        DeepcorrectError: ``torch.export`` does not capture a layer.
    """
    swaps: dict[str, GraphSwap] = {}
    for layer in layers:
        swap = meter.swap(layer)
        if not isinstance(swap, GraphSwap):
            raise DeepcorrectError(
                f"torch.export does not capture layer {layer.name}, so it has no gradients to estimate by; use "
                f"{argument('method', 'exact')} ({meter.swaps.reasons[layer.name]})"
            )
        swaps[layer.name] = swap
    return swaps


def _attribute(
    task: Task,
    graph: Graph | None,
    swaps: Mapping[str, GraphSwap],
    clean: Batch,
    distorted: Tensor,
    score: int,
    steps: int,
    swapped: Sequence[int],
) -> tuple[Tensor, dict[str, Tensor]]:
    """Each image's first score without a swap, (B,), and the estimated gain of every filter, (filters, B) by layer.

    Args:
        score: index of the one to estimate.
    """
    assert graph is not None
    sites = [site for swap in swaps.values() for site in swap.sites]
    kept = {node for swap in swaps.values() for node in swap.kept}
    with torch.no_grad():
        nodes, fused = fuse(graph, graph.before(sites, without=[graph.images]), unfused=sites)
        wanted = graph.run(nodes, {graph.images: clean.images}, sites, fused=fused)
    gradients: dict[Node, Tensor] = {}

    def reach(outputs: Tensor) -> Tensor:
        return task.score(outputs.float(), clean.labels)[score]

    if steps == 1 and not swapped:
        held, gradients = _gradients(graph, graph.nodes, {graph.images: distorted}, [graph.images], kept, reach)
        held |= {graph.images: distorted}
    else:
        with torch.no_grad():
            held = graph.run(graph.nodes, {graph.images: distorted}, {*kept, graph.images, graph.answer})
    estimates = {}
    with torch.no_grad():
        for name, swap in swaps.items():
            moves = GraphBatch(swap, wanted, held).moves
            estimates[name] = torch.zeros(len(distorted), swap.channels, device=distorted.device)
            for step in range(steps):
                share = torch.full((swap.channels, 1, 1), (step + 0.5) / steps if steps > 1 else 0.0, device=distorted.device)
                share[list(swapped)] = 1
                if share.any():
                    gradients = _gradients_on_the_way(swap, held, moves, share, reach)
                if not any(node in gradients for node in moves):
                    raise DeepcorrectError(
                        f"layer {name}: the answers have no gradient by it; use {argument('method', 'exact')}"
                    )
                for node, move in moves.items():
                    if node in gradients:
                        estimates[name] += (gradients[node] * move).sum((2, 3)).float() / steps
    first = task.score(held[graph.answer].float(), clean.labels)[0]
    return first, {name: gains.T for name, gains in estimates.items()}


def _gradients_on_the_way(
    swap: GraphSwap,
    held: Mapping[Node, Any],
    moves: Mapping[Node, Tensor],
    share: Tensor,
    reach: Callable[[Tensor], Tensor],
) -> dict[Node, Tensor]:
    """Gradients by the values at a layer's cut and late sites, each moved a share of the way; only what follows is run."""
    graph = swap.graph
    goals = {node: held[node] + move for node, move in moves.items()}

    def move(node: Node, value: Any) -> Any:
        return value + share.to(value.dtype) * (goals[node] - value) if node in goals else value

    given = {node: held[node] for node in (*swap.outside, graph.images)} | {node: move(node, held[node]) for node in swap.cut}
    return _gradients(graph, swap.after_cut, given, swap.cut, set(moves), reach, move)[1]


def _gradients(
    graph: Graph,
    nodes: Sequence[Node],
    given: Mapping[Node, Any],
    leaves: Sequence[Node],
    kept: set[Node],
    reach: Callable[[Tensor], Tensor],
    replace: Callable[[Node, Any], Any] = lambda node, value: value,
) -> tuple[dict[Node, Any], dict[Node, Tensor]]:
    """Values of some nodes, and the gradient of every image's score by those of them that it has one by.

    Args:
        nodes: those to run on the ``given`` values.
        leaves: given ones that gradients go back to.
        reach: every image's score, (B,), by the network's outputs.
        replace: as of ``Graph.run``.
    """
    with torch.enable_grad():
        starts = {node: given[node].detach().clone().requires_grad_() for node in leaves}
        values = graph.run(nodes, {**given, **starts}, {*kept, graph.answer}, replace=replace)
        reached = reach(values[graph.answer])
        by = [node for node in kept if node is not graph.answer and values[node].requires_grad]
        derived = (
            torch.autograd.grad(reached.sum(), [values[node] for node in by], allow_unused=True)
            if by and reached.requires_grad
            else [None] * len(by)
        )
    gradients = {node: gradient for node, gradient in zip(by, derived, strict=True) if gradient is not None}
    return {node: value.detach() for node, value in values.items()}, gradients
