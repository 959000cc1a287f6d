"""The benchmarks run: a few steps each, and no claim on how fast."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks import distortions, streaming, training

pytestmark = pytest.mark.verify


def test_training_is_timed_for_three_networks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(training, "BATCH", 20)
    training.main(["--steps", "4", "--json"])
    figures = json.loads(capsys.readouterr().out)
    for name in ("baseline", "deepcorr-3", "deepcorr-3, naive"):
        assert figures[name]["images_per_second"] > 0
        assert 0 < figures[name]["augmentation_and_distortion"] < 1


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from /proc")
def test_streaming_is_timed_and_its_memory_watched(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--photographs", "3", "--decode", "70", "--sweep", "2", "--images", "70"]
    streaming.main([*sizes, "--models", "alexnet", "--json"])
    figures = json.loads(capsys.readouterr().out)
    for workers in (0, 1, 2):
        for way in ("streamed", "naive"):
            assert figures[f"decoding, {workers} workers"][way]["by_the_clock"] > 0
    network = figures["alexnet"]
    assert network["decoding_over_network"] > 0
    assert all(network[f"sweep, threads {cores}, workers {cores}"]["speed_kept"] > 0 for cores in (1, 2))
    for way in streaming.WAYS:
        assert 0 < figures[f"memory, {way}"]["first"] <= figures[f"memory, {way}"]["most"]
    assert figures["memory, all held"] == round(70 * 3 * 227 * 227 / 1e6)


def test_every_common_corruption_is_timed_against_its_opponent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(distortions, "BATCH", 6)
    distortions.main(["--quick", "--json"])
    figures = json.loads(capsys.readouterr().out)
    for side in distortions.SIDES:
        table = figures[f"{side} pixels"]
        assert list(table) == [*distortions.NAMES, "family"]
        for each in table.values():
            ratio = each["images_per_second"] / each["opponent_images_per_second"]
            assert each["speedup"] == pytest.approx(ratio, rel=0.02)
        for who in ("images_per_second", "opponent_images_per_second"):
            assert table["family"][who] < min(table[name][who] for name in distortions.NAMES)
