"""A gate decides image by image; the network's own answers are untouched, bit for bit."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import deepcorrect as dc
from deepcorrect.adapters.attach import attach, load_correction
from deepcorrect.adapters.copies import CorrectionLike
from deepcorrect.adapters.gate import FirstLayer, statistics
from deepcorrect.adapters.gate_fitting import fit_gate
from deepcorrect.adapters.rows import together
from deepcorrect.datasets.batches import as_float
from deepcorrect.datasets.images import ImageSet
from deepcorrect.distortions.base import Ladder
from tests.conftest import make_toy, random_images
from tests.corrections import plan_for, snapshot
from tests.gates import STRONG, TEST, TRAIN, VALIDATION, Case, gate_case, mixed_batch, ruined, saved_corrections


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return gate_case(tmp_path_factory.mktemp("gate"))


def test_statistics_are_those_of_numpy() -> None:
    outputs = torch.randn(3, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    values = outputs.double().numpy()
    expected = np.concatenate(
        [
            values.mean((2, 3)),
            np.log(values.std((2, 3))),
            np.log(np.abs(np.diff(values, axis=3)).mean((2, 3))),
            np.log(np.abs(np.diff(values, axis=2)).mean((2, 3))),
        ],
        1,
    )
    assert np.allclose(statistics(outputs).numpy(), expected, atol=1e-5)
    assert statistics(torch.ones(2, 3, 1, 1)).isfinite().all()


@torch.no_grad()
def test_clean_images_get_the_networks_answers_bit_for_bit(case: Case) -> None:
    clean = as_float(TEST.images)
    assert torch.equal(case.gated(clean), case.network(clean))
    batch, kinds = mixed_batch()
    assert torch.equal(case.gated(batch)[kinds == 0], case.network(batch)[kinds == 0])


@torch.no_grad()
def test_distorted_images_get_the_answers_of_their_correction(case: Case) -> None:
    batch, kinds = mixed_batch()
    assert torch.equal(case.gated.decide(batch), kinds)
    answers = case.gated(batch)
    for decision, file in enumerate(case.files.values(), start=1):
        network = make_toy("batch-norm")
        load_correction(file, network)
        rows = kinds == decision
        assert torch.allclose(answers[rows], network(batch[rows]), atol=1e-5)
        assert not torch.allclose(answers[rows], case.network(batch[rows]), atol=1e-2)


@torch.no_grad()
@pytest.mark.parametrize("size", [1, 7])
def test_decisions_depend_on_no_other_image(case: Case, size: int) -> None:
    batch, kinds = mixed_batch()
    parts = torch.split(batch, size)
    assert torch.equal(torch.cat([case.gated.decide(part) for part in parts]), kinds)
    assert torch.allclose(torch.cat([case.gated(part) for part in parts]), case.gated(batch), atol=1e-5)


@torch.no_grad()
def test_a_batch_of_ruined_images_does_not_pass_through_the_network_as_it_is(case: Case) -> None:
    passed: list[nn.Module] = []
    last = [module for module in case.network.modules() if isinstance(module, nn.Linear)][-1]
    handle = last.register_forward_hook(lambda module, *_: passed.append(module))
    try:
        case.gated(ruined(TEST, STRONG["noise"]))
        assert not passed
        case.gated(mixed_batch()[0])
        assert len(passed) == 1
    finally:
        handle.remove()
    assert case.gated(torch.rand(0, 3, 8, 8)).shape == (0, 5)


def test_corrections_share_the_networks_tensors_and_leave_it_as_it_was(tmp_path: Path) -> None:
    network = make_toy("batch-norm").train()
    files = saved_corrections(network, tmp_path)
    next(network.parameters()).requires_grad_(False)
    before, modules = snapshot(network), list(network.modules())
    flags = [weight.requires_grad for weight in network.parameters()]
    torch.manual_seed(3)
    state = torch.get_rng_state()
    gated = dc.fit_gate(network, TRAIN, VALIDATION, files, distortions=STRONG, progress=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert list(network.modules()) == modules
    assert [weight.requires_grad for weight in network.parameters()] == flags
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    own = {id(weight) for weight in network.parameters()}
    for corrected in gated.corrected.values():
        assert own <= {id(weight) for weight in corrected.parameters()}
    assert not any(module.training for module in gated.train().modules())


@torch.no_grad()
def test_a_correction_that_is_on_the_network_may_be_one_of_the_gates(case: Case) -> None:
    network = make_toy("batch-norm")
    bare = case.network(as_float(TEST.images))
    correction = load_correction(case.files["noise"], network)
    corrections: dict[str, CorrectionLike] = {"blur": case.files["blur"], "noise": correction}
    gated = dc.fit_gate(network, TRAIN, VALIDATION, corrections, distortions=STRONG, progress=False)
    batch, _ = mixed_batch()
    assert torch.equal(gated(as_float(TEST.images)), bare)
    assert torch.allclose(gated(batch), case.gated(batch), atol=1e-5)
    corrected = network(batch)
    correction.detach()
    assert not torch.allclose(corrected, network(batch))
    assert torch.allclose(gated(batch), case.gated(batch), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_the_threshold_leaves_the_wanted_share_of_validation_images_alone(case: Case, share: float) -> None:
    mild = {"blur": Ladder(STRONG["blur"], (0.3,))}
    fitted = fit_gate(case.network, "0", TRAIN, VALIDATION, mild, clean=share)
    outputs = case.network[0](as_float(VALIDATION.images))  # type: ignore[index]
    untouched = float((fitted.gate(outputs) == 0).double().mean())
    assert untouched == pytest.approx(fitted.passed)
    assert share <= untouched < share + 1 / len(VALIDATION) + 1e-6


@torch.no_grad()
def test_accuracy_is_that_of_the_answers(case: Case) -> None:
    evaluation = dc.evaluate(case.gated, TEST, STRONG["noise"], classes=5, seed=5, progress=False)
    for index, level in enumerate((0, 40, 60)):
        images = STRONG["noise"].at(as_float(TEST.images), level, TEST.indices, 5)
        assert evaluation.top1[index] == pytest.approx(float((case.gated(images).argmax(1) == TEST.labels).float().mean()))


@torch.no_grad()
def test_rounding_to_bfloat16_is_not_taken_for_noise(case: Case) -> None:
    batch, kinds = mixed_batch()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(case.gated.decide(batch), kinds)
    seen: list[Tensor] = []
    with torch.autocast("cpu", torch.bfloat16):
        FirstLayer(case.network, "0").run(batch, lambda outputs: seen.append(outputs) is not None)  # type: ignore[func-returns-value]
    assert torch.equal(seen[0], case.network[0](batch))  # type: ignore[index]


class OutOfOrder(nn.Module):
    """Its second convolution is registered first; it is used twice."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.later, self.first, self.head = nn.Conv2d(6, 6, 3), nn.Conv2d(channels, 6, 3), nn.Linear(6, 5)

    def forward(self, images: Tensor) -> Tensor:
        held = torch.relu_(self.first(images - 0.5))
        logits: Tensor = self.head(torch.relu_(self.later(torch.relu_(self.later(held)))).mean((2, 3)))
        return logits


@torch.no_grad()
def test_the_first_convolution_is_the_first_that_runs_on_grey_images_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = OutOfOrder(channels=1).eval()
    train, validation = (ImageSet.whole(part.images[:, :1].clone(), part.labels) for part in (TRAIN, VALIDATION))
    plan = dc.Plan(distortion="noise", filters={"later": (1, 3)}, unit="wide")
    correction = attach(network, plan, torch.rand(2, 1, 8, 8))
    gated = dc.fit_gate(network, train, validation, {"mine": correction}, distortions={"mine": STRONG["noise"]}, progress=False)
    assert gated.saved.layer == "first"
    assert gated.gate.channels == 6
    grey = ImageSet.whole(TEST.images[:, :1].clone(), TEST.labels)
    noisy = ruined(grey, STRONG["noise"])
    assert (gated.decide(as_float(grey.images)) == 0).float().mean() > 0.9
    assert (gated.decide(noisy) == 1).float().mean() > 0.9
    batch = torch.cat([as_float(grey.images[:3]), noisy[:3]])
    with correction.disabled():
        assert torch.equal(gated(batch)[:3], network(batch)[:3])


Pair = namedtuple("Pair", "logits features")


def test_answers_of_any_structure_are_put_together() -> None:
    first, second = torch.tensor([0, 2]), torch.tensor([1])
    ours = Pair(torch.tensor([[1.0], [3.0]]), [{"out": torch.tensor([10, 30])}])
    theirs = Pair(torch.tensor([[2.0]]), [{"out": torch.tensor([20])}])
    joined = together([(first, ours), (second, theirs)], 3, whole=False)
    assert isinstance(joined, Pair)
    assert joined.logits.tolist() == [[1.0], [2.0], [3.0]]
    assert joined.features[0]["out"].tolist() == [10, 20, 30]
    with pytest.raises(dc.DeepcorrectError, match="row for each image"):
        together([(first, torch.zeros(1)), (second, torch.zeros(1))], 3, whole=False)
    with pytest.raises(dc.DeepcorrectError, match="returns tensors, not set"):
        together([(first, {1}), (second, {1})], 3, whole=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clean": 1.0}, "clean=1.0: give a share between 0 and 1"),
        ({"images": 0}, "images=0: at least one image"),
        ({"corrections": {}}, "one correction at least"),
        ({"distortions": {"fog": STRONG["blur"]}}, "fog is none of the corrections"),
    ],
)
def test_what_cannot_be_fitted_is_refused(case: Case, options: dict[str, object], message: str) -> None:
    given = {"corrections": case.files, "distortions": STRONG, "progress": False, **options}
    if not given["corrections"]:
        given["distortions"] = None
    with pytest.raises(dc.DeepcorrectError, match=message):
        dc.fit_gate(case.network, TRAIN, VALIDATION, **given)  # type: ignore[arg-type]


def test_a_network_that_cannot_be_copied_is_refused(case: Case) -> None:
    network = make_toy("batch-norm")
    network.lock = (_ for _ in ())  # type: ignore[assignment]
    with pytest.raises(dc.DeepcorrectError, match="cannot be copied"):
        dc.fit_gate(network, TRAIN, VALIDATION, case.files, distortions=STRONG, progress=False)


def test_the_same_seed_fits_the_same_gate(case: Case) -> None:
    again = dc.fit_gate(make_toy("batch-norm"), TRAIN, VALIDATION, case.files, distortions=STRONG, progress=False)
    assert torch.equal(again.gate.weight, case.gated.gate.weight)
    other = dc.fit_gate(make_toy("batch-norm"), TRAIN, VALIDATION, case.files, distortions=STRONG, seed=1, progress=False)
    assert not torch.equal(other.gate.weight, case.gated.gate.weight)


def test_labels_are_not_needed(case: Case) -> None:
    train, validation = (ImageSet.whole(part.images, torch.full_like(part.labels, -1)) for part in (TRAIN, VALIDATION))
    gated = dc.fit_gate(case.network, train, validation, case.files, distortions=STRONG, progress=False)
    batch, kinds = mixed_batch(random_images(20, seed=9))
    assert torch.equal(gated.decide(batch), kinds)
    assert plan_for(case.network).filters.keys() == {"0", "3", "6"}


@torch.no_grad()
def test_one_correction_for_two_distortions_is_used_against_both(case: Case) -> None:
    both = {"both": dc.Mixture(STRONG.values(), "both")}
    gated = dc.fit_gate(case.network, TRAIN, VALIDATION, {"both": case.files["noise"]}, distortions=both, progress=False)
    assert gated.gate.decisions.tolist() == [0, 1, 1]
    batch, kinds = mixed_batch()
    assert gated.decide(batch).tolist() == (kinds > 0).long().tolist()
