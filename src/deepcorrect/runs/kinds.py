"""What a measured network is: as it was, corrected, fine-tuned, given restored images, or behind a gate."""

from __future__ import annotations

from typing import Literal

from deepcorrect.adapters.plan import Plan

Kind = Literal["baseline", "correction", "finetuned", "restored", "gated", "other"]


def kind_of_plan(plan: Plan) -> Kind:
    """Of a network with what a plan attaches to it."""
    return "correction" if plan.filters else "finetuned"


def kind_of_name(name: str) -> Kind:
    """Of a network that the first version called so: its files do not say more."""
    if name.startswith("baseline"):
        return "restored" if " after " in name else "baseline"
    return "correction" if name.startswith("deepcorr") else "finetuned" if name.startswith("finetune") else "other"
