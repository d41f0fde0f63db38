"""Clips tabulated at the control rate, in the conventions of the simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from toys import standing_clip

from assistmimic_env import rotations
from assistmimic_env.body import smpl24
from assistmimic_env.clip import PairClip
from assistmimic_env.config import CONTROL_DT
from assistmimic_env.errors import ClipError
from assistmimic_env.reference import Reference, build_reference
from assistmimic_env.worlds import Worlds


@pytest.fixture(scope="module")
def moving() -> PairClip:
    """Both people wander, turn and bend all joints, smoothly, over 3 s."""
    clip = standing_clip(91)
    time = np.arange(91)[:, None, None, None] * CONTROL_DT
    rng = np.random.default_rng(0)
    phase, rate = rng.uniform(0.0, 6.0, (2, 24, 3)), rng.uniform(0.5, 2.0, (2, 24, 3))
    bend = rotations.from_rotation_vector(0.4 * np.sin(rate * time + phase))
    travel = 0.3 * np.sin(0.8 * time[..., 0] + phase[:, 0])
    return replace(
        clip,
        name="moving",
        local_rotation=rotations.multiply(clip.local_rotation, bend),
        root_position=clip.root_position + travel + [0.0, 0.0, 2.0],
    )


@pytest.fixture(scope="module")
def reference(moving: PairClip) -> Reference:
    """Two clips of different length, the second at another rate."""
    return build_reference([moving, replace(standing_clip(41), fps=20.0)])


def test_clips_follow_each_other_at_the_control_rate(reference: Reference, moving: PairClip) -> None:
    np.testing.assert_array_equal(reference.length, [91, 61])
    np.testing.assert_array_equal(reference.first, [0, 91])
    assert [clip.fps for clip in reference.clips] == [30.0, 30.0]
    for name in ("motion", "rotation", "matrix", "qpos", "qvel", "target"):
        assert len(getattr(reference, name)) == 152, name
    np.testing.assert_array_equal(reference.position[:91], moving.position)


def test_rows_are_clamped_to_the_last_frame_of_their_own_clip(reference: Reference) -> None:
    clip, frame = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 90, 91, 0, 60, 10_000])
    np.testing.assert_array_equal(reference.row(clip, frame), [0, 90, 90, 91, 151, 151])
    np.testing.assert_array_equal(reference.row(np.array([[0], [1]]), np.arange(2)), [[0, 1], [91, 92]])


def test_columns_of_motion_are_position_velocity_and_angular_velocity(reference: Reference, moving: PairClip) -> None:
    for column, name in enumerate(("position", "velocity", "angular_velocity")):
        np.testing.assert_array_equal(reference.motion[:91, :, column], getattr(moving, name))
    np.testing.assert_array_equal(reference.rotation[:91], moving.rotation)


def test_matrices_are_those_of_the_rotations(reference: Reference) -> None:
    np.testing.assert_allclose(reference.matrix, rotations.to_matrix(reference.rotation), atol=1e-12)


def test_targets_are_the_joint_angles_of_the_clip(reference: Reference, moving: PairClip) -> None:
    back = rotations.from_rotation_vector(reference.target[:91])
    np.testing.assert_allclose(rotations.angle_between(back, moving.local_rotation[:, :, 1:]), 0.0, atol=1e-7)


def world_per_frame(make_worlds: Callable[..., Worlds], reference: Reference, rows: np.ndarray) -> Worlds:
    """Worlds that hold the reference states of some rows."""
    worlds = make_worlds(len(rows))
    worlds.reset(np.arange(len(rows)), reference.qpos[rows], reference.qvel[rows], reference.target[rows])
    return worlds


def test_qpos_gives_the_bodies_the_pose_of_the_reference(
    make_worlds: Callable[..., Worlds], reference: Reference
) -> None:
    """MuJoCo's forward kinematics equal ours."""
    rows = np.array([0, 17, 45, 90])
    motion = world_per_frame(make_worlds, reference, rows).motion()
    np.testing.assert_allclose(motion.position, reference.position[rows], atol=1e-12)
    np.testing.assert_allclose(motion.matrix, reference.matrix[rows], atol=1e-12)
    angle = rotations.angle_between(motion.rotation, reference.rotation[rows])
    np.testing.assert_allclose(angle, 0.0, atol=1e-7)


def test_qvel_gives_the_bodies_the_velocities_of_the_reference(
    make_worlds: Callable[..., Worlds], reference: Reference
) -> None:
    """MuJoCo's frames are met: root velocity in the world, angular velocities in the bodies.

    Equal up to PHC's smoothing of body velocities and its forward differences of joint angles: in this movement
    (up to 1.7 m/s and 3.1 rad/s) by at most 0.10 m/s and 0.10 rad/s; a wrong frame errs by over 1 m/s.
    """
    rows = np.arange(10, 80, 5)
    motion = world_per_frame(make_worlds, reference, rows).motion()
    expected = reference.motion[rows]
    np.testing.assert_allclose(motion.velocity, expected[:, :, 1], atol=0.2)
    np.testing.assert_allclose(motion.angular_velocity, expected[:, :, 2], atol=0.2)
    np.testing.assert_allclose(motion.velocity[:, :, 0], expected[:, :, 1, 0], atol=1e-12)
    np.testing.assert_allclose(motion.angular_velocity[:, :, 0], expected[:, :, 2, 0], atol=1e-12)


def test_a_reference_needs_clips() -> None:
    with pytest.raises(ClipError, match="at least one clip"):
        build_reference([])


def test_people_of_the_clips_may_differ() -> None:
    small, clip = smpl24(stature=1.5, mass=45.0), standing_clip(30)
    reference = build_reference([clip, replace(clip, offsets=np.stack([small.offsets] * 2))])
    span = np.ptp(reference.position[..., 2], axis=-1)
    np.testing.assert_allclose(span[reference.first[1]] / span[0], small.stature / smpl24().stature, rtol=0.02)
