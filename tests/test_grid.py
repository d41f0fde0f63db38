"""Several conditions on the same seeds: what is chosen, changed, compared and told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistmimic_env import grid as grids
from assistmimic_env.clip import ROLES, PairClip
from assistmimic_env.config import PERTURBATIONS, env_config
from assistmimic_env.errors import ConfigError
from assistmimic_env.grid import Grid, conditions, evaluate_grid
from assistmimic_env.policy import HoldPolicy, RandomPolicy
from assistmimic_env.vector import VectorEnv

CONDITIONS = ("none", "mass-1.5", "gain-0.5")
WEAK = {"mass": 0.7, "gain": {"Knee": 0.5}}


@pytest.fixture(scope="module")
def vec(standing_pair: Callable[..., PairClip]) -> VectorEnv:
    """One short clip, a weak recipient."""
    clip = standing_pair(frames=20, gap=1.6)
    return VectorEnv([clip], 1, config=env_config(recipient=WEAK), threads=1, name="Test/Stand-v0")


@pytest.fixture(scope="module")
def pairs(vec: VectorEnv) -> dict[str, Any]:
    """A pair that holds a pose, and one that thrashes about."""
    size = vec.simulation.body.num_dofs
    return {
        "hold": {role: HoldPolicy.zero(size) for role in ROLES},
        "a|b": {role: RandomPolicy(size, seed=index) for index, role in enumerate(ROLES)},
    }


@pytest.fixture(scope="module")
def grid(vec: VectorEnv, pairs: dict[str, Any]) -> Grid:
    """Three conditions, four rollouts each."""
    return evaluate_grid(vec, pairs, conditions=CONDITIONS, rollouts=4, seed=3, threads=1)


def test_the_papers_grid_is_every_perturbation() -> None:
    """Beginning with none."""
    assert conditions(["paper"]) == tuple(PERTURBATIONS)
    assert conditions(["paper"])[0] == grids.SEEN
    assert conditions(["mass-1.2", "none", "mass-1.2"]) == ("mass-1.2", "none")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["papr"], "no grid or condition 'papr'. Did you mean 'paper'?"),
        (["none", "mass1.2"], "no grid or condition 'mass1.2'. Did you mean 'mass-1.2'?"),
        ([], "no condition was given"),
    ],
)
def test_unknown_conditions_are_named_with_the_closest(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        conditions(words)
    assert message in str(caught.value)
    assert "hip-torque-0.5" in str(caught.value)


def test_conditions_change_the_bodies_and_nothing_else(grid: Grid) -> None:
    """The recipient weighs what the condition says; all start from the same states."""
    mass = {name: result.logs["hold"].mass[0] for name, result in grid.evaluations.items()}
    assert mass["mass-1.5"] == pytest.approx(1.5 * mass["none"])
    assert mass["gain-0.5"] == mass["none"]
    seeds = [result.logs["hold"].seed for result in grid.evaluations.values()]
    np.testing.assert_array_equal(seeds, [[3, 4, 5, 6]] * 3)
    torque = {name: result.logs["hold"].torque for name, result in grid.evaluations.items()}
    assert not np.array_equal(torque["gain-0.5"], torque["none"])


def test_one_condition_equals_an_evaluation_of_its_own(vec: VectorEnv, pairs: dict[str, Any], grid: Grid) -> None:
    """What else is in the grid has no influence."""
    alone = evaluate_grid(vec, pairs, conditions=["mass-1.5"], rollouts=4, seed=3, threads=1)
    assert alone.to_json()["conditions"]["mass-1.5"] == grid.to_json()["conditions"]["mass-1.5"]


def test_json_has_every_condition_and_what_it_changes(grid: Grid, tmp_path: Path) -> None:
    report = json.loads(grid.save(tmp_path / "grid.json").read_text())
    assert report["format"] == "assistmimic-grid"
    assert tuple(report["conditions"]) == CONDITIONS
    assert report["perturbations"]["mass-1.5"]["recipient"]["mass"] == 1.5
    pair = report["conditions"]["mass-1.5"]["policies"]["a|b"]
    assert pair["metrics"]["survived"]["n"] == 4
    assert set(pair["difference_to_first"]) == set(pair["metrics"])


def test_tables_have_a_row_per_condition(grid: Grid) -> None:
    """Crossed with the policies, or a row for each of both; Markdown keeps its columns whatever names are."""
    cross = grid.cross_table("task_success")
    assert cross[0] == ["condition", "hold", "a|b"]
    assert [row[0] for row in cross[1:]] == list(CONDITIONS)
    assert [row[:2] for row in grid.table(["mpjpe"])[1:3]] == [["none", "hold"], ["none", "a|b"]]
    lines = [line for line in grid.markdown().splitlines() if line.startswith("|")]
    assert "a\\|b" in lines[3]
    assert {line.replace("\\|", "").count("|") for line in lines[:8]} == {7}


def test_an_empty_result_has_no_report() -> None:
    """Neither without conditions nor without policies."""
    with pytest.raises(ConfigError, match="nothing to report"):
        Grid(evaluations={})


def test_a_grid_without_rollouts_is_refused(vec: VectorEnv, pairs: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="rollouts is 0"):
        evaluate_grid(vec, pairs, conditions=CONDITIONS, rollouts=0)
    with pytest.raises(ConfigError, match="nothing to report"):
        evaluate_grid(vec, pairs, conditions=[], rollouts=1)


def test_the_perturbation_is_given_once(pairs: dict[str, Any]) -> None:
    """Either by an option or by the grid."""
    with pytest.raises(ConfigError, match="give one of them"):
        evaluate_grid("SitToStand", pairs, conditions=["none"], perturbation="mass-1.2", rollouts=1)
