"""Comparing starts: intervals over seeds, and a small study that is interrupted and goes on."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

pytest.importorskip("torch")
pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")

from assistmimic_trainers.study import QUANTITIES, StudyConfig, compare_runs, interval, study  # noqa: E402


def test_interval_is_students() -> None:
    """Three values: mean 2, standard error 1 / sqrt 3, t = 4.303."""
    found = interval(np.array([1.0, 2.0, 3.0]))
    assert found["mean"] == 2.0
    assert found["high"] == pytest.approx(2.0 + 4.303 / 3**0.5)
    assert found["low"] == pytest.approx(2.0 - 4.303 / 3**0.5)
    assert interval(np.array([5.0])) == {"mean": 5.0, "low": None, "high": None}


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    found = [interval(row) for row in random.normal(size=(2000, 3))]
    covered = np.mean([(one["low"] or 0.0) <= 0.0 <= (one["high"] or 0.0) for one in found])
    assert 0.935 < covered < 0.965


def test_differences_are_paired_by_seed() -> None:
    """Seeds differ a lot, starts by a constant: the difference is sharp."""
    seeds = (0.1, 0.5, 0.9)
    runs = {
        start: [{"final": dict.fromkeys(QUANTITIES, value + shift)} for value in seeds]
        for start, shift in (("random", 0.0), ("prior", 0.05))
    }
    report = compare_runs(runs)
    difference = report["difference"]["prior - random"]["survived"]
    assert difference["mean"] == pytest.approx(0.05)
    assert difference["high"] - difference["low"] < 1e-9
    final = report["final"]["prior"]["survived"]
    assert final["high"] - final["low"] > 0.5


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_study_goes_on_where_it_was(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    config = StudyConfig(
        env_id="AssistMimic/PullUp-v0",
        starts=("random", "feedforward"),
        seeds=(0,),
        steps=300,
        points=2,
        rollouts=2,
        final_rollouts=3,
        ppo={"num_envs_per_env_runner": 4},
    )
    (tmp_path / "feedforward-s0").mkdir()  # a run that was cut short
    report = json.loads(study(config, tmp_path, console=console).read_text())
    assert (tmp_path / "feedforward-s0.incomplete-1").is_dir()
    assert (tmp_path / "study.png").stat().st_size > 5000
    for start in config.starts:
        (run,) = report["runs"][start]
        assert [point["steps"] for point in run["points"]] == sorted(point["steps"] for point in run["points"])
        assert run["points"][0]["steps"] == 0
        assert len(run["points"]) == 3
        assert 0.0 <= run["final"]["survived"] <= 1.0
    before = (tmp_path / "random-s0" / "progress.jsonl").read_bytes()
    again = json.loads(study(config, tmp_path, console=console).read_text())
    assert again == report
    assert (tmp_path / "random-s0" / "progress.jsonl").read_bytes() == before
