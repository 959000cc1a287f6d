"""Messages name arguments to a caller in Python, and options to one on the command line."""

from __future__ import annotations

import ast
import multiprocessing
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import deepcorrect as dc
from deepcorrect.adapters.file import find_correction
from deepcorrect.adapters.units import unit_shape
from deepcorrect.base.device import resolve_device
from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.words import argument, phrase, speaking_of_options
from deepcorrect.datasets.dataset import Dataset
from deepcorrect.datasets.streaming import Stream
from deepcorrect.datasets.workers import read_ahead
from deepcorrect.distortions.base import Distortion
from deepcorrect.distortions.registry import parse_levels
from deepcorrect.models.layers import pick
from deepcorrect.models.states import load_weights
from deepcorrect.pipeline.rank import RankingOptions
from deepcorrect.ranking.result import count_of_share
from deepcorrect.tasks.classification import CLASSIFICATION
from tests.command_line import one_line, run

SOURCE = Path(dc.__file__).parent


def test_names_are_as_the_caller_wrote_them() -> None:
    assert (argument("split_seed"), argument("split_seed", 3)) == ("split_seed", "split_seed=3")
    assert argument("precision", "fp32") == "precision='fp32'"
    assert argument("weights", Path("net.pt"), option="load") == "weights='net.pt'"
    assert argument("skip_bad", True) == "skip_bad=True"
    with speaking_of_options():
        assert (argument("split_seed"), argument("split_seed", 3)) == ("--split-seed", "--split-seed 3")
        assert argument("precision", "fp32") == "--precision fp32"
        assert argument("weights", Path("net.pt"), option="load") == "--load net.pt"
        assert (argument("share", 2.0), argument("share", 0.123456789)) == ("--share 2", "--share 0.123456789")
        assert argument("skip_bad", True) == "--skip-bad"
        assert phrase(python="a list", command_line="a file") == "a file"
    assert phrase(python="a list", command_line="a file") == "a list"


def test_messages_are_of_the_caller_even_after_an_error_on_the_command_line(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = run(capsys, "rank", "smallcnn", "--data", "digits", "--images", "0", "--layers", "1", "--levels", "40")
    assert code == 2
    assert "--images" in one_line(error)
    with pytest.raises(DeepcorrectError, match=r"^images=0: at least one image is needed$"):
        dataset.test.balanced(0, seed=0)


BLUR = dc.get_distortion("blur")
LEVELLESS = Distortion("fog", lambda images, severity: images, {"cifar": (1.0,)})
MISTAKES: list[tuple[Callable[[], object], str, str]] = [
    (lambda: resolve_device("tpu"), "device='tpu': unknown", "--device tpu: unknown"),
    (lambda: dc.load_dataset("faces"), "data='faces': unknown", "--data faces: unknown"),
    (lambda: dc.load_dataset("cifar100"), "cifar100: give root, the folder", "cifar100: give --root, the folder"),
    (lambda: dc.get_distortion("sleet"), "distortion='sleet': unknown", "--distortion sleet: unknown"),
    (lambda: parse_levels("0,1", BLUR, "cifar"), "levels='0,1': give", "--levels 0,1: give"),
    (lambda: LEVELLESS.levels("mri"), "give levels", "give --levels"),
    (lambda: dc.get_recipe("slow", "correct"), "recipe='slow': 'slow' is", "--recipe slow: 'slow' is"),
    (lambda: RankingOptions(verify=3), "verify=3: only for method='attribution'", "--verify 3: only for --method attribution"),
    (lambda: CLASSIFICATION.index_of("top1", gradient=True), "score='top1': has no", "--score top1: has no"),
    (lambda: count_of_share(1.5, 8, "conv"), "share=1.5: outside", "--share 1.5: outside"),
    (lambda: count_of_share(2.0, 8, "conv", "ideal"), "ideal=2.0: outside", "--ideal 2: outside"),
    (lambda: unit_shape("huge", 1, 1), "unit='huge': unknown", "--unit huge: unknown"),
    (lambda: find_correction("none"), "correction='none': no such file", "--correction none: no such file"),
    (lambda: pick([], "3"), "layers='3': the network has 0", "--layers 3: the network has 0"),
    (
        lambda: load_weights(torch.nn.Linear(1, 1), Path("no.pt")),
        "weights='no.pt': no such file",
        "--weights no.pt: no such file",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "in_python", "on_the_command_line"), MISTAKES)
def test_a_mistake_is_named_as_its_caller_knows_it(
    mistake: Callable[[], object], in_python: str, on_the_command_line: str
) -> None:
    with pytest.raises(DeepcorrectError, match=re.escape(in_python)) as told:
        mistake()
    assert "--" not in str(told.value)
    with speaking_of_options(), pytest.raises(DeepcorrectError, match=re.escape(on_the_command_line)):
        mistake()


@pytest.fixture
def spawned() -> Iterator[None]:
    """Processes are started afresh, as on macOS and Windows."""
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.usefixtures("spawned")
def test_processes_that_decode_word_their_messages_as_the_reader_does(tmp_path: Path) -> None:
    for name, size in (("a.png", (4, 4)), ("b.png", (5, 4))):
        Image.new("L", size).save(tmp_path / name)
    files = np.array([bytes(tmp_path / name) for name in ("a.png", "b.png")], np.bytes_)
    stream = Stream.of(files, Image.open, None, True)
    with speaking_of_options():
        (decoded,) = read_ahead(stream, [[0, 1]], 1, ahead=0)
    assert "give --size to bring" in str(decoded.bad[1])


def test_no_message_names_an_option_to_a_caller_in_python() -> None:
    """No text outside the command line holds an option, but for docstrings and what ``phrase`` says to the command line."""
    wrong = [
        f"{file.relative_to(SOURCE)}:{line}: {text}"
        for file in SOURCE.rglob("*.py")
        if file.relative_to(SOURCE).parts[0] != "cli"
        for line, text in _texts(ast.parse(file.read_text()))
        if re.search(r"(?:^|[\s('])--[a-z]", text) and not re.fullmatch("--[a-z-]+", text)
    ]
    assert not wrong


def _texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(node.value)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "phrase":
            skipped |= {part for word in node.keywords if word.arg == "command_line" for part in ast.walk(word.value)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in skipped:
            yield node.lineno, node.value
