"""What a ranking chooses: ``Ranking.top``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import deepcorrect as dc
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.ranking.result import Ranking
from tests.conftest import make_toy

RANKING = Ranking(
    "blur", (1.0,), 100, 0, (0.5,),
    {"a": (0.1, 0.4, 0.2, 0.0), "b": (0.3, 0.35, 0.25, -0.1), "c": (0.9, 0.8)},
)  # fmt: skip


def test_top_takes_a_share_of_each_layer() -> None:
    assert RANKING.top(0.5) == {"a": (1, 2), "b": (0, 1), "c": (0,)}
    assert RANKING.top(1) == {"a": (0, 1, 2, 3), "b": (0, 1, 2, 3), "c": (0, 1)}
    assert RANKING.top(0.25, layers=2) == {"a": (1,), "b": (1,)}
    assert RANKING.top(0.25, layers="b") == {"b": (1,)}


def test_top_takes_names_in_their_order_and_a_share_for_each() -> None:
    for shares in ((0.5, 0.75), [0.5, 0.75], np.array([0.5, 0.75]), torch.tensor([0.5, 0.75])):
        chosen = RANKING.top(shares, layers=("c", "a"))
        assert list(chosen.items()) == [("c", (0,)), ("a", (0, 1, 2))]
    assert RANKING.top(np.float32(0.5), layers=1) == {"a": (1, 2)}  # type: ignore[arg-type]
    assert RANKING.top(0.5, layers=np.int64(1)) == RANKING.top(0.5, layers=1.0) == {"a": (1, 2)}  # type: ignore[arg-type]


def test_top_across_layers_takes_as_many_of_all_together() -> None:
    """Half of each is 2 + 2 + 1 filters: the five highest scores are 0.9, 0.8, 0.4, 0.35 and 0.3."""
    assert RANKING.top(0.5, across=True) == {"a": (1,), "b": (0, 1), "c": (0, 1)}
    assert RANKING.top((0.25, 0.5), layers=("a", "c"), across=True) == {"c": (0, 1)}


def test_filters_that_were_chosen_together_come_in_that_order() -> None:
    chosen = replace(RANKING, method="joint", order={"a": (3, 0, 1, 2), "b": (0, 1, 2, 3), "c": (0, 1)})
    assert chosen.top(0.5, layers=1) == {"a": (0, 3)}
    with pytest.raises(DeepcorrectError, match=r"^across=True: this ranking orders the filters of each layer by more"):
        chosen.top(0.5, across=True)


@pytest.mark.parametrize(
    ("share", "layers", "reason"),
    [
        (0, None, r"share=0.0: outside \(0, 1\]"),
        (1.01, 1, r"share=1.01: outside"),
        (float("nan"), 1, r"share=nan: outside"),
        ("half", 1, r"share='half': give a number"),
        (None, 1, r"share=None: give a number"),
        (torch.tensor(0.5), 1, r"share=tensor\(0.5000\): give a number"),
        ((0.5, 1.5), 2, r"share=1.5: outside"),
        ((0.5, 0.5), None, r"share: 2 shares for 3 layers \(a, b, c\)"),
        ((), 1, r"share: 0 shares for 1 layers \(a\)"),
        (0.1, ["a"], r"share=0.1: layer a has 4 filter"),
        (0.5, 0, r"layers=0: give 1 to 3"),
        (0.5, 4, r"layers=4: give 1 to 3"),
        (0.5, 2.5, r"layers=2.5: give 1 to 3"),
        (0.5, -1, r"layers=-1: give 1 to 3"),
        (0.5, ["a", "z"], r"layers=\['a', 'z'\]: 'z' is not ranked; the ranking has a, b, c"),
        (0.5, "ab", r"layers=\['ab'\]: 'ab' is not ranked"),
        (0.5, ["a", "a"], r"layers=\['a', 'a'\]: give each name once"),
        (0.5, [], r"layers=\[\]: give a name or more"),
    ],
)
def test_what_cannot_be_chosen_is_refused(share: Any, layers: Any, reason: str) -> None:
    with pytest.raises(DeepcorrectError, match=f"^{reason}"):
        RANKING.top(share, layers)


def test_what_is_chosen_is_what_a_plan_takes() -> None:
    network = make_toy("plain")
    convolutions = {name: module.out_channels for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
    scores = {name: tuple(float(filter_) for filter_ in range(count)) for name, count in convolutions.items()}
    filters = replace(RANKING, scores=scores).top(0.5, layers=1)
    plan = dc.Plan(distortion="blur", filters=filters)
    assert plan.filters == filters
    correction = dc.attach(network, plan, torch.rand(2, 3, 16, 16))
    assert correction.corrected_layers == tuple(filters)
