"""The page of networks that were measured under several corruptions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from deepcorrect.cli.console import show_comparisons
from deepcorrect.distortions.groups import GROUPS
from deepcorrect.report.page import build_report
from deepcorrect.report.plots import plot_gain, plot_robustness
from deepcorrect.runs.comparison import compare_records
from deepcorrect.runs.results import Record, Records, Run
from deepcorrect.runs.saved import read_sections
from tests.test_robustness import record, robustness

CORRUPTIONS = ("fog", "snow", "frost", "brightness")


def finished(folder: Path, records: Sequence[Record], command: str = "assess") -> Path:
    run = Run(folder, command, {"data": "own"}, command_line=f"deepcorrect {command} {folder.name}")
    run.finish(records, torch.device("cpu"))
    return folder


def networks() -> list[Record]:
    base = [record(name, 0.9, 0.5 + index / 100, 0.3) for index, name in enumerate(CORRUPTIONS)]
    return base + [record(each.distortion, 0.88, 0.7, 0.6, name="fix", kind="correction") for each in base]


def numbers(axes: Axes) -> list[float]:
    return [float(text.get_text()) for text in axes.texts]


def test_a_heat_map_has_the_accuracies_in_its_cells(axes: Axes) -> None:
    records = networks()[:4]
    plot_robustness(axes, robustness(*records))
    by_name = {each.distortion: each for each in records}
    rows = [by_name[name].top1[1:] for name in GROUPS["weather"]]
    rows.append(tuple(map(fmean, zip(*rows, strict=True))))
    wanted = [100 * value for row in rows for value in (*row, fmean(row))]
    assert numbers(axes) == pytest.approx(wanted, abs=0.0501)
    assert [label.get_text() for label in axes.get_yticklabels()] == [*GROUPS["weather"], "weather (4)"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "mean"]


def test_a_map_of_gains_has_the_differences_in_percentage_points(axes: Axes) -> None:
    before, after = Records(networks()).robustness()
    plot_gain(axes, after, before)
    fog = [text.get_text() for text in axes.texts][6:9]
    assert fog == ["+20.0", "+30.0", "+25.0"]
    assert [text.get_text() for text in axes.texts][:3] == ["+19.0", "+30.0", "+24.5"]


def luminance(colour: Sequence[float]) -> float:
    """Relative luminance of sRGB, as WCAG 2 defines it."""
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_print_on_every_cell_is_legible(axes: Axes) -> None:
    shades = torch.linspace(0, 1, 60).tolist()
    plot_robustness(axes, robustness(record("fog", 0.9, *shades), record("snow", 0.9, *shades[::-1])))
    cells = [patch.get_facecolor() for patch in axes.patches if isinstance(patch, Rectangle)]
    assert len(cells) == len(axes.texts) > 180
    for cell, text in zip(cells, axes.texts, strict=True):
        low, high = sorted((luminance(to_rgb(cell)), luminance(to_rgb(str(text.get_color())))))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_corruptions_are_one_section_with_tables_and_heat_maps(tmp_path: Path) -> None:
    run = finished(tmp_path / "run", [*networks(), record("blur", 0.9, 0.4, 0.2)])
    page = build_report([run], tmp_path / "report.html").read_text()
    assert re.findall(r"<h2 id=\"([^\"]*)\"", page) == ["4-corruptions-1-to-2", "blur-1-to-2", "origin"]
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert {"robustness-baseline-4-corruptions-1-to-2", "robustness-fix-4-corruptions-1-to-2"} < drawn
    assert "gain-fix-4-corruptions-1-to-2" in drawn
    assert not [name for name in drawn if "fog" in name]
    assert "fix reaches 65.0% there and so recovers" in page
    assert page.index("Accuracy of fix by corruption and severity") < page.index(
        "<summary>Top-1 accuracy of baseline under 4 corruptions (50 test images)"
    )
    assert page.count("<td>brightness</td><td>fix</td><td>baseline</td>") == 1
    assert "Lowest under" in page
    assert "not drawn" not in page


def test_compare_has_one_table_of_differences_by_corruption(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished(tmp_path / "run", [*networks(), *(record("blur", 0.9, 0.5, name=name) for name in ("baseline", "fix"))])
    show_comparisons(compare_records([run]))
    out = capsys.readouterr().out
    assert out.count("Difference of mean top-1 accuracy by corruption") == 1
    rows = [line.replace("│", " ").split() for line in out.splitlines() if line.startswith("│ ")]
    found = {row[0]: row[1:4] for row in rows if row[0] in CORRUPTIONS}
    assert found["fog"] == ["fix", "baseline", "+0.1600"]  # (0.88 + 0.7 + 0.6 - 0.9 - 0.5 - 0.3) / 3
    assert sorted(found) == sorted(CORRUPTIONS)
    assert out.count("Mean top-1 accuracy under blur") == 1
    assert "Mean top-1 accuracy under fog" not in out


def test_a_section_of_corruptions_has_their_means(tmp_path: Path) -> None:
    _, (section,) = read_sections([finished(tmp_path / "run", networks())])
    assert section.distortion == "4 corruptions"
    assert section.distortions == ["snow", "frost", "fog", "brightness"]
    assert [each.name for each in section.records] == ["baseline", "fix"]
    assert section.records[0].top1 == pytest.approx((0.9, 0.515, 0.3))
    assert section.records[0].mean_top1 == pytest.approx((0.9 + 0.515 + 0.3) / 3)
    assert section.records[0].per_class == ((0.5, 0.5, 0.5, None),) * 3
    assert section.commands_of(*section.records) == ["deepcorrect assess run"] * 2


def test_networks_of_several_runs_stand_side_by_side_under_the_same_corruptions(tmp_path: Path) -> None:
    records = networks()
    first, second = finished(tmp_path / "base", records[:4]), finished(tmp_path / "fix", records[4:], "evaluate")
    other = finished(tmp_path / "other", [record(name, 0.9, 0.1, 0.1) for name in ("contrast", "pixelate")])
    _, sections = read_sections([second, first, other])
    assert [(section.distortion, [each.name for each in section.records]) for section in sections] == [
        ("4 corruptions", ["baseline", "fix"]), ("contrast, pixelate", ["baseline"]),
    ]  # fmt: skip
    assert sections[0].commands_of(*sections[0].records) == ["deepcorrect assess base", "deepcorrect evaluate fix"]


def test_corrections_of_two_runs_for_two_corruptions_are_not_one_network(tmp_path: Path) -> None:
    runs = [
        finished(tmp_path / name, [record(name, 0.9, 0.5), record(name, 0.9, 0.7, name="fix", kind="correction")], "correct")
        for name in ("fog", "snow")
    ]
    _, sections = read_sections(runs)
    assert [(section.distortion, len(section.robustness)) for section in sections] == [("fog", 0), ("snow", 0)]
