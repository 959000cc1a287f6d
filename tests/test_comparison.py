from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.evaluation.answers import Answers, keep_answers
from deepcorrect.evaluation.significance import bootstrap_interval, holm, mcnemar, paired_t_test
from deepcorrect.runs.comparison import Comparison, Pair, compare_records
from deepcorrect.runs.results import Record, Run
from tests.command_line import one_line, run

CLASSES = 4
LABELS = torch.arange(80) % CLASSES
LEVELS = (0.0, 1.0, 2.0)
ACCURACIES = {"baseline": (0.9, 0.4, 0.2), "deepcorr-3": (0.85, 0.7, 0.6), "finetune-3": (0.9, 0.7, 0.5)}


def answer(name: str, labels: Tensor, seed: int) -> Tensor:
    """What a network says to each image at each level, (levels, N)."""
    stream = torch.Generator().manual_seed(seed + sum(map(ord, name)))
    luck = torch.rand(len(LEVELS), len(labels), generator=stream)
    wrong = (labels + 1) % CLASSES
    return torch.where(luck < torch.tensor(ACCURACIES[name])[:, None], labels, wrong)


def save(
    folder: Path,
    names: list[str],
    *,
    distortion: str = "blur",
    labels: Tensor = LABELS,
    fingerprint: str = "same",
    seed: int = 0,
    keep: bool = True,
) -> Path:
    """A finished run with these networks."""
    made = Run(folder, "evaluate", {"data_fingerprint": fingerprint})
    records = []
    for name in names:
        answers = Answers(answer(name, labels, seed), labels)
        shares = answers.right.double()
        top1 = tuple(shares.mean(1).tolist())
        per_class = tuple(tuple(level[labels == kind].mean().item() for kind in range(CLASSES)) for level in shares)
        records.append(
            Record(
                name=name, distortion=distortion, levels=LEVELS, top1=top1, top5=top1,
                mean_top1=sum(top1) / len(top1), mean_top5=sum(top1) / len(top1), per_class=per_class,
                trainable_parameters=1, multiply_accumulates=1, images=len(labels), seed=seed, precision="fp32",
            )
        )  # fmt: skip
        if keep:
            keep_answers(folder, distortion, name, answers)
    made.finish(records, torch.device("cpu"))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [save(tmp_path / "fix", ["baseline", "deepcorr-3"]), save(tmp_path / "tune", ["baseline", "finetune-3"])]


def pairs_of(comparison: Comparison) -> dict[tuple[str, str], Pair]:
    return {(pair.network, pair.against): pair for pair in comparison.pairs}


def test_every_pair_is_tested_on_the_answers_of_both(runs: list[Path]) -> None:
    (comparison,) = compare_records(runs)
    assert (comparison.distortion, comparison.levels, comparison.notes) == ("blur", LEVELS, ())
    pairs = pairs_of(comparison)
    assert list(pairs) == [("deepcorr-3", "baseline"), ("finetune-3", "baseline"), ("finetune-3", "deepcorr-3")]
    right = {name: answer(name, LABELS, 0) == LABELS for name in ACCURACIES}
    for (name, other), pair in pairs.items():
        ours, others = (right[network].double().mean(1) for network in (name, other))
        assert pair.difference == pytest.approx(float(ours.mean() - others.mean()))
        assert pair.by_level == pytest.approx((ours - others).tolist())
        assert pair.t_test == pytest.approx(paired_t_test(ours.tolist(), others.tolist()))
        assert pair.interval == bootstrap_interval(right[name], right[other])
        assert pair.mcnemar == holm([mcnemar(*level) for level in zip(right[name], right[other], strict=True)])
        by_image = right[name].sum(0) - right[other].sum(0)
        gains = [int(by_image[LABELS.eq(kind)].sum()) for kind in range(CLASSES)]
        assert pair.classes is not None
        assert (pair.classes.better, pair.classes.worse) == (sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains))
        assert pair.classes.better + pair.classes.worse + pair.classes.equal == CLASSES
    for mean in comparison.means:
        assert mean.interval == bootstrap_interval(right[mean.network])


def test_against_one_network(runs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    (comparison,) = compare_records(runs, against="finetune-3")
    assert list(pairs_of(comparison)) == [("baseline", "finetune-3"), ("deepcorr-3", "finetune-3")]
    monkeypatch.setattr("deepcorrect.runs.comparison.MOST_FOR_ALL_PAIRS", 2)
    (comparison,) = compare_records(runs)
    assert list(pairs_of(comparison)) == [("baseline", "deepcorr-3"), ("finetune-3", "deepcorr-3")]
    with pytest.raises(
        DeepcorrectError, match=r"^against='net': no network of these runs; they have baseline, deepcorr-3, fine"
    ):
        compare_records(runs, against="net")


def test_distortions_are_compared_each_by_itself(runs: list[Path], tmp_path: Path) -> None:
    noisy = save(tmp_path / "noisy", ["baseline"], distortion="noise")
    assert [comparison.distortion for comparison in compare_records([*runs, noisy])] == ["blur"]
    assert compare_records([noisy]) == []


def test_the_same_network_of_two_seeds(tmp_path: Path) -> None:
    folders = [save(tmp_path / place / "fix", ["deepcorr-3"], seed=seed) for seed, place in enumerate("ab")]
    (comparison,) = compare_records(folders)
    (pair,) = comparison.pairs
    assert (pair.network, pair.against) == (f"deepcorr-3 ({folders[1]})", f"deepcorr-3 ({folders[0]})")
    right = [answer("deepcorr-3", LABELS, seed) == LABELS for seed in (1, 0)]
    assert pair.interval == bootstrap_interval(*right)


def test_without_answers_only_the_levels_are_tested(runs: list[Path], tmp_path: Path) -> None:
    old = save(tmp_path / "old", ["baseline", "deepcorr-3"], keep=False)
    (comparison,) = compare_records([old, runs[1]])
    assert [mean.interval is None for mean in comparison.means] == [False, True, False]
    pairs = pairs_of(comparison)
    assert pairs["finetune-3", "baseline"].interval is not None
    mixed = pairs["finetune-3", "deepcorr-3"]
    assert (mixed.interval, mixed.mcnemar) == (None, None)
    assert mixed.t_test is not None
    assert mixed.classes is not None
    assert comparison.notes[0].startswith("no intervals and no McNemar's test for deepcorr-3: ")


def test_answers_that_are_not_those_of_the_record_are_left_alone(runs: list[Path]) -> None:
    keep_answers(runs[0], "blur", "deepcorr-3", Answers(LABELS.expand(3, -1), LABELS))
    keep_answers(runs[1], "blur", "finetune-3", Answers(LABELS.expand(2, -1), LABELS))
    (comparison,) = compare_records(runs)
    assert [mean.interval is None for mean in comparison.means] == [False, True, True]


@pytest.mark.parametrize(
    "other", [{"fingerprint": "other"}, {"labels": LABELS.flip(0)}, {"labels": LABELS[:40]}], ids=["data", "labels", "count"]
)
def test_other_images_are_not_compared_one_by_one(runs: list[Path], tmp_path: Path, other: dict[str, object]) -> None:
    foreign = save(tmp_path / "foreign", ["finetune-3"], **other)  # type: ignore[arg-type]
    (comparison,) = compare_records([runs[0], foreign])
    pairs = pairs_of(comparison)
    apart = pairs["finetune-3", "baseline"]
    assert (apart.interval, apart.mcnemar, apart.classes) == (None, None, None)
    assert apart.t_test is not None
    assert pairs["deepcorr-3", "baseline"].interval is not None
    assert comparison.notes == (
        "not measured on the same test images, so not compared image by image: "
        "finetune-3 and baseline, finetune-3 and deepcorr-3",
    )


def test_the_command(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "compare", *runs, "--json")
    assert code == 0
    (comparison,) = json.loads(out)["comparisons"]
    assert Comparison.model_validate(comparison) == compare_records(runs)[0]
    page = tmp_path / "page.html"
    code, out, _ = run(capsys, "compare", *runs, "--against", "deepcorr-3", "--out", page)
    assert code == 0
    assert out.splitlines()[-1] == str(page)
    assert "<td>finetune-3</td>" in page.read_text()
    (pair,) = [pair for pair in compare_records(runs, against="deepcorr-3")[0].pairs if pair.network == "finetune-3"]
    assert pair.interval is not None
    assert pair.mcnemar is not None
    assert f"{pair.difference:+.4f} [{pair.interval[0]:+.4f}, {pair.interval[1]:+.4f}]" in out
    row = f"finetune-3 │ deepcorr-3 │ {' │ '.join(f'{p:.4f}' for p in pair.mcnemar)} │"
    assert row in " ".join(out.split())


def test_the_command_with_nothing_to_compare(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lonely = save(tmp_path / "lonely", ["baseline"])
    code, _, error = run(capsys, "compare", lonely)
    assert code == 2
    assert "no two networks measured under one distortion at the same levels" in one_line(error)
    code, _, error = run(capsys, "compare", *runs, tmp_path)
    assert code == 2
    assert "no results.json there" in one_line(error)
