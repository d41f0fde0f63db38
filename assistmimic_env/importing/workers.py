"""Processes that make clips for another one, and end with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ConfigError
from .occupancy import occupy

Result = TypeVar("Result")

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def results(
    work: Callable[..., Result], jobs: Sequence[tuple[Any, ...]], folder: Path, *, workers: int
) -> Generator[Result, None, None]:
    """What jobs give: in this process and in order, or with several workers as they finish.

    Args:
        work: Called with the arguments of each job; must be importable by name.
        jobs: Arguments.
        folder: Where the jobs write.
        workers: Processes; 1: none but this.

    Raises:
        ConfigError: A worker was killed.
    """
    if workers == 1:
        for job in jobs:
            yield work(*job)
        return
    pool = ProcessPoolExecutor(workers, mp_context=process_context(), initializer=begin_work, initargs=(folder,))
    try:
        with one_thread_each():
            running = [pool.submit(work, *job) for job in jobs]
        for done in as_completed(running):
            yield done.result()
    except BrokenProcessPool as error:
        hint = "Start again, what is done is kept; with fewer --workers if the memory was too small."
        raise ConfigError(f"a worker was killed. {hint}") from error
    finally:
        pool.shutdown(cancel_futures=True)


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
