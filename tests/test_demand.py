"""Inverse dynamics along a clip: forces that can be computed by hand, and who needs help."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from toys import make_vec, standing_clip

from assistmimic_env import registry
from assistmimic_env.demand import carrying_forces, demand
from assistmimic_trainers import cli

GRAVITY = 9.81


def arms_of(points: np.ndarray) -> np.ndarray:
    """How forces at points (P, 3) act on a root at the origin, (1, P, 3, 6)."""
    arms = np.zeros((1, len(points), 3, 6))
    arms[0, :, :, :3] = np.eye(3)
    x, y, z = points.T
    arms[0, :, 0, 4], arms[0, :, 0, 5] = z, -y
    arms[0, :, 1, 3], arms[0, :, 1, 5] = -z, x
    arms[0, :, 2, 3], arms[0, :, 2, 4] = y, -x
    return arms


def test_weight_in_the_middle_is_shared_evenly() -> None:
    points = np.array([[0.1, 0.1, 0.0], [0.1, -0.1, 0.0], [-0.1, 0.1, 0.0], [-0.1, -0.1, 0.0]])
    force = carrying_forces(np.array([[0.0, 0.0, 400.0, 0.0, 0.0, 0.0]]), arms_of(points), friction=1.0)
    np.testing.assert_allclose(force[0], np.tile([0.0, 0.0, 100.0], (4, 1)), atol=0.1)


def test_the_lever_rule_holds() -> None:
    points = np.array([[0.0, 0.1, 0.0], [0.0, -0.1, 0.0]])
    wrench = np.array([[0.0, 0.0, 400.0, 400.0 * 0.05, 0.0, 0.0]])  # as if all of it acted at y = 0.05
    force = carrying_forces(wrench, arms_of(points), friction=1.0)
    np.testing.assert_allclose(force[0, :, 2], [300.0, 100.0], atol=0.1)


def test_the_floor_does_not_pull_and_friction_is_limited() -> None:
    points = np.array([[0.0, 0.1, 0.0], [0.0, -0.1, 0.0]])
    arms = arms_of(points)
    pulled = carrying_forces(np.array([[0.0, 0.0, -100.0, 0.0, 0.0, 0.0]]), arms, friction=1.0)
    np.testing.assert_allclose(pulled, 0.0, atol=1e-9)
    pushed = carrying_forces(np.array([[1000.0, 0.0, 400.0, 0.0, 0.0, 0.0]]), arms, friction=0.5)
    horizontal = np.linalg.norm(pushed[..., :2], axis=-1)
    assert (horizontal <= 0.5 * pushed[..., 2] + 1e-9).all() and pushed[..., 2].min() > 0.0


def test_a_person_who_stands_carries_the_own_weight_and_nothing_more() -> None:
    simulation = make_vec(1, clips=standing_clip(gap=2.0)).simulation
    found = demand(simulation, role="supporter")
    assert found.unsupported.max() < 1.0
    assert not found.seated.any()
    shares = found.torque[:, [found.names.index(f"{side}_Knee") for side in "LR"]]
    assert shares.max() < 15.0, "knees under the hips carry hardly any torque"
    assert not found.exceeded()


def test_who_needs_help_to_stand_up_is_asked_for_more_than_hips_and_knees_can_give() -> None:
    reports = []
    for recipient in ("none", "needs-help"):
        env = registry.make_vec("SitToStand-v0", num_envs=1, threads=1, recipient=recipient)
        reports.append(demand(env.simulation))
    healthy, weak = reports
    assert not healthy.exceeded()
    report = weak.exceeded()
    assert set(report) == {"L_Hip", "R_Hip", "L_Knee", "R_Knee"}
    assert all(values["ratio"] > 1.3 for values in report.values())
    assert 0.5 < report["L_Hip"]["first"] < report["L_Hip"]["last"] < 2.0, "while leaving the seat"
    np.testing.assert_allclose(weak.torque.max() / healthy.torque.max(), 0.7, atol=0.02)
    assert weak.seated[:20].all() and not weak.seated[-20:].any()


def test_the_people_of_a_simulation_can_be_asked_again() -> None:
    """Asking does not switch the contacts of the simulation off."""
    env = registry.make_vec("SitToStand-v0", num_envs=1, threads=1)
    flags = env.worlds.scene.models[0].opt.disableflags
    demand(env.simulation)
    assert env.worlds.scene.models[0].opt.disableflags == flags
    assert pytest.approx(GRAVITY) == -env.worlds.scene.model.opt.gravity[2]


def test_the_command_says_which_joints_when_and_by_how_much(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["demand", "--recipient", "needs-help", "--clips", "sit_to_stand/train_00"]
    assert cli.main([*words, "--out", str(tmp_path / "demand.json")]) == 0
    assert "L_Hip" in capsys.readouterr().out
    report = json.loads((tmp_path / "demand.json").read_text())
    (clip,) = report["clips"].values()
    assert clip["limit"]["L_Hip"] == 20.0
    assert clip["exceeded"]["L_Hip"]["peak"] == pytest.approx(max(clip["torque"]["L_Hip"]), abs=0.06)
    assert cli.main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == report
    assert cli.main(["demand", "--recipient", "needshelp"]) == 2
    assert "Did you mean 'needs-help'?" in capsys.readouterr().err
