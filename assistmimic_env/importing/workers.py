"""Processes that import clips for another one, and end with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext
from pathlib import Path

from .occupancy import occupy

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def process_context() -> SpawnContext:
    """Fresh interpreters: nothing of ours depends on what the parent had loaded."""
    return multiprocessing.get_context("spawn")


@contextmanager
def one_thread_each() -> Generator[None, None, None]:
    """Processes that start meanwhile compute on one thread, unless the user says otherwise.

    Several that each use all cores for their linear algebra wait for each other most of the time.
    """
    added = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def begin_work(folder: Path) -> None:
    """Leave Ctrl-C to the parent, end when it ends, even by kill -9, and say that this process writes to a folder."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    occupy(folder)


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
