"""What is interrupted leaves the network as it was and continues; what does not fit is refused before any work."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from torch import nn

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.progress import Silent
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.models.layers import convolutions
from deepcorrect.pipeline.baselines import train_baseline, train_head
from deepcorrect.pipeline.correct import correct
from deepcorrect.pipeline.given_ranking import check_ranking
from deepcorrect.pipeline.job import Job
from deepcorrect.pipeline.rank import rank
from deepcorrect.ranking.result import Ranking
from deepcorrect.runs.results import Run
from deepcorrect.training.recipes import get_recipe
from tests.command_line import run
from tests.conftest import make_toy
from tests.stages import BLUR, LEVELS, OPTIONS, RECIPE, content, equal, other, run_of, state_of


@pytest.fixture
def job(dataset: Dataset, tmp_path: Path) -> Job:
    return Job(make_toy("batch-norm"), dataset, run=Run(tmp_path / "run", "mine", {"of": "mine"}))


class Stop(Silent):
    """Ctrl-C at some point."""

    def __init__(self, at: str) -> None:
        self.at = at

    def stage(self, name: str, total: int) -> None:
        if name.startswith(self.at):
            raise KeyboardInterrupt

    def epochs(self, history: object) -> None:
        assert isinstance(history, list)
        if self.at == f"epoch {len(history)}":
            raise KeyboardInterrupt


@pytest.mark.parametrize("at", ["epoch 1", "evaluate deepcorr-2"])
def test_an_interrupted_correction_is_off_the_network_and_continues(job: Job, dataset: Dataset, at: str) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 2})
    whole, records = correct(other(job, run=None), BLUR, LEVELS, OPTIONS, recipe)
    weights = state_of(whole)
    whole.detach()
    before = state_of(job.model)
    with pytest.raises(KeyboardInterrupt):
        correct(other(job, reporter=Stop(at)), BLUR, LEVELS, OPTIONS, recipe)
    assert equal(before, state_of(job.model))
    assert all(parameter.requires_grad for parameter in job.model.parameters())
    assert not any(module.training for module in job.model.modules())
    resumed, again = correct(job, BLUR, LEVELS, OPTIONS, recipe)
    assert equal(weights, state_of(resumed))
    assert again == records


@pytest.mark.parametrize("at", ["epoch 1", "evaluate baseline"])
def test_an_interrupted_baseline_is_as_it_was_and_continues(job: Job, at: str) -> None:
    recipe = get_recipe("fast", "baseline", epochs=2, batch_size=30, precision="fp32")
    before = state_of(job.model)
    with pytest.raises(KeyboardInterrupt):
        train_baseline(other(job, reporter=Stop(at)), recipe, [(BLUR, LEVELS)])
    assert equal(before, state_of(job.model))
    records = train_baseline(job, recipe, [(BLUR, LEVELS)])
    trained = state_of(job.model)
    assert not equal(before, trained)
    assert train_baseline(job, recipe, [(BLUR, LEVELS)]) == records
    assert equal(trained, state_of(job.model))


def test_a_head_that_is_fitted_again_is_the_same(job: Job) -> None:
    records = train_head(job, [(BLUR, LEVELS)])
    trained = state_of(job.model)
    assert train_head(job, [(BLUR, LEVELS)]) == records
    assert equal(trained, state_of(job.model))


def test_a_folder_that_vanishes_is_one_line_and_leaves_the_network_alone(job: Job) -> None:
    import shutil

    class Vanish(Silent):
        def epochs(self, history: object) -> None:
            shutil.rmtree(run_of(job))

    before = state_of(job.model)
    with pytest.raises(DeepcorrectError, match="cannot be written"):
        correct(other(job, reporter=Vanish()), BLUR, LEVELS, OPTIONS, RECIPE)
    assert equal(before, state_of(job.model))


def test_a_layer_that_cannot_be_corrected_is_refused_before_the_ranking(dataset: Dataset, tmp_path: Path) -> None:
    job = Job(make_toy("batch-norm"), dataset, run=Run(tmp_path / "run", "mine", {}), reporter=Stop("rank"))
    (norm,) = [module for module in job.model.modules() if isinstance(module, nn.BatchNorm2d)][:1]
    norm.track_running_stats, norm.running_mean, norm.running_var = False, None, None
    with pytest.raises(DeepcorrectError, match="keeps no running statistics"):
        correct(job, BLUR, LEVELS, OPTIONS, RECIPE)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]


def test_a_ranking_of_another_network_is_refused_and_other_levels_are_told(job: Job) -> None:
    layers = convolutions(job.layers)[:2]
    made = rank(other(job, run=None), BLUR, LEVELS, layers, OPTIONS.ranked, {"0": 0.5, "3": 0.5})
    stranger = other(job, model=make_toy("batch-norm", seed=1))
    with pytest.raises(DeepcorrectError, match=r"^ranking: it ranks the filters of another network"):
        correct(stranger, BLUR, LEVELS, OPTIONS, RECIPE, ranking=made)
    told: list[str] = []
    check_ranking(made, BLUR, layers, levels=(2.0, 1.0), tell=told.append)
    assert told == []
    check_ranking(made, BLUR, layers, levels=(3.0,), tell=told.append)
    assert told == ["ranking: ranked at levels 1, 2, corrected for 3"]
    unknown = json.loads(json.dumps(made.as_json()))
    del unknown["network"]
    check_ranking(Ranking.from_json(unknown), BLUR, layers, network="something else")


def test_a_given_ranking_is_part_of_what_a_folder_is_of(job: Job) -> None:
    layers = convolutions(job.layers)[:2]
    made = rank(other(job, run=None), BLUR, LEVELS, layers, OPTIONS.ranked, {"0": 0.5, "3": 0.5})
    correction, records = correct(job, BLUR, LEVELS, OPTIONS, RECIPE, ranking=made)
    correction.detach()
    turned = replace(made, order={name: tuple(reversed(made.local(name))) for name in made.scores})
    for ranking in (turned, None):
        with pytest.raises(DeepcorrectError, match="holds the ranking"):
            correct(job, BLUR, LEVELS, OPTIONS, RECIPE, ranking=ranking)
    _, repeated = correct(job, BLUR, LEVELS, OPTIONS, RECIPE, ranking=made)
    assert repeated == records


@pytest.mark.parametrize("settings", ['{"command": "mine", "settings": 3}', '{"command": "mine"}', '["mine"]', "{"])
def test_a_config_of_somebody_else_is_one_line(tmp_path: Path, settings: str) -> None:
    (tmp_path / "config.json").write_text(settings)
    with pytest.raises(DeepcorrectError, match=r"config\.json"):
        Run(tmp_path, "mine", {})


def test_the_command_line_knows_a_distortion_by_what_it_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "mine.py").write_text(
            "from deepcorrect.distortions.registry import register\n"
            "@register('dim', ladders={'default': (0.2, 0.4)})\n"
            f"def dim(images, severity):\n    return images * (1 - severity.view(-1, 1, 1, 1)) ** {1 + (place == 'two')}\n"
        )
    words = ("assess", "smallcnn", "--data", "digits", "--limit", "5", "--out", tmp_path / "run", "--json", "--distortion")
    with patch("deepcorrect.cli.keeping.build_report"):
        first = run(capsys, *words, f"{tmp_path / 'one' / 'mine.py'}:dim")
        assert first[0] == 0
        assert run(capsys, *words, f"{tmp_path / 'one' / 'mine.py'}:dim")[:2] == first[:2]
        code, _, error = run(capsys, *words, f"{tmp_path / 'two' / 'mine.py'}:dim")
    assert code == 2
    assert "holds a run with function of dim = [" in error


def test_a_finished_ranking_is_shown_again_whoever_made_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--data", "digits", "--limit", "5", "--images", "10", "--layers", "1", "--levels", "1", "--ideal", "0.5"]
    words = ("rank", "smallcnn", *options, "--out", tmp_path / "run", "--json")
    code, out, error = run(capsys, *words)
    assert code == 0, error
    before = content(tmp_path / "run")
    assert run(capsys, *words)[:2] == (0, out)
    assert content(tmp_path / "run") == before
    (tmp_path / "run" / "stages.json").unlink()
    assert run(capsys, *words)[:2] == (0, out)
    (tmp_path / "run" / "results.json").unlink()
    code, _, error = run(capsys, *words)
    assert code == 2
    assert "ranking.json is there, but stages.json does not say of what; an older version made it" in error
