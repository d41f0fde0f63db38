"""Actions to servo targets, and the servo laws as formulas against MuJoCo's servos."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from assistmimic_env import rotations
from assistmimic_env.actuation import (
    TARGET_LIMIT,
    action_scale,
    action_to_target,
    limit_norm,
    servo_torque,
    target_to_action,
)
from assistmimic_env.body import smpl24
from assistmimic_env.config import ActuationLaw
from assistmimic_env.worlds import Worlds

BODY = smpl24()
SCALE = action_scale(BODY)
ELBOW = BODY.index("L_Elbow") - 1
LAWS = get_args(ActuationLaw)
ACTIONS = arrays(np.float64, (3, 69), elements=st.floats(-2.0, 2.0))


def test_action_map_is_that_of_phc() -> None:
    """Pi per degree of freedom and 5 rad at DoF 4 and 16, the knees' y axes (spec/phc.md section 3)."""
    expected = np.full(69, np.pi)
    expected[[4, 16]] = 5.0
    np.testing.assert_array_equal(SCALE.reshape(-1), expected)


@given(ACTIONS)
def test_expmap_targets_are_the_scaled_clipped_action(action: np.ndarray) -> None:
    target = action_to_target(action, SCALE, "expmap")
    np.testing.assert_allclose(target.reshape(3, 69), np.clip(action, -1.0, 1.0) * SCALE.reshape(-1))


@given(ACTIONS)
def test_so3_targets_keep_their_direction_and_stay_below_pi(action: np.ndarray) -> None:
    free, limited = (action_to_target(action, SCALE, law) for law in ("expmap", "so3"))
    norm = np.linalg.norm(free, axis=-1)
    assert (np.linalg.norm(limited, axis=-1) <= TARGET_LIMIT * (1.0 + 1e-12)).all()
    assert np.pi > TARGET_LIMIT
    np.testing.assert_array_equal(limited[norm <= TARGET_LIMIT], free[norm <= TARGET_LIMIT])
    np.testing.assert_allclose(np.cross(free, limited), 0.0, atol=1e-12)
    assert (np.einsum("...i,...i->...", free, limited) >= 0.0).all()


@given(arrays(np.float64, (2, 2, 23, 3), elements=st.floats(-1.7, 1.7)))
def test_target_to_action_inverts_the_map_below_the_limit(target: np.ndarray) -> None:
    action = target_to_action(target, SCALE)
    assert action.shape == (2, 2, 69)
    for law in LAWS:
        np.testing.assert_allclose(action_to_target(action, SCALE, law), target, atol=1e-12)


def test_limit_norm_leaves_its_argument_alone() -> None:
    vector = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0], [1e-200, 0.0, 0.0]])
    before = vector.copy()
    np.testing.assert_allclose(limit_norm(vector, 1.0), [[0.6, 0.8, 0.0], [0.0, 0.0, 0.0], [1e-200, 0.0, 0.0]])
    np.testing.assert_array_equal(vector, before)


def test_unlimited_target_of_33_drives_the_joint_backwards_and_the_limited_one_does_not(
    make_worlds: Callable[..., Worlds],
) -> None:
    """The reason for TARGET_LIMIT, seen in the simulated servo: 3.3 rad is nearer the other way round.

    After one control step the elbow turns at -18 rad/s with the raw target and at +22 rad/s with the limited one.
    """
    speed = {}
    for name, target in (("raw", 3.3), ("limited", float(limit_norm(np.array([3.3, 0.0, 0.0]))[0]))):
        worlds = make_worlds()
        targets = np.zeros((1, 2, 23, 3))
        targets[0, 0, ELBOW, 0] = target
        worlds.step(targets)
        speed[name] = worlds.qvel[0, 0, 6 + 3 * ELBOW]
        assert np.sign(worlds.torque[0, 0, 3 * ELBOW]) == np.sign(speed[name])
    assert speed["raw"] < -5.0
    assert speed["limited"] > 5.0


def test_largest_action_bends_the_knee_forwards_in_the_simulation(make_worlds: Callable[..., Worlds]) -> None:
    """The knee's 5 rad would otherwise wrap to -1.28 rad; measured 9.3 rad/s after one step."""
    knee = BODY.index("L_Knee") - 1
    action = np.zeros((1, 2, 69))
    action[0, 0, 3 * knee + 1] = 1.0
    worlds = make_worlds()
    worlds.step(action_to_target(action, SCALE, "so3"))
    assert worlds.qvel[0, 0, 6 + 3 * knee + 1] > 0.5


def move(worlds: Worlds, *, spread: float, speed: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put people in the air into random poses, targets nearby; returns targets, joint rotations and velocities."""
    rng, n = np.random.default_rng(0), worlds.num_worlds
    vector = limit_norm(rng.normal(size=(n, 2, 24, 3)), 2.5)
    rotation, velocity = rotations.from_rotation_vector(vector), speed * rng.normal(size=(n, 2, 24, 3))
    target = limit_norm(vector + spread * rng.normal(size=vector.shape))[:, :, 1:]
    root = np.broadcast_to([[0.0, 0.0, 5.0], [0.0, 5.0, 5.0]], (n, 2, 3))
    qpos = np.concatenate([root, rotation.reshape(n, 2, -1)], axis=-1)
    qvel = np.concatenate([np.zeros((n, 2, 3)), velocity.reshape(n, 2, -1)], axis=-1)
    worlds.reset(np.arange(n), qpos, qvel, target.reshape(n, 2, -1))
    return target, rotation[:, :, 1:], velocity[:, :, 1:]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("spread", "speed", "least", "most"), [(0.01, 0.05, 0.0, 0.05), (0.3, 2.0, 0.3, 0.95)])
def test_servo_formula_is_what_mujoco_applies(
    make_worlds: Callable[..., Worlds], law: ActuationLaw, spread: float, speed: float, least: float, most: float
) -> None:
    """Both laws, joints below (first case) and mostly above (second) their torque limit."""
    worlds = make_worlds(8, actuation=law)
    target, rotation, velocity = move(worlds, spread=spread, speed=speed)
    limit = BODY.torque_limits[1:]
    expected = servo_torque(law, target, rotation, velocity, BODY.kp[1:], BODY.kd[1:], limit)
    np.testing.assert_allclose(worlds.torque.reshape(expected.shape), expected, rtol=1e-9, atol=1e-9)
    size = np.linalg.norm(expected, axis=-1) if law == "so3" else np.abs(expected).max(axis=-1)
    assert least <= np.mean(size > 0.999 * limit) <= most


def test_so3_limit_shortens_the_torque_and_keeps_its_direction(make_worlds: Callable[..., Worlds]) -> None:
    """``expmap`` clips each component and so turns it."""
    worlds = make_worlds(8)
    target, rotation, velocity = move(worlds, spread=0.3, speed=2.0)
    free = servo_torque("so3", target, rotation, velocity, BODY.kp[1:], BODY.kd[1:], np.full(23, np.inf))
    applied = worlds.torque.reshape(free.shape)
    norm = np.linalg.norm(applied, axis=-1)
    np.testing.assert_allclose(norm, np.minimum(np.linalg.norm(free, axis=-1), BODY.torque_limits[1:]), rtol=1e-9)
    along = np.einsum("...i,...i->...", free, applied) / (np.linalg.norm(free, axis=-1) * norm)
    np.testing.assert_allclose(along, 1.0, atol=1e-9)


def test_laws_agree_for_turns_about_one_axis() -> None:
    """Target and rotation about one axis: the derivative of the exponential map is the identity there."""
    axis = np.array([0.6, 0.0, 0.8])
    rotation = rotations.from_rotation_vector(0.9 * axis)
    gains = np.array(500.0), np.array(50.0), np.array(1000.0)
    one, other = (servo_torque(law, axis, rotation, np.zeros(3), *gains) for law in LAWS)
    np.testing.assert_allclose(one, other, atol=1e-11)
    np.testing.assert_allclose(one, 50.0 * axis, atol=1e-11)
