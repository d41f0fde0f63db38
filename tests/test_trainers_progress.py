"""Records, progress lines and learning curves."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

pytest.importorskip("torch")
pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")

from assistmimic_trainers.plots import plot_learning_curve  # noqa: E402
from assistmimic_trainers.progress import (  # noqa: E402
    ProgressLog,
    ProgressRecord,
    ProgressView,
    progress_line,
    read_records,
    record_of,
)

RESULT: dict[str, Any] = {
    "training_iteration": 3,
    "env_runners": {
        "num_env_steps_sampled": 2048,
        "num_env_steps_sampled_lifetime": 6144,
        "episode_return_mean": 41.5,
        "task": {"fraction": 0.5, "success_50": 0.25, "task_success": 0.125, "mpjpe": 0.0834, "difficulty": 0.3},
    },
    "learners": {"supporter": {"mean_kl": 0.06, "name": "text"}, "recipient": {}},
    "timers": {"env_runner_sampling_timer": 1.5, "learner_update_timer": 0.5},
}


def make_record(**changes: Any) -> ProgressRecord:
    return replace(record_of(RESULT, seconds=60.0, elapsed=2.0), **changes)


def test_record_reads_what_rllib_returned() -> None:
    record = make_record()
    assert (record.iteration, record.steps, record.steps_per_second) == (3, 6144, 1024.0)
    assert (record.fraction, record.success, record.task_success, record.mpjpe) == (0.5, 0.25, 0.125, 0.0834)
    assert record.difficulty == 0.3
    assert record.learners == {"supporter": {"mean_kl": 0.06}, "recipient": {}}


def test_record_before_the_first_episode_ended_has_no_numbers() -> None:
    record = record_of({"training_iteration": 1}, seconds=1.0, elapsed=1.0)
    assert math.isnan(record.fraction)
    assert record.to_json()["fraction"] is None
    json.dumps(record.to_json(), allow_nan=False)


def test_line_says_all_that_was_promised() -> None:
    line = progress_line(make_record(), remaining=125.0)
    for part in ("6,144 steps", "1024/s", "41.5", "50 %", "25 %", "83 mm", "ETA 2:05"):
        assert part in line
    assert "- %" in progress_line(make_record(fraction=math.nan), remaining=1.0)


def test_records_survive_an_interrupted_write_and_a_resume(tmp_path: Path) -> None:
    """A half-written last line is left out; an update that was trained again counts once, as the newer one."""
    log = ProgressLog(tmp_path)
    for iteration, seconds in ((1, 1.0), (2, 2.0), (2, 5.0)):
        log.write(make_record(iteration=iteration, seconds=seconds))
    log.close()
    with log.path.open("a") as file:
        file.write('{"iteration": 3, "ste')
    records = read_records(log.path)
    assert [(record["iteration"], record["seconds"]) for record in records] == [(1, 1.0), (2, 5.0)]
    assert read_records(tmp_path / "nothing") == []


def test_plain_output_has_one_line_per_interval_and_the_last() -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=160)
    with ProgressView(total_steps=8192, console=console, interval=1e9) as view:
        for steps in (2048, 4096, 8192):
            view.show(make_record(steps=steps))
    lines = shown.getvalue().splitlines()
    assert [line.split(" steps")[0].strip() for line in lines] == ["2,048", "8,192"]


def test_a_resumed_run_ends_at_its_present_pace() -> None:
    """What it took before, maybe on a busy machine, does not count."""
    shown = io.StringIO()
    console = Console(file=shown, width=160)
    view = ProgressView(total_steps=20_000, console=console)
    view.show(make_record(steps=10_000, seconds=9000.0, steps_per_second=100.0))
    assert "ETA 1:40" in shown.getvalue()
    view = ProgressView(total_steps=20_000, total_seconds=9020.0, console=console)
    view.show(make_record(steps=10_000, seconds=9000.0, steps_per_second=100.0))
    assert "ETA 0:20" in shown.getvalue()


def test_progress_is_the_nearer_of_steps_and_time() -> None:
    view = ProgressView(total_steps=10_000, total_seconds=100.0, console=Console(file=io.StringIO()))
    assert view.done(make_record(steps=1000, seconds=60.0)) == 0.6
    assert view.done(make_record(steps=20_000, seconds=60.0)) == 1.0


def test_learning_curve_is_a_png(tmp_path: Path) -> None:
    records = [make_record(iteration=i, steps=1000 * i).to_json() for i in (1, 2)] + [make_record().to_json()]
    records[0]["fraction"] = None
    path = plot_learning_curve(records, tmp_path / "plots" / "curve.png", title="test", levels={"warm": 0.4})
    assert path.read_bytes().startswith(b"\x89PNG")
    assert plot_learning_curve([], tmp_path / "empty.png", title="nothing yet").stat().st_size > 1000
