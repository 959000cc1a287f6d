"""Correction priority estimated from gradients: all filters of all layers in a few passes (attribution patching).

To first order, swapping a filter's output h for its clean value h' gains

    grad_h f(h) . (h' - h)

of a smooth score f, the true class's probability or margin. One backward pass gives the gradients of all filters at once. With more
than one step the gradient is averaged along the way from the distorted to the clean values (integrated gradients), which
corrects for curvature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from deepcorrect.graph import Graph
from deepcorrect.swapping import GraphSwap


def attribute(
    graph: Graph,
    swaps: Mapping[str, GraphSwap],
    clean: Tensor,
    distorted: Tensor,
    labels: Tensor,
    *,
    score: str,
    steps: int = 1,
) -> dict[str, Tensor]:
    """The estimated gain of every filter for every image of a batch, (filters, B) by layer.

    Args:
        graph: the network.
        swaps: the layers to rank.
        clean, distorted: (B, C, H, W) in [0, 1].
        labels: (B,).
        score: ``probability`` or ``margin``.
        steps: gradients a filter; the first is taken at the distorted images.
    """
    batches = {name: swap.prepare(clean, distorted) for name, swap in swaps.items()}
    gains = {name: torch.zeros(len(labels), swap.channels, device=labels.device) for name, swap in swaps.items()}
    for step in range(steps):
        for names in [list(swaps)] if steps == 1 else [[name] for name in swaps]:
            moves = {node: move * (step / steps) for name in names for node, move in batches[name].moves.items()}
            gradients = _gradients(graph, distorted, labels, moves, score)
            for name in names:
                for node, move in batches[name].moves.items():
                    gains[name] += (gradients[node].float() * move.float()).flatten(2).sum(2) / steps
    return {name: found.T for name, found in gains.items()}


def _gradients(graph: Graph, images: Tensor, labels: Tensor, moves: Mapping[Node, Tensor], score: str) -> dict[Node, Tensor]:
    """The gradient of every image's score by some values, with these moved by so much."""
    moved: dict[Node, Tensor] = {}

    def move(node: Node, value: Any) -> Any:
        if node in moves:
            value = moved[node] = value + moves[node] + torch.zeros_like(value, requires_grad=True)
        return value

    with torch.enable_grad():
        logits = graph.run(graph.nodes, {graph.images: images}, [graph.logits], replace=move)[graph.logits].float()
        own = logits.gather(1, labels[:, None])[:, 0]
        others = logits.scatter(1, labels[:, None], -torch.inf)
        reached = (own - logits.logsumexp(1)).exp() if score == "probability" else own - others.amax(1)
        found = torch.autograd.grad(reached.sum(), list(moved.values()), allow_unused=True)
    return {
        node: torch.zeros_like(value) if gradient is None else gradient
        for (node, value), gradient in zip(moved.items(), found, strict=True)
    }
