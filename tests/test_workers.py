"""Processes that decode: their end is told in one line, and they take nothing that is not theirs."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.datasets.decoding import Resize
from deepcorrect.datasets.streaming import Decoded, Stream, StreamedSet
from deepcorrect.datasets.workers import read_ahead


class Echo:
    """Gives back the positions that it is asked for; at some it ends its process, or waits."""

    def __init__(self, fatal: int = -1, slow: float = 0) -> None:
        self.fatal = fatal
        self.slow = slow

    def __len__(self) -> int:
        return 1000

    def __getitems__(self, positions: Sequence[int]) -> Sequence[int]:
        if self.fatal in positions:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.slow)
        return positions


def shared(pixels: torch.Tensor) -> bool:
    return bool(pixels.is_shared())  # type: ignore[no-untyped-call]


def end_and_wait(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    for _ in range(500):
        time.sleep(0.01)


def test_a_worker_that_is_ended_is_told_in_one_line_that_names_the_argument() -> None:
    handler = signal.getsignal(signal.SIGCHLD)
    groups = [[place] for place in range(40)]
    failed = r"^a process that decodes images failed \(.*\), .* give fewer workers, or workers=0 for none$"
    with pytest.raises(DeepcorrectError, match=failed):
        list(read_ahead(Echo(fatal=20, slow=0.01), groups, 2, ahead=0))
    assert not multiprocessing.active_children()
    assert list(read_ahead(Echo(), groups, 2, ahead=4)) == groups
    if handler is not signal.SIG_DFL:  # torch leaves one of its own, the first time
        assert signal.getsignal(signal.SIGCHLD) is handler


def test_a_worker_that_dies_while_the_reader_is_elsewhere_is_told_so_too() -> None:
    found = read_ahead(Echo(slow=0.01), [[place] for place in range(40)], 1, ahead=0)
    next(found)
    (worker,) = multiprocessing.active_children()
    assert worker.pid is not None
    with pytest.raises(DeepcorrectError, match=r"^a process that decodes images failed .* workers=0 for none$"):
        end_and_wait(worker.pid)
    del found


def test_ctrl_c_is_the_readers(capfd: pytest.CaptureFixture[str]) -> None:
    found = read_ahead(Echo(slow=0.01), [[place] for place in range(40)], 2, ahead=0)
    next(found)
    next(found)
    for worker in multiprocessing.active_children():
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGINT)
    assert list(found) == [[place] for place in range(2, 40)]
    assert capfd.readouterr().err == ""


def test_images_from_workers_take_no_shared_memory_and_no_random_numbers(tmp_path: Path) -> None:
    pixels = torch.from_numpy(np.random.RandomState(0).randint(0, 256, (2, 4, 5, 3)).astype(np.uint8)).permute(0, 3, 1, 2)
    sent = pickle.loads(pickle.dumps(Decoded(pixels, {1: DeepcorrectError("bad")})))
    assert torch.equal(sent.pixels, pixels)
    assert str(sent.bad[1]) == "bad"
    assert not shared(sent.pixels)
    Image.new("RGB", (9, 9), (1, 2, 3)).save(tmp_path / "one.png")
    stream = Stream.of(np.array([os.fsencode(tmp_path / "one.png")] * 9), Image.open, Resize(8), False, workers=2)
    images = StreamedSet(stream, torch.zeros(9, dtype=torch.int64), torch.arange(9))
    state = torch.random.get_rng_state()
    for group in stream.decoded([torch.arange(3), torch.arange(3, 9)]):
        assert not shared(group.pixels)
    assert images.held().images.sum() == 9 * 64 * 6
    assert torch.equal(torch.random.get_rng_state(), state)
