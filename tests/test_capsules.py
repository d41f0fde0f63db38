"""Distances between capsules and boxes against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from assistmimic_env.body import smpl24
from assistmimic_env.capsules import box_depth, capsules, closest_parameters, world_ends


def test_closest_points_of_segments_agree_with_brute_force() -> None:
    rng = np.random.default_rng(0)
    p0, p1, q0, q1 = rng.normal(size=(4, 60, 3))
    s, t = closest_parameters(p0, p1, q0, q1)
    exact = np.linalg.norm(p0 + s[:, None] * (p1 - p0) - q0 - t[:, None] * (q1 - q0), axis=-1)
    grid = np.linspace(0, 1, 101)
    first = p0[:, None] + grid[:, None] * (p1 - p0)[:, None]
    second = q0[:, None] + grid[:, None] * (q1 - q0)[:, None]
    brute = np.linalg.norm(first[:, :, None] - second[:, None], axis=-1).min(axis=(1, 2))
    assert (exact <= brute + 1e-9).all()
    np.testing.assert_allclose(exact, brute, atol=0.05)


@pytest.mark.parametrize(
    ("q0", "q1", "distance"),
    [
        ([0.2, 1, 0], [0.8, 1, 0], 1.0),
        ([2, 0, 0], [3, 0, 0], 1.0),
        ([0.5, 0, 2], [0.5, 0, 2], 2.0),
    ],
)
def test_parallel_and_degenerate_segments_have_their_distance(q0: list, q1: list, distance: float) -> None:
    along, start, end = np.array([1.0, 0.0, 0.0]), np.array(q0, dtype=float), np.array(q1, dtype=float)
    s, t = closest_parameters(np.zeros(3), along, start, end)
    assert np.linalg.norm(s * along - start - t * (end - start)) == pytest.approx(distance, abs=1e-6)


def test_box_depth_is_positive_inside_and_negative_outside() -> None:
    start = np.array([[0.0, 0.0, 0.55], [0.0, 0.0, 0.45], [1.0, 0.0, 0.0]])
    depth = box_depth(start, start, np.array([0.1, 0.1, 0.1]), size=np.ones(3))
    np.testing.assert_allclose(depth, [0.05, 0.15, -0.4], atol=1e-12)


def test_capsules_of_two_people_stand_on_the_floor_in_the_rest_pose() -> None:
    bodies = (smpl24(), smpl24(stature=1.6))
    shapes = capsules(bodies)
    position = np.stack([body.rest_positions + np.array([0, 0, body.rest_height]) for body in bodies])
    matrix = np.broadcast_to(np.eye(3), (2, 24, 3, 3))
    start, end = world_ends(shapes, position, matrix)
    low = np.minimum(start[:, 2], end[:, 2]) - shapes.radius
    for one in range(2):
        assert low[shapes.person == one].min() == pytest.approx(0.0, abs=1e-9)
