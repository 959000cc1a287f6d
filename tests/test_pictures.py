"""The pictures of the method show the numbers of the result files, and the page says them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiments import pictures
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ROOT = Path(__file__).parent.parent
PAGE, HOME = ((ROOT / "docs" / name).read_text() for name in ("method.md", "index.md"))


def content(name: str) -> Any:
    return json.loads((ROOT / "results" / "cifar100" / f"{name}.json").read_text())


def baseline(distortion: str) -> list[float]:
    (record,) = [record for record in content("allcnn-cifar100")["records"] if record["distortion"] == distortion]
    return list(record["top1"])


def curve(axes: Axes, label: str) -> list[float]:
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return [float(value) for value in np.asarray(line.get_ydata())]


def test_the_page_shows_every_picture_and_says_what_it_shows(tmp_path: Path) -> None:
    said = pictures.draw_pictures(tmp_path)
    assert len(said) == 5
    for name, alternative in said.items():
        assert f"![{alternative}](figures/{name})" in PAGE, "python -m experiments.pictures prints the lines"
        assert name not in HOME or alternative in HOME
        assert (ROOT / "docs" / "figures" / name).is_file()
        assert "<svg" in (tmp_path / name).read_text()


@pytest.mark.parametrize("distortion", ["blur", "noise"])
class TestNumbers:
    def panel(self, distortion: str, figure: Figure) -> Axes:
        return figure.axes[("blur", "noise").index(distortion)]

    def test_of_distortions(self, distortion: str) -> None:
        figure = Figure()
        pictures.distortions(figure)
        row = figure.axes[:7] if distortion == "blur" else figure.axes[7:]
        assert [axes.get_xlabel() for axes in row] == [f"{100 * top1:.0f}% right" for top1 in baseline(distortion)]
        clean, *others = [np.asarray(axes.images[0].get_array(), float) for axes in row]
        changes = [float(np.abs(image - clean).mean()) for image in others]
        assert changes == sorted(changes)
        assert changes[0] > 0

    def test_of_priorities(self, distortion: str) -> None:
        figure = Figure()
        pictures.priorities(figure)
        axes = self.panel(distortion, figure)
        corrected, rest = ([bar.get_height() for bar in bars] for bars in axes.containers)
        gains = content(f"priority-{distortion}")["ranking"]["scores"]["conv1"]
        assert [*corrected, *rest] == pytest.approx(sorted((100 * gain for gain in gains), reverse=True))
        assert len(corrected) == len(content(f"fast/deepcorr-1-{distortion}-seed0")["filters"]["conv1"])

    def test_of_ideal_correction(self, distortion: str) -> None:
        figure = Figure()
        pictures.ideal(figure)
        found = content(f"ideal-{distortion}-conv1")
        for place, level in enumerate(found["levels"]):
            expected = [baseline(distortion)[place + 1], *(top1[place] for top1 in found["top1"])]
            assert curve(self.panel(distortion, figure), f"σ = {level:g}") == pytest.approx(expected)

    def test_of_results(self, distortion: str) -> None:
        figure = Figure()
        pictures.results(figure)
        axes = self.panel(distortion, figure)
        assert curve(axes, "baseline") == pytest.approx(baseline(distortion))
        for network, recipe in (("finetune-6", "fast"), ("deepcorr-6", "fast"), ("deepcorr-6", "long")):
            record = content(f"{recipe}/{network}-{distortion}-seed0")["records"][-1]
            assert curve(axes, f"{network}, {recipe}") == pytest.approx(record["top1"])
