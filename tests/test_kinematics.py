"""Forward kinematics and velocities, against scipy and motions known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from assistmimic_env import kinematics, rotations
from assistmimic_env.body import smpl24

Array = NDArray[np.float64]
BODY = smpl24()


def random_rotations(*shape: int, seed: int = 0) -> Array:
    return rotations.normalize(np.random.default_rng(seed).normal(size=(*shape, 4)))


def chained(offsets: Array, root: Array, local: Array) -> tuple[Array, Array]:
    """Poses of one frame by a plain loop over bodies with scipy's rotations."""
    position, turn = [root], [Rotation.from_quat(local[0], scalar_first=True)]
    for body, parent in enumerate(BODY.parents[1:], start=1):
        position.append(position[parent] + turn[parent].apply(offsets[body]))
        turn.append(turn[parent] * Rotation.from_quat(local[body], scalar_first=True))
    return np.array(position), np.array([r.as_quat(scalar_first=True) for r in turn])


def test_forward_kinematics_equals_a_chain_of_scipy_rotations() -> None:
    local, root = random_rotations(7, BODY.num_bodies), np.random.default_rng(1).normal(size=(7, 3))
    position, rotation = kinematics.forward_kinematics(BODY.parents, BODY.offsets, root, local)
    for frame in range(7):
        expected, turn = chained(BODY.offsets.copy(), root[frame], local[frame])
        np.testing.assert_allclose(position[frame], expected, atol=1e-12)
        np.testing.assert_allclose(rotations.canonical(rotation[frame]), rotations.canonical(turn), atol=1e-12)


def test_forward_kinematics_takes_any_leading_dimensions_and_offsets_per_person() -> None:
    local, root = random_rotations(4, 2, BODY.num_bodies), np.zeros((4, 2, 3))
    offsets = np.stack([BODY.offsets, 1.1 * BODY.offsets])
    position, _ = kinematics.forward_kinematics(BODY.parents, offsets, root, local)
    alone, _ = kinematics.forward_kinematics(BODY.parents, offsets[1], root[:, 1], local[:, 1])
    np.testing.assert_array_equal(position[:, 1], alone)


def test_forward_kinematics_does_not_change_its_arguments() -> None:
    local, root = random_rotations(3, BODY.num_bodies), np.ones((3, 3))
    before = local.copy()
    kinematics.forward_kinematics(BODY.parents, BODY.offsets, root, local)
    np.testing.assert_array_equal(local, before)


def test_the_identity_pose_is_the_rest_pose() -> None:
    position, _ = kinematics.forward_kinematics(
        BODY.parents, BODY.offsets, np.zeros(3), kinematics.identity(BODY.num_bodies)
    )
    np.testing.assert_allclose(position, BODY.rest_positions, atol=1e-15)


def test_local_from_global_inverts_forward_kinematics() -> None:
    local = random_rotations(5, 2, BODY.num_bodies)
    _, rotation = kinematics.forward_kinematics(BODY.parents, BODY.offsets, np.zeros((5, 2, 3)), local)
    np.testing.assert_allclose(kinematics.local_from_global(BODY.parents, rotation), local, atol=1e-12)


@pytest.mark.parametrize("parents", [(), (0,), (-1, 1), (-1, 0, 5), (-1, -1)])
def test_parents_that_are_not_a_tree_in_order_are_refused(parents: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="backwards"):
        kinematics.levels(parents)


def test_gaussian_filter_equals_scipy() -> None:
    values = np.random.default_rng(2).normal(size=(40, 3, 2))
    expected = gaussian_filter1d(values, kinematics.GAUSSIAN_SIGMA, axis=0, mode="nearest")
    np.testing.assert_allclose(kinematics.gaussian_filter(values), expected, atol=1e-12)


def test_gaussian_filter_of_clips_shorter_than_its_width_equals_scipy() -> None:
    values = np.random.default_rng(3).normal(size=(4, 2))
    expected = gaussian_filter1d(values, kinematics.GAUSSIAN_SIGMA, axis=0, mode="nearest")
    np.testing.assert_allclose(kinematics.gaussian_filter(values), expected, atol=1e-12)


def test_linear_velocity_of_a_uniform_motion_is_its_speed_in_every_frame() -> None:
    velocity = np.array([0.3, -1.0, 2.0])
    position = np.arange(30)[:, None, None] / 30.0 * velocity + np.zeros((30, 2, 3))
    np.testing.assert_allclose(kinematics.linear_velocity(position, 30.0), np.broadcast_to(velocity, (30, 2, 3)))


def test_linear_velocity_is_the_filtered_central_difference() -> None:
    position = np.cumsum(np.random.default_rng(4).normal(size=(25, 3)), axis=0)
    expected = gaussian_filter1d(np.gradient(position, axis=0) * 60.0, 2.0, axis=0, mode="nearest")
    np.testing.assert_allclose(kinematics.linear_velocity(position, 60.0), expected, atol=1e-10)


def spinning(axis: Array, speed: float, frames: int, fps: float) -> Array:
    angle = speed * np.arange(frames) / fps
    return rotations.from_rotation_vector(angle[:, None] * axis)


def test_angular_velocity_is_in_the_world_frame_and_joint_velocity_in_the_childs() -> None:
    tilt = rotations.from_rotation_vector(np.array([np.pi / 2, 0.0, 0.0]))
    turn = rotations.multiply(spinning(np.array([0.0, 0.0, 1.0]), 1.5, 60, 30.0), tilt)
    world = kinematics.angular_velocity(turn, 30.0)
    child = kinematics.joint_velocity(turn, 30.0)
    np.testing.assert_allclose(world[10:50], np.broadcast_to([0.0, 0.0, 1.5], (40, 3)), atol=1e-9)
    np.testing.assert_allclose(child, np.broadcast_to([0.0, 1.5, 0.0], (60, 3)), atol=1e-9)


def test_angular_velocity_is_zero_in_the_last_frame_before_the_filter() -> None:
    turn = spinning(np.array([1.0, 0.0, 0.0]), 2.0, 30, 30.0)
    raw = np.full((30, 3), [2.0, 0.0, 0.0])
    raw[-1] = 0.0
    expected = gaussian_filter1d(raw, 2.0, axis=0, mode="nearest")
    np.testing.assert_allclose(kinematics.angular_velocity(turn, 30.0), expected, atol=1e-9)


def test_velocities_do_not_depend_on_the_sign_of_quaternions() -> None:
    turn = spinning(np.array([0.0, 1.0, 0.0]), 3.0, 20, 30.0)
    flipped = turn * np.where(np.arange(20) % 2 == 0, 1.0, -1.0)[:, None]
    np.testing.assert_allclose(
        kinematics.angular_velocity(flipped, 30.0), kinematics.angular_velocity(turn, 30.0), atol=1e-12
    )
    np.testing.assert_allclose(
        kinematics.joint_velocity(flipped, 30.0), kinematics.joint_velocity(turn, 30.0), atol=1e-12
    )


def test_joint_velocity_is_not_filtered_and_repeats_its_last_frame() -> None:
    turn = kinematics.identity(12)
    turn[6:] = rotations.from_rotation_vector(np.array([0.0, 0.0, 0.1]))
    velocity = kinematics.joint_velocity(turn, 30.0)
    expected = np.zeros((12, 3))
    expected[5, 2] = 3.0
    np.testing.assert_allclose(velocity, expected, atol=1e-12)
