"""Robustness of a network: its means, what they are compared with, and how they are shown and kept."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import pytest
import torch
from torch import Tensor

import deepcorrect as dc
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.files import read_json
from deepcorrect.cli.console import show_runs
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.distortions import registry
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.groups import GROUPS
from deepcorrect.evaluation import alexnet
from deepcorrect.evaluation.robustness import Robustness, compared_view
from deepcorrect.pipeline.job import Job
from deepcorrect.runs.kinds import Kind
from deepcorrect.runs.results import Record, Records, Run
from tests.command_line import one_line, run
from tests.conftest import make_toy

PUBLISHED = GROUPS["imagenet-c"]
BY_SEVERITY = {
    "gaussian_noise": (0.69528, 0.82542, 0.93554, 0.98138, 0.99452),
    "snow": (0.71726, 0.88392, 0.86468, 0.9187, 0.94952),
    "brightness": (0.4514, 0.48502, 0.54048, 0.62166, 0.7244),
    "elastic_transform": (0.52596, 0.70116, 0.55686, 0.64076, 0.80554),
    "pixelate": (0.52218, 0.5462, 0.73728, 0.87092, 0.91262),
}
"""AlexNet's errors at each severity, from another table than their means."""


def record(distortion: str, *top1: float, name: str = "baseline", kind: Kind = "baseline", classes: int = 3) -> Record:
    by_class = (*[0.5] * classes, None) if classes < 9 else (0.5,) * classes
    return Record(
        name=name, kind=kind, distortion=distortion, levels=tuple(range(len(top1))), images=50, seed=0, precision="fp32",
        top1=top1, top5=top1, mean_top1=fmean(top1), mean_top5=fmean(top1), per_class=(by_class,) * len(top1),
        trainable_parameters=1, multiply_accumulates=1,
    )  # fmt: skip


def robustness(*records: Record) -> Robustness:
    (found,) = Records(records).robustness()
    return found


def imagenet(errors: dict[str, float], clean: float = 0.6) -> Robustness:
    return robustness(*(record(name, clean, *[1 - error] * 5, classes=1000) for name, error in errors.items()))


def test_means_are_over_severities_and_then_over_corruptions() -> None:
    found = robustness(record("snow", 0.8, 0.6, 0.4), record("fog", 0.8, 0.7, 0.5), record("a+b", 0.8, 0.2, 0.0))
    assert list(found.corruptions) == ["snow", "fog", "a+b"]
    assert found.mean() == pytest.approx((0.5 + 0.6 + 0.1) / 3)
    assert found.mean(["fog"]) == pytest.approx(0.6)
    assert found.added_error == pytest.approx(0.8 - 0.4)
    assert found.error_ratio == pytest.approx(0.6 / 0.2)
    assert found.groups == {"all": ("snow", "fog", "a+b")}
    assert robustness(record("fog", 1, 0.5), record("snow", 1, 0.5)).error_ratio is None


def test_groups_that_were_measured_whole_have_means_behind_their_last_member() -> None:
    everything = [*PUBLISHED, *GROUPS["imagenet-c-extra"], "low_light"]
    found = robustness(*(record(name, 0.9, index / 100) for index, name in enumerate(everything)))
    assert list(found.groups) == ["noises", "blurs", "weather", "digital", "imagenet-c", "imagenet-c-extra", "all"]
    assert list(found.rows())[20:23] == ["noises (3)", "blurs (4)", "weather (4)"]
    assert found.rows()["digital (4)"] == pytest.approx((0.125,))
    assert found.mean(found.groups["all"]) == found.mean() == pytest.approx(0.095)
    only = robustness(*(record(name, 0.9, 0.5) for name in (*GROUPS["blurs"], *GROUPS["noises"][:2])))
    assert list(only.groups) == ["blurs", "all"]


def test_mce_is_error_over_alexnets_mean_over_the_15_corruptions() -> None:
    assert imagenet(dict(alexnet.ERRORS)).mce == pytest.approx(1)
    assert imagenet({name: error / 2 for name, error in alexnet.ERRORS.items()}).mce == pytest.approx(0.5)
    one = dict(alexnet.ERRORS) | {"jpeg_compression": 2 * 0.6065}
    assert imagenet(one).mce == pytest.approx(16 / 15)
    assert list(alexnet.ERRORS) == list(PUBLISHED)
    for name, errors in BY_SEVERITY.items():
        assert alexnet.ERRORS[name] == pytest.approx(fmean(errors), abs=1e-5)
    assert fmean(alexnet.ERRORS.values()) == pytest.approx(1 - 0.2112, abs=5e-4)  # RobustBench measured 21.12 % accuracy


def test_mce_is_of_imagenets_1000_classes_under_all_15_at_all_severities() -> None:
    whole = dict(alexnet.ERRORS)
    assert imagenet({name: error for name, error in whole.items() if name != "fog"}).mce is None
    assert imagenet(whole | {"saturate": 0.9}).mce == pytest.approx(1)
    few = robustness(*(record(name, 0.6, *[0.5] * 5, classes=100) for name in PUBLISHED))
    assert few.published
    assert few.mce is None
    short = robustness(*(record(name, 0.6, *[0.5] * 4, classes=1000) for name in PUBLISHED))
    assert not short.published
    assert short.mce is None


def test_json_has_the_fields_of_robustbench() -> None:
    found = imagenet(dict(alexnet.ERRORS), clean=0.56518)
    written = json.loads(json.dumps(found.as_json("imagenet")))
    assert written["dataset"] == "imagenet"
    assert written["clean_acc"] == "56.52"
    assert written["corruptions_acc"] == "21.1"
    assert written["corruptions_mce"] == "100.0"
    assert written["unaggregated_results"]["fog"] == dict.fromkeys("12345", pytest.approx(1 - 0.819324))
    assert list(written["unaggregated_results"]) == list(PUBLISHED)
    few = robustness(record("cifar-c/fog", 0.7, 0.6), record("cifar-c/snow", 0.7, 0.5)).as_json("cifar100")
    assert few["corruptions_acc"] is few["corruptions_mce"] is None
    assert few["unaggregated_results"] == {"snow": {"1": 0.5}, "fog": {"1": 0.6}}
    assert few["means"] == {"all": pytest.approx(0.55)}


def test_records_that_belong_together_are_one_table_and_the_others_their_own() -> None:
    records = Records([
        record("fog", 0.9, 0.8), record("blur", 0.9, 0.5, 0.4), record("snow", 0.9, 0.6), record("low_light", 0.9, 0.1),
        record("cifar-c/fog", 0.9, 0.7),
    ])  # fmt: skip
    titles = [view.table.title for view in records.views()]
    assert titles == [
        "Top-1 accuracy of baseline under snow, fog, low_light (50 test images)",
        "Top-1 accuracy under blur (50 test images)",
        "Top-1 accuracy under cifar-c/fog (50 test images)",
    ]
    assert [list(row) for row in records.views()[0].table.rows] == [
        ["snow", "0.6000", "0.6000"],
        ["fog", "0.8000", "0.8000"],
        ["low_light", "0.1000", "0.1000"],
        ["all (3)", "0.5000", "0.5000"],
    ]
    assert "Clean accuracy 0.9000, mean under the 3 corruptions 0.5000." in str(records)
    assert Records([record("fog", 0.9, 0.8), record("blur", 0.9, 0.5, 0.4)]).robustness() == []
    assert Records([record("own", 0.9, 0.8), record("fog", 0.9, 0.5), record("noise", 0.9, 0.5)]).robustness() == []
    assert Records([record("a+b", 0.9, 0.8), record("low_light", 0.9, 0.5)]).robustness()
    assert Records([record("fog", 0.9), record("snow", 0.9)]).robustness() == []


def test_networks_side_by_side_say_what_share_of_the_loss_is_recovered() -> None:
    base = [record("snow", 0.9, 0.5, 0.3), record("fog", 0.9, 0.9, 0.9)]
    fixed = [record(each.distortion, 0.8, 0.6, 0.6, name="fix", kind="correction") for each in base]
    networks = Records([*fixed, *base]).robustness()
    assert [network.network for network in networks] == ["baseline", "fix"]
    table = compared_view(networks).table
    assert list(table.headings) == ["Corruption", "baseline", "fix", "Recovered by fix"]
    assert [list(row) for row in table.rows] == [
        ["clean", "0.9000", "0.8000", ""],
        ["snow", "0.4000", "0.6000", "40.0%"],
        ["fog", "0.9000", "0.6000", ""],
        ["all (2)", "0.6500", "0.6000", "-20.0%"],
    ]
    assert "Recovered" not in str(compared_view(networks[1:]).table)


def test_networks_of_two_runs_that_have_one_name_are_not_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Each run corrected another corruption; together they would look like one network under both."""
    runs = [[record(name, 0.9, 0.5, name="deepcorr-1", kind="correction")] for name in ("fog", "snow")]
    assert len(Records(runs[0] + runs[1]).robustness()) == 1
    show_runs(runs)
    assert "corruptions" not in capsys.readouterr().out


@pytest.fixture
def graded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Corruptions of known effect in place of the real ones."""

    def darker(images: Tensor, severity: Tensor) -> Tensor:
        return images * (1 - severity.view(-1, 1, 1, 1) / 10)

    known = {name: Distortion(name, darker, levels=(1, 2, 3, 4, 5), graded=True) for name in GROUPS["weather"]}
    monkeypatch.setattr(registry, "_REGISTRY", registry._REGISTRY | known)


def counted(network: torch.nn.Module) -> list[int]:
    passes: list[int] = []
    network.register_forward_pre_hook(lambda module, given: passes.append(len(given[0])))
    return passes


def test_clean_images_are_passed_through_once(graded: None, dataset: Dataset) -> None:
    network = make_toy("plain")
    together = dc.assess(network, dataset, "weather")
    assert together == [dc.assess(network, dataset, name)[0] for name in GROUPS["weather"]]
    job = Job(network, dataset)
    passes = counted(network)
    records = dc.assess(job, [(dc.get_distortion(name), (1, 2, 3)) for name in GROUPS["weather"]])
    counts = sum(count for count in passes if count > 2)  # of two images, multiply-accumulates are counted
    assert counts == len(dataset.test) * (1 + 4 * 3)
    assert [record.top1[0] for record in records] == [together[0].top1[0]] * 4


def test_an_interrupted_assessment_goes_on_where_it_was(graded: None, dataset: Dataset, tmp_path: Path) -> None:
    network = make_toy("plain")
    wanted = dc.assess(network, dataset, "weather")

    job = Job(network, dataset, run=Run(tmp_path / "run", "assess", {}))
    ladders = [(dc.get_distortion(name), (1.0, 2.0, 3.0, 4.0, 5.0)) for name in GROUPS["weather"]]
    fog = ladders[2][0]

    def interrupted(images: Tensor, *rest: object) -> Tensor:
        if len(images) > 1:  # one image tells a distortion from others
            raise KeyboardInterrupt
        return Distortion.at(fog, images, *rest)  # type: ignore[arg-type]

    object.__setattr__(fog, "at", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dc.assess(job, ladders)
    object.__delattr__(fog, "at")
    kept = read_json(tmp_path / "run" / "records.json")["records"]
    assert [record["distortion"] for record in kept] == ["snow", "frost"]
    passes = counted(network)
    assert dc.assess(job, ladders) == wanted
    assert sum(count for count in passes if count > 2) == len(dataset.test) * (1 + 2 * 5)


def test_the_command_line_prints_one_table_and_keeps_the_json(
    graded: None, baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], no_page: None
) -> None:
    words = ("assess", baseline, "--data", "digits", "--limit", "3", "--precision", "fp32", "--distortion", "weather,blur")
    code, out, error = run(capsys, *words, "--out", tmp_path / "run")
    assert code == 0, error
    assert out.count("Top-1 accuracy") == 2
    assert "Top-1 accuracy of baseline under 4 corruptions (30 test images)" in out
    (kept,) = read_json(tmp_path / "run" / "robustness.json")["robustness"]
    _, printed, _ = run(capsys, *words, "--json")
    assert json.loads(printed)["robustness"] == [kept]
    assert len(json.loads(printed)["records"]) == 5
    assert list(kept["unaggregated_results"]) == list(GROUPS["weather"])
    _, plain, _ = run(capsys, *words[:-1], "blur", "--json")
    assert list(json.loads(plain)) == ["records"]


MISTAKES = {
    ("assess", "fogg"): "--distortion fogg: unknown distortion 'fogg'; did you mean fog; known: ",
    ("assess", "weathr"): "did you mean weather; known",
    ("assess", "qqq"): "--distortion qqq: unknown distortion 'qqq'; known: ",
    ("assess", "fog,weather"): "--distortion fog,weather: fog is named twice",
    ("rank", "weather"): "--distortion weather: that is several (snow, frost, fog, brightness); give one, or mix:weather",
    ("finetune", "fog,snow"): "--distortion fog,snow: that is several (fog, snow); give one, or mix:fog,snow",
    ("assess", "fog --levels 6"): "--levels 6: fog has the severities 1, 2, 3, 4, 5 alone",
    ("assess", "fog --levels 0"): "--levels 0: give one or more finite numbers above 0; clean images, level 0, are always",
    ("assess", "weather --levels 1.5"): "--levels 1.5: snow has the severities 1, 2, 3, 4, 5 alone",
    ("rank", "fog --levels cifar"): "--levels cifar: neither numbers nor a ladder of fog (default)",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_get_one_line(mistake: tuple[str, str], graded: None, capsys: pytest.CaptureFixture[str]) -> None:
    command, given = mistake
    code, _, error = run(capsys, command, "smallcnn", "--data", "digits", "--limit", "2", "--distortion", *given.split())
    assert code != 0
    assert MISTAKES[mistake] in one_line(error)


def test_python_takes_groups_and_lists(graded: None, dataset: Dataset) -> None:
    network = make_toy("plain")
    names = [record.distortion for record in dc.assess(network, dataset, ["snow,fog", dc.GaussianBlur()], levels=(1, 2))]
    assert names == ["snow", "fog", "blur"]
    with pytest.raises(DeepcorrectError, match=r"distortion='wether': unknown distortion 'wether'; did you mean weather"):
        dc.assess(network, dataset, "wether")
