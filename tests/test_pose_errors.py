"""Analytic cases of the errors of poses and their motion."""

from __future__ import annotations

import numpy as np
import pytest

from assistmimic_env import pose_errors, rotations
from assistmimic_env.body import get_body

DT = 1 / 30
RNG = np.random.default_rng(11)
BODY = get_body("smpl24")
HANDS = np.concatenate(BODY.hands)
TURN = rotations.from_rotation_vector(np.array([0.3, -0.7, 1.1]))
SHIFT = np.array([0.2, -0.1, 0.2])


def reference() -> np.ndarray:
    """Random poses of both people at some frames, shape (5, 2, 24, 3)."""
    return RNG.normal(size=(5, 2, 24, 3))


def test_a_shift_is_seen_by_the_global_error_only() -> None:
    """By d in the world, by nothing in the root's frame or after alignment; body and hands alike."""
    ref = reference()
    errors = pose_errors.mpjpe(ref + SHIFT, ref, HANDS)
    for part in pose_errors.PARTS:
        np.testing.assert_allclose(errors[f"mpjpe{part}"], 0.3, atol=1e-12)
        np.testing.assert_allclose(errors[f"mpjpe_root{part}"], 0.0, atol=1e-12)
        np.testing.assert_allclose(errors[f"mpjpe_pa{part}"], 0.0, atol=1e-12)


def test_a_turned_person_is_perfect_after_alignment() -> None:
    """Turned, moved and scaled: Procrustes sees nothing, the root's frame does."""
    ref = reference()
    errors = pose_errors.mpjpe(1.2 * rotations.rotate(TURN, ref) + SHIFT, ref, HANDS)
    np.testing.assert_allclose(errors["mpjpe_pa"], 0.0, atol=1e-12)
    assert (errors["mpjpe_root"] > 0.1).all()


def test_a_mirrored_person_is_not_perfect_after_alignment() -> None:
    """A reflection is no rigid motion."""
    ref = reference()
    errors = pose_errors.mpjpe(ref * [1.0, -1.0, 1.0], ref, HANDS)
    assert (errors["mpjpe_pa"] > 0.1).all()


def test_alignment_is_the_best_similarity() -> None:
    """No small further turn, move or scaling makes the squared error smaller."""
    ref = reference()
    pose = pose_errors.aligned(ref + 0.3 * RNG.normal(size=ref.shape), ref)
    best = ((pose - ref) ** 2).sum(axis=(-2, -1))
    centre = pose.mean(axis=-2, keepdims=True)
    for vector in 1e-3 * RNG.normal(size=(20, 3)):
        turned = rotations.rotate(rotations.from_rotation_vector(vector), pose - centre) + centre
        scaled = (1.0 + vector[0]) * (pose - centre) + centre
        for other in (turned, scaled, pose + vector):
            assert (((other - ref) ** 2).sum(axis=(-2, -1)) >= best).all()


def test_hands_and_body_are_apart() -> None:
    """An error of the hands alone is theirs; the mean over all bodies is weighted by their number."""
    ref = reference()
    pose = ref.copy()
    pose[..., HANDS, 2] += 0.6
    errors = pose_errors.mpjpe(pose, ref, HANDS)
    np.testing.assert_allclose(errors["mpjpe_hands"], 0.6)
    np.testing.assert_allclose(errors["mpjpe_body"], 0.0)
    np.testing.assert_allclose(errors["mpjpe"], 0.6 * 4 / 24)


def test_velocity_error_of_a_constant_drift() -> None:
    """A person who drifts away at v has a velocity error of v and no acceleration error; each role its own."""
    ref = reference()
    time = np.arange(5)[:, None, None, None] * DT
    speed = np.array([0.5, 2.0])[:, None, None] * np.array([0.0, 0.6, 0.8])
    np.testing.assert_allclose(pose_errors.velocity_error(ref + speed * time, ref, dt=DT), [[0.5, 2.0]] * 4, rtol=1e-9)
    np.testing.assert_allclose(pose_errors.acceleration_error(ref + speed * time, ref, dt=DT), 0.0, atol=1e-9)


def test_acceleration_error_of_a_fall() -> None:
    """A person who falls beside a reference that stands is off by g."""
    ref = reference()
    time = np.arange(5)[:, None, None, None] * DT
    fallen = ref - 0.5 * np.array([0.0, 0.0, 9.81]) * time**2
    error = pose_errors.acceleration_error(fallen, ref, dt=DT)
    assert error.shape == (3, 2)
    np.testing.assert_allclose(error, 9.81, rtol=1e-9)


def test_a_missing_frame_spoils_only_the_differences_that_need_it() -> None:
    """NaN of one frame: two velocities and three accelerations."""
    ref = np.zeros((8, 2, 24, 3))
    pose = ref.copy()
    pose[4] = np.nan
    assert np.isnan(pose_errors.velocity_error(pose, ref, dt=DT)).any(axis=-1).sum() == 2
    assert np.isnan(pose_errors.acceleration_error(pose, ref, dt=DT)).any(axis=-1).sum() == 3


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_leading_dimensions_are_free(shape: tuple[int, ...]) -> None:
    """Batches are their members, one by one."""
    ref = RNG.normal(size=(*shape, 24, 3))
    pose = ref + 0.1 * RNG.normal(size=ref.shape)
    errors = pose_errors.mpjpe(pose, ref, HANDS)
    for index in np.ndindex(shape):
        alone = pose_errors.mpjpe(pose[index], ref[index], HANDS)
        for name, values in errors.items():
            np.testing.assert_allclose(values[index], alone[name], atol=1e-12)
