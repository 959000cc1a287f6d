"""What a teacher says is what two plain passes say."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepcorrect.adapters.attach import attach
from deepcorrect.adapters.plan import Plan
from deepcorrect.models.layers import find_layers
from deepcorrect.swapping.patching import capture
from deepcorrect.training.teacher import Teacher
from tests.conftest import make_toy

PLAN = Plan(distortion="noise", filters={"0": (0, 1, 2)}, retrained=("2",))


def test_a_lesson_compares_the_corrected_network_with_the_bare_one() -> None:
    stream = torch.Generator().manual_seed(0)
    clean = torch.rand(4, 3, 8, 8, generator=stream)
    images = 5 * torch.rand(clean.shape, generator=stream)
    bare, network = make_toy("plain"), make_toy("plain")
    last = find_layers(network, clean)[-1].name
    correction = attach(network, PLAN, clean)
    teacher = Teacher(network, correction, last)
    with teacher.attending():
        lesson = teacher.teach(images, clean)
    (before_last,) = [name for name, module in bare.named_modules() if isinstance(module, nn.Flatten)]
    with torch.no_grad(), capture(bare, [before_last]) as wanted:
        answers = bare(clean).softmax(1)
    with torch.no_grad(), capture(network, [before_last]) as found:
        logits = network(images)
    target = wanted[before_last]
    assert torch.allclose(lesson.outputs, logits)
    divergence = (answers * (answers.log() - F.log_softmax(logits, 1))).sum(1).mean()
    assert lesson.divergence.item() == pytest.approx(divergence.item(), rel=1e-3)
    distance = ((found[before_last] - target) ** 2).mean() / target.var()
    assert lesson.features.item() == pytest.approx(distance.item(), rel=1e-4)
    (lesson.divergence + lesson.features).backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in correction.parameters())
    assert all(parameter.grad is None for parameter in network.parameters() if not parameter.requires_grad)


def test_without_distortion_a_bare_network_has_nothing_to_learn() -> None:
    network = make_toy("plain")
    clean = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    correction = attach(network, Plan(distortion="noise", retrained=("0", "2")), clean)
    teacher = Teacher(network, correction, find_layers(make_toy("plain"), clean)[-1].name)
    with teacher.attending():
        lesson = teacher.teach(clean, clean)
    assert lesson.divergence.item() == pytest.approx(0, abs=1e-6)
    assert lesson.features.item() == 0
