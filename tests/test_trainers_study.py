"""Comparing ways to train: arms, intervals over seeds, and a small study that is interrupted and goes on."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from assistmimic_env.errors import ConfigError

pytest.importorskip("torch")
pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")

from assistmimic_trainers.run import evaluation_options  # noqa: E402
from assistmimic_trainers.study import QUANTITIES, StudyConfig, compare_runs, first_time, interval, study  # noqa: E402

PULL_UP = "AssistMimic/PullUp-v0"


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
    """Seeds differ a lot, arms by a constant: the difference is sharp."""
    seeds = (0.1, 0.5, 0.9)
    runs = {
        arm: [{"final": dict.fromkeys(QUANTITIES, value + shift)} for value in seeds]
        for arm, shift in (("random", 0.0), ("prior", 0.05))
    }
    report = compare_runs(runs)
    difference = report["difference"]["prior - random"]["survived"]
    assert difference["mean"] == pytest.approx(0.05)
    assert difference["high"] - difference["low"] < 1e-9
    final = report["final"]["prior"]["survived"]
    assert final["high"] - final["low"] > 0.5


def test_a_level_is_reached_when_it_is_first_measured() -> None:
    points = [
        {"steps": steps, "seconds": steps / 10.0, "task_success": success}
        for steps, success in ((0, 0.5), (10, 0.9), (20, 0.8), (30, 0.95))
    ]
    assert first_time(points, 0.9) == {"steps": 10, "seconds": 1.0}
    assert first_time(points, 0.91) == {"steps": 30, "seconds": 3.0}
    assert first_time(points, 0.96) is None


def test_arms_are_called_by_what_they_do_not_share() -> None:
    def names(*arms: str, starts: tuple[str, ...] = ()) -> list[str]:
        return list(StudyConfig(env_id=PULL_UP, arms=arms, starts=starts).settings())

    assert names("tracking", starts=("random", "runs/best/prior")) == ["random", "prior"]
    assert names("full", "no-grip", starts=("random",)) == ["full", "no-grip"]
    assert names("full", "no-grip", starts=("random", "feedforward")) == [
        "full@random", "full@feedforward", "no-grip@random", "no-grip@feedforward"
    ]  # fmt: skip


def test_arms_train_as_they_say_under_the_same_impairment() -> None:
    config = StudyConfig(
        env_id=PULL_UP, arms=("full", "no-grip", "no-weight-init"), starts=("feedforward",), recipient="needs-help"
    )
    settings = config.settings()
    assert {run.env_options["recipient"] for run in settings.values()} == {"needs-help"}
    assert {name: run.env_options["grip"]["mode"] for name, run in settings.items()} == {
        "full": "reference", "no-grip": "none", "no-weight-init": "reference"
    }  # fmt: skip
    assert {name: run.init_from for name, run in settings.items()} == {
        "full": "feedforward", "no-grip": "feedforward", "no-weight-init": "random"
    }  # fmt: skip


def test_everybody_is_measured_as_trained_with_a_recipient_who_is_simulated() -> None:
    config = StudyConfig(
        env_id=PULL_UP, arms=("no-partner-obs", "kinematic-recipient", "recipient-alone"), starts=("random",),
        recipient="needs-help",
    )  # fmt: skip
    measured = {name: evaluation_options(run) for name, run in config.settings().items()}
    assert not measured["no-partner-obs"]["partner_observations"]
    assert measured["recipient-alone"]["judged"] == "recipient"
    for options in measured.values():
        assert options["recipient"] == "needs-help"
        assert not options.keys() & {"kinematic_recipient", "termination_distance", "start_noise"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": ("full", "full")}, "full is named twice"),
        ({"starts": ("a/policy", "b/policy"), "arms": ("tracking",)}, "policy is named twice"),
        ({"arms": ()}, "no arm or no seed"),
        ({"seeds": ()}, "no arm or no seed"),
        ({"arms": ("no-gripp",)}, "Did you mean 'no-grip'"),
    ],
)
def test_studies_that_compare_nothing_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        StudyConfig(env_id=PULL_UP, **changes).settings()


def test_a_run_with_other_settings_is_not_taken_for_this_one(tmp_path: Path) -> None:
    config = StudyConfig(env_id=PULL_UP, starts=("random",), seeds=(0,), steps=100)
    (tmp_path / "random-s0").mkdir()
    (settings,) = config.settings().values()
    kept = {"settings": settings.to_json(), "protocol": {**config.protocol(), "steps": 300}}
    (tmp_path / "random-s0" / "curve.json").write_text(json.dumps(kept))
    with pytest.raises(ConfigError, match=r"curve\.json is a run with other settings \(steps\)"):
        study(config, tmp_path, console=Console(file=io.StringIO()))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_study_goes_on_where_it_was(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    config = StudyConfig(
        env_id=PULL_UP,
        arms=("tracking",),
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
