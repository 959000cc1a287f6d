"""Worker processes that decode ahead of the reader; their failure is reported in one line."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any

import torch
from torch.utils.data import DataLoader

from deepcorrect.base.errors import DeepcorrectError, first_line
from deepcorrect.base.words import argument, names_options, set_options_named


def read_ahead(source: Any, groups: Sequence[list[int]], workers: int, *, ahead: int) -> Iterator[Any]:
    """``source.__getitems__(group)`` of each group, in order, by processes that work ``ahead`` groups before the reader.

    The global random state is left alone.

    Raises:
        DeepcorrectError: a process cannot be started, or was ended.
    """
    loader: DataLoader[Any] = DataLoader(
        source,
        batch_sampler=groups,
        num_workers=workers,
        collate_fn=_as_they_are,
        prefetch_factor=max(2, 1 + ahead // workers),
        worker_init_fn=partial(_begin, names_options()),
        generator=torch.Generator(),  # else the seeds of the workers are drawn from the global one
    )
    try:
        multiprocessing.Lock()  # fails here if the system has no room for one, rather than inside a half-made loader
        batches = iter(loader)
        with _told_of_dead_workers():
            yield from batches
    except (RuntimeError, OSError, EOFError, MemoryError) as error:
        raise _failed(error) from error


def _begin(options_named: bool, worker: int) -> None:
    """A worker leaves Ctrl-C to the reader, which ends it, and prints nothing; its messages are worded like the reader's."""
    set_options_named(options_named)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")


@contextmanager
def _told_of_dead_workers() -> Iterator[None]:
    """Torch's signal handler raises for a worker that dies, wherever the reader is; inside the context in one line."""
    child: int | None = getattr(signal, "SIGCHLD", None)
    handler = None if child is None else signal.getsignal(child)
    if child is None or not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return

    def told(number: int, frame: FrameType | None) -> None:
        try:
            handler(number, frame)
        except RuntimeError as error:
            raise _failed(error) from error

    signal.signal(child, told)
    try:
        yield
    finally:
        with suppress(ValueError):  # a generator that is discarded in another thread cannot set it
            signal.signal(child, handler)


def _failed(error: Exception) -> DeepcorrectError:
    reason = first_line(error).rstrip(". ")
    return DeepcorrectError(
        f"a process that decodes images failed ({reason}), perhaps for lack of memory; give fewer {argument('workers')}, or "
        f"{argument('workers', 0)} for none"
    )


def _as_they_are(decoded: Any) -> Any:
    return decoded
