"""Progress of a training run: a live table row on a terminal, plain lines elsewhere, and records for later."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from ray.rllib.core import ALL_MODULES
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from .callbacks import DIFFICULTY, TASK

NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class ProgressRecord:
    """One line of `progress.jsonl`; NaN (null in the file) where no episode ended yet."""

    iteration: int
    """Number of updates so far."""
    steps: int
    """Control steps of all worlds so far (pair steps)."""
    seconds: float
    """Training time so far, over all resumed parts [s]."""
    steps_per_second: float
    """Control steps per second in this update, learning included."""
    episode_return: float
    """Mean undiscounted return of both roles together, over recent episodes."""
    fraction: float
    """Mean share of the remaining clip that recent episodes survived."""
    success: float
    """Share of recent episodes without a failure at 0.5 m."""
    task_success: float
    """Share of recent episodes in which the recipient also arrived at the reference height."""
    mpjpe: float
    """Mean position error of all joints over recent episodes [m]."""
    difficulty: float
    """How impaired people are by now, mean over env runners; 1: as configured."""
    sample_seconds: float
    """Time spent simulating in this update [s]."""
    learn_seconds: float
    """Time spent learning in this update [s]."""
    learners: Mapping[str, Mapping[str, float]]
    """Policy -> loss terms, divergence, learning rate of the last minibatch."""

    def to_json(self) -> dict[str, Any]:
        """As plain values, with None for NaN."""
        return _finite(asdict(self))


def record_of(result: Mapping[str, Any], *, seconds: float, elapsed: float) -> ProgressRecord:
    """Read one result of `Algorithm.train()`.

    Args:
        result: What RLlib returned.
        seconds: Training time so far [s].
        elapsed: Duration of this update [s].
    """
    runners: Mapping[str, Any] = result.get("env_runners", {})
    task: Mapping[str, Any] = runners.get(TASK, {})
    timers: Mapping[str, Any] = result.get("timers", {})
    steps = int(runners.get("num_env_steps_sampled", 0))
    return ProgressRecord(
        iteration=int(result["training_iteration"]),
        steps=int(runners.get("num_env_steps_sampled_lifetime", 0)),
        seconds=seconds,
        steps_per_second=steps / max(elapsed, 1e-9),
        episode_return=float(runners.get("episode_return_mean", NAN)),
        fraction=float(task.get("fraction", NAN)),
        success=float(task.get("success_50", NAN)),
        task_success=float(task.get("task_success", NAN)),
        mpjpe=float(task.get("mpjpe", NAN)),
        difficulty=float(task.get(DIFFICULTY, NAN)),
        sample_seconds=float(timers.get("env_runner_sampling_timer", NAN)),
        learn_seconds=float(timers.get("learner_update_timer", NAN)),
        learners={name: _numbers(values) for name, values in result.get("learners", {}).items() if name != ALL_MODULES},
    )


class ProgressLog:
    """Appends records to `progress.jsonl` and, when installed, to TensorBoard event files.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "progress.jsonl"
        self._writer = _summary_writer(folder / "tensorboard")

    def write(self, record: ProgressRecord) -> None:
        """Append one record; it is on disk when this returns."""
        with self.path.open("a") as file:
            file.write(json.dumps(record.to_json()) + "\n")
        for name, value in _flatten(record.to_json()).items():
            self._writer.add_scalar(name, value, record.steps)
        self._writer.flush()

    def close(self) -> None:
        """Finish the event file."""
        self._writer.close()


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read `progress.jsonl`; a last line that an interruption cut short is left out, and repeated ones count once."""
    records: dict[int, dict[str, Any]] = {}
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        records[record["iteration"]] = record
    return [records[iteration] for iteration in sorted(records)]


class ProgressView:
    """Shows records: one live line on a terminal, a plain line now and then elsewhere.

    Args:
        total_steps: Control steps at which training ends.
        total_seconds: Training time at which it ends, whichever comes first; infinite if there is no limit [s].
        console: Where to show it.
        interval: Time between two plain lines [s].
    """

    def __init__(
        self, *, total_steps: int, total_seconds: float = math.inf, console: Console, interval: float = 10.0
    ) -> None:
        self.total_steps, self.total_seconds = total_steps, total_seconds
        self.console, self.interval = console, interval
        self._last_line = -math.inf
        self._pace = NAN
        self._bar = Progress(TextColumn("{task.description}"), BarColumn(bar_width=20), console=console)
        self._task = self._bar.add_task("training: waiting for the first update", total=1.0)

    def __enter__(self) -> ProgressView:
        if self.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop() if self.console.is_terminal else None

    def show(self, record: ProgressRecord) -> None:
        """Show a record."""
        done = self.done(record)
        text = progress_line(record, remaining=self._remaining(record))
        if self.console.is_terminal:
            self._bar.update(self._task, completed=done, description=text)
        elif time.monotonic() - self._last_line >= self.interval or done >= 1.0:
            self._last_line = time.monotonic()
            self.console.print(text, highlight=False, soft_wrap=True)

    def _remaining(self, record: ProgressRecord) -> float:
        """Time until the nearer of both ends, at the pace of this part of the run [s]."""
        pace = 1.0 / max(record.steps_per_second, 1e-9)
        self._pace = pace if math.isnan(self._pace) else 0.95 * self._pace + 0.05 * pace
        left = self._pace * (self.total_steps - record.steps), self.total_seconds - record.seconds
        return max(0.0, min(left))

    def done(self, record: ProgressRecord) -> float:
        """Share of the training that is over, in [0, 1]."""
        return min(1.0, max(record.steps / self.total_steps, record.seconds / self.total_seconds))


def progress_line(record: ProgressRecord, *, remaining: float) -> str:
    """One line for people: steps, steps/s, return, survival, success, MPJPE, ETA."""
    return (
        f"{record.steps:>8,} steps  {record.steps_per_second:>5.0f}/s  return {record.episode_return:>7.1f}  "
        f"survived {_percent(record.fraction)}  success {_percent(record.success)}  "
        f"MPJPE {record.mpjpe * 1000:>4.0f} mm  ETA {int(remaining) // 60}:{int(remaining) % 60:02d}"
    )


def _percent(share: float) -> str:
    return "  - %" if math.isnan(share) else f"{100 * share:>3.0f} %"


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float) or _scalar(value)}


def _scalar(value: Any) -> bool:
    return getattr(value, "shape", None) == ()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}/")
        elif value is not None:
            flat[prefix + name] = float(value)
    return flat


def _summary_writer(folder: Path) -> Any:
    from tensorboardX import SummaryWriter  # comes with ray[rllib]; writes files, opens no connection

    return SummaryWriter(str(folder), flush_secs=60)
