"""`train`: run an algorithm until a budget is spent, with progress, logs, checkpoints and a calm way to stop."""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console

from assistmimic_env.errors import CheckpointError

from .checkpoint import CheckpointStore
from .progress import ProgressLog, ProgressRecord, ProgressView, read_records, record_of

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm import Algorithm


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When training ends, whichever comes first."""

    steps: int
    """Control steps of all worlds."""
    seconds: float = math.inf
    """Training time, over all resumed parts [s]."""
    checkpoint_seconds: float = 60.0
    """Time between two checkpoints; one more is written at the end [s]."""


@dataclass(kw_only=True)
class Stop:
    """Whether the user asked to stop."""

    requested: bool = field(default=False)


Watch = Callable[["Algorithm", ProgressRecord], None]
"""Called after every update; the time it takes is no training time."""


def train(
    algorithm: Algorithm, folder: Path, *, budget: Budget, console: Console, watch: Watch = lambda *_: None
) -> bool:
    """Train until the budget is spent or the user presses Ctrl-C.

    The first Ctrl-C finishes the running update, writes a checkpoint and returns; a second one ends at once and leaves
    the last checkpoint.

    Args:
        algorithm: A new or a restored algorithm; its counters say how much of the budget is spent.
        folder: Folder of the run; receives `progress.jsonl`, `tensorboard/` and `checkpoints/`.
        budget: When to end.
        console: Where to show progress.
        watch: Sees the algorithm and its record after every update.

    Returns:
        Whether the budget was spent; False if the user stopped it.
    """
    store, log = CheckpointStore(folder=folder / "checkpoints"), ProgressLog(folder)
    spent = _seconds_before(folder, algorithm.iteration)
    saved = time.monotonic()
    view = ProgressView(total_steps=budget.steps, total_seconds=budget.seconds, console=console)
    try:
        with stop_on_interrupt(console) as stop, view:
            while True:
                record = _update(algorithm, spent)
                spent = record.seconds
                log.write(record)
                view.show(record)
                watch(algorithm, record)
                finished = record.steps >= budget.steps or record.seconds >= budget.seconds
                if finished or stop.requested or time.monotonic() - saved >= budget.checkpoint_seconds:
                    store.save(algorithm)
                    saved = time.monotonic()
                if finished or stop.requested:
                    return finished
    finally:
        log.close()


def resume(folder: Path) -> Algorithm:
    """Restore the algorithm of a run's newest checkpoint.

    Args:
        folder: Folder of the run. Its checkpoint is a pickle: resume only runs you trust.

    Raises:
        CheckpointError: There is none, or it cannot be read.
    """
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder}: no such run. Give --resume the folder of a run, or start a new one without it."
        )
    return CheckpointStore(folder=folder / "checkpoints").load()


def lost_work(folder: Path, algorithm: Algorithm) -> tuple[int, float]:
    """Control steps and training time [s] after the checkpoint from which the algorithm was restored, now gone."""
    records = read_records(folder / "progress.jsonl")
    kept = [record for record in records if record["iteration"] <= algorithm.iteration]
    if not kept:
        return 0, 0.0
    return records[-1]["steps"] - kept[-1]["steps"], records[-1]["seconds"] - kept[-1]["seconds"]


def write_json(path: Path, content: object) -> Path:
    """Write a JSON file; it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    return temporary.replace(path)


@contextmanager
def stop_on_interrupt(console: Console) -> Iterator[Stop]:
    """Turn the first SIGINT into a request and let the second one interrupt."""
    stop = Stop()

    def request(number: int, frame: FrameType | None) -> None:
        stop.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        console.print("Stopping after this update. Press Ctrl-C again to stop at once.")

    previous = signal.signal(signal.SIGINT, request)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)


def _update(algorithm: Algorithm, spent: float) -> ProgressRecord:
    start = time.monotonic()
    result = algorithm.train()
    elapsed = time.monotonic() - start
    return record_of(result, seconds=spent + elapsed, elapsed=elapsed)


def _seconds_before(folder: Path, iteration: int) -> float:
    """Training time that earlier parts of the run spent up to an iteration [s]."""
    records = read_records(folder / "progress.jsonl")
    return max((record["seconds"] for record in records if record["iteration"] <= iteration), default=0.0)
