"""Tables in terminals of any width: every number is whole."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from rich.cells import cell_len

from deepcorrect.base.bars import Bars
from deepcorrect.base.tables import Table, print_table
from deepcorrect.cli.console import show_comparisons, show_ideal, show_ranking, show_records, show_transfer
from deepcorrect.evaluation.svm import Split
from deepcorrect.ranking.result import Ranking
from deepcorrect.runs.comparison import Classes, Comparison, Mean, Pair
from deepcorrect.runs.ideal import IdealCurves
from deepcorrect.runs.results import Record
from deepcorrect.runs.transfer import TransferRecord

LEVELS = (0.0, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4)
NETWORKS = ("baseline", "deepcorr-6-random (runs/of a/very long/path)", "日本語のネットワーク", "[/b] finetune-3")
LAYERS = ("conv1", "features.0.block.expanded.convolution")


def record(name: str, place: int) -> Record:
    top1 = tuple(round(0.9876 - 0.1 * level - 0.01 * place, 4) for level in range(7))
    return Record(
        name=name, distortion="blur", levels=LEVELS, top1=top1, top5=top1, mean_top1=0.5 + place / 1e4, mean_top5=1,
        per_class=((0.5,),), trainable_parameters=61_234_567, multiply_accumulates=4_123_456_789, images=10_000, seed=0,
        precision="fp32",
    )  # fmt: skip


RECORDS = [record(name, place) for place, name in enumerate(NETWORKS)]
RANKING = Ranking(
    "noise", (1, 2), 200, 0, (0.5, 0.5), {layer: tuple(place / 1000 for place in range(8)) for layer in LAYERS},
    errors=dict.fromkeys(LAYERS, (0.0012,) * 8), reliability={layer: {"top1": 0.83} for layer in LAYERS},
)  # fmt: skip
CURVES = IdealCurves(
    distortion="blur", levels=(1, 2), images=500, shares=tuple(place / 10 for place in range(11)),
    top1={layer: tuple((place / 16,) * 2 for place in range(11)) for layer in LAYERS},
)  # fmt: skip
COMPARISON = Comparison(
    distortion="blur", levels=LEVELS, notes=("a note that is longer than some terminals are wide",),
    means=tuple(Mean(network=name, top1=0.6123, interval=(0.6011, 0.6234)) for name in NETWORKS),
    pairs=tuple(
        Pair(
            network=name, against=NETWORKS[0], difference=0.0123, interval=(0.0111, 0.0133), t_test=0.0456, by_level=(0,) * 7,
            mcnemar=tuple(0.0121 + place / 1e4 for place in range(7)), classes=Classes(better=51, worse=42, equal=7),
        )
        for name in NETWORKS[1:]
    ),
)  # fmt: skip
SPLIT = Split(seed=0, strength=1e-3, validation=0.5, accuracy=(0.5,) * 7)
TRANSFERRED = [
    TransferRecord(
        name=name, fingerprint="", distortion="blur", levels=LEVELS, features=1280, images=(1, 1, 2345),
        accuracy=tuple(0.4321 + place / 1e4 for place in range(7)), mean=0.4567, spread=0.0123, splits=(SPLIT, SPLIT),
    )
    for name in NETWORKS
]  # fmt: skip

SHOWN: dict[str, tuple[Callable[[], None], list[str]]] = {
    "records": (
        lambda: show_records(RECORDS),
        [f"{value:.4f}" for shown in RECORDS for value in (*shown.top1, shown.mean_top1)] + ["61,234,567", "4,123.5"],
    ),
    "ranking": (lambda: show_ranking(RANKING, dict.fromkeys(LAYERS, 4)), ["+0.0070", "+0.0020", "0.0012", "0.83", "200"]),
    "ideal": (lambda: show_ideal(CURVES), [f"{place / 16:.4f}" for place in range(11)]),
    "comparisons": (
        lambda: show_comparisons([COMPARISON]),
        ["0.6123", "0.6011", "0.6234", "+0.0123", "+0.0111", "+0.0133", "0.0456", "51, 42, 7", "0.0121", "0.0127"],
    ),
    "transfer": (lambda: show_transfer(TRANSFERRED), ["0.4321", "0.4327", "0.4567", "0.0123", "1,280"]),
}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have standard output be a terminal of so many columns."""

    def resize(columns: int) -> None:
        for name, value in {"COLUMNS": str(columns), "TERM": "xterm", "FORCE_COLOR": "1", "NO_COLOR": "1"}.items():
            monkeypatch.setenv(name, value)

    return resize


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


@pytest.mark.parametrize("columns", [80, 40, 33])
@pytest.mark.parametrize("table", SHOWN)
def test_every_number_is_whole_in_a_narrow_terminal(
    table: str, columns: int, terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    show, numbers = SHOWN[table]
    terminal(columns)
    show()
    out = plain(capsys.readouterr().out)
    assert not [number for number in numbers if number not in out]
    assert max(cell_len(line) for line in out.splitlines()) <= columns
    assert "…" not in out


@pytest.mark.parametrize("columns", [1, 7, 20])
@pytest.mark.parametrize("table", SHOWN)
def test_no_terminal_is_too_narrow_to_go_on(
    table: str, columns: int, terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(columns)
    SHOWN[table][0]()
    assert capsys.readouterr().out


@pytest.mark.parametrize("table", SHOWN)
def test_without_a_terminal_a_row_is_a_row(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    show, numbers = SHOWN[table]
    show()
    out = capsys.readouterr().out
    assert not [number for number in numbers if number not in out]
    assert "┡" in out
    first = {"records": "baseline", "ranking": "conv1", "ideal": "conv1", "comparisons": "baseline", "transfer": "baseline"}
    assert re.search(rf"│ {first[table]} +│.*\d", out)


def test_a_table_that_is_too_wide_for_a_file_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    row = ["network", *(f"{place / 100:.4f}" for place in range(30))]
    print_table(Table("title", ["Network", *map(str, range(30))], [row]))
    assert " │ ".join(row) in capsys.readouterr().out


def test_the_columns_side_by_side_are_those_of_the_rows(
    terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(80)
    show_records(RECORDS)
    out = plain(capsys.readouterr().out)
    clean = [line for line in out.splitlines() if line.startswith("│ clean")]
    assert re.findall(r"0\.\d{4}", " ".join(clean)) == [f"{shown.top1[0]:.4f}" for shown in RECORDS]
    assert len(clean) > 1


def test_brackets_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show_records([record("[/x] :smile: [bold]net", 0)])
    assert "[/x] :smile: [bold]net" in capsys.readouterr().out
    with Bars() as bars:
        bars.stage("evaluate [/x]", 3)
        bars.advance(1)
        bars.tell("[/home] caf\udce9: [Errno 2]")
    told = capsys.readouterr().err
    assert "[/home] caf\ufffd: [Errno 2]" in told


def test_a_terminal_that_knows_ascii_alone_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    from deepcorrect import cli

    written = io.BytesIO()
    narrow = io.TextIOWrapper(written, encoding="ascii")
    monkeypatch.setattr("sys.stdout", narrow)
    monkeypatch.setattr("sys.argv", ["deepcorrect", "anything"])
    monkeypatch.setattr(cli, "app", lambda *_, **__: show_ranking(RANKING, dict.fromkeys(LAYERS, 4)))
    with pytest.raises(SystemExit):
        cli.main()
    narrow.flush()
    assert b"+0.0070 ? 0.0012" in written.getvalue()
