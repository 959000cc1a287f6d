"""The job files of the paper's ImageNet study, each run dry on a folder of generated images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.cli import main
from deepcorrect.cli.jobfile import arguments_of

JOBS = Path(__file__).parent.parent / "experiments" / "imagenet"


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> dict[str, object]:
    monkeypatch.setattr("sys.argv", ["deepcorrect", *map(str, arguments), "--json"])
    with pytest.raises(SystemExit) as stop:
        main()
    output = capsys.readouterr()
    assert not stop.value.code, output.err
    found: dict[str, object] = json.loads(output.out)
    return found


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes in training and validation folders, as ImageNet has them."""
    root, random = tmp_path_factory.mktemp("imagenet"), np.random.RandomState(0)
    for part, count in (("train", 12), ("val", 2)):
        for name in ("n01440764", "n01443537"):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.randint(0, 256, (200, 300, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{number}.JPEG")
    (root / "dry.toml").write_text('base = "imagenet"\nepochs = 1\nsteps = 1\nbatch_size = 4\nmilestones = []\n')
    return root


@pytest.mark.verify
def test_every_job_of_the_imagenet_study_runs(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ("--data", f"folder:{pictures}", "--levels", "3")
    few = ("--images", "2", "--method", "attribution")
    assessed = run(capsys, monkeypatch, "run", JOBS / "assess.toml", *common, "--limit", "1")
    assert [record["images"] for record in assessed["records"]] == [2, 2]  # type: ignore[attr-defined]
    ranked = run(capsys, monkeypatch, "run", JOBS / "rank.toml", *common, *few, "--out", tmp_path / "rank")
    assert {name: len(scores) for name, scores in ranked["scores"].items()} == {  # type: ignore[attr-defined]
        "conv1": 96, "conv2": 256, "conv3": 384, "conv4": 384, "conv5": 256
    }  # fmt: skip
    parameters = {}
    for job in sorted(JOBS.glob("*.toml")):
        training: tuple[str | Path, ...] = ("--recipe", pictures / "dry.toml")
        if job.stem in ("assess", "rank"):
            continue
        if job.stem != "finetune-8":
            training = (*training, "--ranked-by", tmp_path / "rank")
        found = run(capsys, monkeypatch, "run", job, *common, *training)
        parameters[job.stem] = found["records"][-1]["trainable_parameters"]  # type: ignore[index]
    dense = 9217 * 4096 + 4097 * 4096 + 4097 * 2
    wide = 270_288 + 3 * 739_200 + 328_960
    assert parameters == {
        "deepcorr-5": wide,
        "deepcorr-5-lite": 314_568 + 3 * 345_408 + 328_960,
        "deepcorr-5-bottleneck": 40_680 + 3 * 287_040 + 127_872,
        "deepcorr-5-no-bn": wide - 3 * 2 * (72 + 192 + 192 + 192 + 128),
        "deepcorr-5c": wide + dense,
        "finetune-8": 60_965_224 - 998 * 4097,
    }


def test_a_job_file_stands_for_a_command_line(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("")
    (tmp_path / "job.toml").write_text(
        'command = "correct"\nmodel = "alexnet"\nshare = [0.75, 0.5]\nno-bn = true\nhalf = false\nrecipe = "own.toml"\n'
    )
    expected = ["correct", "alexnet", "--share", "0.75,0.5", "--no-bn", "--recipe", str(tmp_path / "own.toml")]
    assert arguments_of(tmp_path / "job.toml") == expected


@pytest.mark.parametrize(("content", "reason"), [("model = 1", "must name a command"), ("= 3", "not TOML")])
def test_what_is_no_job_file_is_refused(content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(content)
    with pytest.raises(DeepcorrectError, match=reason):
        arguments_of(tmp_path / "job.toml")
