"""The benchmarks run: a few steps each, and no claim on how fast."""

from __future__ import annotations

import json

import pytest
from benchmarks import training


def test_training_is_timed_for_three_networks(capsys: pytest.CaptureFixture[str]) -> None:
    training.main(["--steps", "5", "--json"])
    figures = json.loads(capsys.readouterr().out)
    for name in ("baseline", "deepcorr-3", "deepcorr-3, naive"):
        assert figures[name]["images_per_second"] > 0
        assert 0 < figures[name]["augmentation_and_distortion"] < 1
