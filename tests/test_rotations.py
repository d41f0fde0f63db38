"""Quaternions against scipy and against themselves; 1e-12 unless said otherwise."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation, Slerp

from assistmimic_env import rotations

TIGHT = 1e-12


def vectors(limit: float = 10.0) -> st.SearchStrategy[np.ndarray]:
    """Seven 3-vectors; hypothesis likes zeros, tiny and equal ones."""
    return arrays(np.float64, (7, 3), elements=st.floats(-limit, limit))


def directions() -> st.SearchStrategy[np.ndarray]:
    """Seven unit vectors."""
    long_enough = vectors(1.0).filter(lambda v: bool((np.linalg.norm(v, axis=-1) > 1e-3).all()))
    return long_enough.map(lambda v: v / np.linalg.norm(v, axis=-1, keepdims=True))


def unit_quaternions() -> st.SearchStrategy[np.ndarray]:
    """Seven unit quaternions, both signs, up to a full turn and more."""
    return vectors(2.0 * np.pi).map(rotations.from_rotation_vector)


def scipy(q: np.ndarray) -> Rotation:
    """The same rotations in scipy."""
    return Rotation.from_quat(q, scalar_first=True)


def same_rotation(a: np.ndarray, b: np.ndarray, tolerance: float = TIGHT) -> bool:
    """Equal up to the quaternion's sign."""
    return bool((np.minimum(np.abs(a - b).max(axis=-1), np.abs(a + b).max(axis=-1)) < tolerance).all())


@given(unit_quaternions(), unit_quaternions())
def test_multiply_composes_rotations(a: np.ndarray, b: np.ndarray) -> None:
    product = rotations.multiply(a, b)
    assert same_rotation(product, (scipy(a) * scipy(b)).as_quat(scalar_first=True))
    np.testing.assert_allclose(np.linalg.norm(product, axis=-1), 1.0, atol=TIGHT)


@given(unit_quaternions(), unit_quaternions(), unit_quaternions())
def test_multiply_is_associative_but_not_commutative(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    left = rotations.multiply(rotations.multiply(a, b), c)
    np.testing.assert_allclose(left, rotations.multiply(a, rotations.multiply(b, c)), atol=TIGHT)
    x, y = rotations.from_axis_angle(np.eye(3)[:2], np.array([1.0, 1.0]))
    assert not same_rotation(rotations.multiply(x, y), rotations.multiply(y, x), 0.1)


@given(unit_quaternions(), vectors())
def test_conjugate_undoes_a_rotation(q: np.ndarray, v: np.ndarray) -> None:
    np.testing.assert_allclose(rotations.multiply(q, rotations.conjugate(q)), np.eye(4)[[0] * 7], atol=TIGHT)
    np.testing.assert_allclose(rotations.inverse_rotate(q, rotations.rotate(q, v)), v, atol=1e-13 * 1e2)


@given(unit_quaternions(), vectors())
def test_rotate_agrees_with_scipy_for_both_signs(q: np.ndarray, v: np.ndarray) -> None:
    np.testing.assert_allclose(rotations.rotate(q, v), scipy(q).apply(v), atol=10 * TIGHT)
    np.testing.assert_allclose(rotations.rotate(-q, v), rotations.rotate(q, v), atol=10 * TIGHT)
    np.testing.assert_allclose(rotations.inverse_rotate(q, v), scipy(q).apply(v, inverse=True), atol=10 * TIGHT)


@given(vectors(3.0))
def test_exponential_map_agrees_with_scipy(vector: np.ndarray) -> None:
    expected = Rotation.from_rotvec(vector).as_quat(scalar_first=True)
    assert same_rotation(rotations.from_rotation_vector(vector), expected)


@given(directions(), arrays(np.float64, 7, elements=st.floats(0.0, np.pi - 1e-6)))
def test_logarithm_inverts_the_exponential_map_below_pi(axis: np.ndarray, angle: np.ndarray) -> None:
    vector = axis * angle[:, None]
    back = rotations.to_rotation_vector(rotations.from_rotation_vector(vector))
    np.testing.assert_allclose(back, vector, atol=TIGHT)


@given(unit_quaternions())
def test_logarithm_takes_the_short_way_and_ignores_the_sign(q: np.ndarray) -> None:
    vector = rotations.to_rotation_vector(q)
    assert (np.linalg.norm(vector, axis=-1) <= np.pi + TIGHT).all()
    assert same_rotation(rotations.from_rotation_vector(vector), q)
    turned = np.abs(q[:, 0]) > 1e-9
    np.testing.assert_allclose(rotations.to_rotation_vector(-q)[turned], vector[turned], atol=TIGHT)


def test_logarithm_is_accurate_around_its_switch_for_tiny_angles() -> None:
    """The series below |sin| = 1e-8 and the formula above it join without a step."""
    vector = np.outer(np.logspace(-12, -4, 200), [0.6, -0.0, 0.8])
    back = rotations.to_rotation_vector(rotations.from_rotation_vector(vector))
    np.testing.assert_allclose(back, vector, rtol=1e-12)


@given(directions(), arrays(np.float64, 7, elements=st.floats(-10.0, 10.0)))
def test_axis_angle_is_the_exponential_map_of_their_product(axis: np.ndarray, angle: np.ndarray) -> None:
    expected = rotations.from_rotation_vector(axis * angle[:, None])
    np.testing.assert_allclose(rotations.from_axis_angle(axis, angle), expected, atol=TIGHT)


@given(unit_quaternions())
def test_matrices_agree_with_scipy_and_come_back(q: np.ndarray) -> None:
    matrix = rotations.to_matrix(q)
    np.testing.assert_allclose(matrix, scipy(q).as_matrix(), atol=TIGHT)
    np.testing.assert_allclose(matrix @ np.swapaxes(matrix, -1, -2), np.eye(3)[None].repeat(7, axis=0), atol=TIGHT)
    back = rotations.from_matrix(matrix)
    assert same_rotation(back, q)
    assert (back[:, 0] >= 0.0).all()


def test_half_turns_come_back_from_their_matrices() -> None:
    """The trace formula fails at w = 0."""
    half_turns = np.vstack([np.eye(4)[1:], [[0.0, 0.6, 0.8, 0.0], [0.0, 0.6, 0.0, -0.8], [0.0, 0.0, 0.6, 0.8]]])
    assert same_rotation(rotations.from_matrix(rotations.to_matrix(half_turns)), half_turns)


@given(unit_quaternions())
def test_canonical_keeps_the_rotation_and_makes_w_positive(q: np.ndarray) -> None:
    chosen = rotations.canonical(q)
    assert (chosen[:, 0] >= 0.0).all()
    assert same_rotation(chosen, q, 1e-300)


def test_normalize_makes_unit_quaternions() -> None:
    q = np.random.default_rng(0).normal(size=(5, 3, 4)) * 7.0
    np.testing.assert_allclose(np.linalg.norm(rotations.normalize(q), axis=-1), 1.0, atol=TIGHT)
    np.testing.assert_allclose(rotations.normalize(q) * np.linalg.norm(q, axis=-1, keepdims=True), q, atol=TIGHT)


@given(unit_quaternions(), unit_quaternions(), st.floats(0.0, 1.0))
def test_slerp_agrees_with_scipy(a: np.ndarray, b: np.ndarray, t: float) -> None:
    angle = rotations.angle_between(a, b)
    blended = rotations.slerp(a, b, t)
    for one, two, result in zip(a[angle < 3.1], b[angle < 3.1], blended[angle < 3.1], strict=True):
        expected = Slerp([0.0, 1.0], scipy(np.stack([one, two])))(t).as_quat(scalar_first=True)
        assert same_rotation(result, expected, 1e-11)


@given(unit_quaternions(), unit_quaternions(), st.floats(0.0, 1.0))
def test_slerp_has_constant_speed_and_the_right_ends(a: np.ndarray, b: np.ndarray, t: float) -> None:
    assert same_rotation(rotations.slerp(a, b, 0.0), a)
    assert same_rotation(rotations.slerp(a, b, 1.0), b)
    travelled = rotations.angle_between(a, rotations.slerp(a, b, t))
    np.testing.assert_allclose(travelled, t * rotations.angle_between(a, b), atol=1e-7)


def test_slerp_takes_a_fraction_per_quaternion() -> None:
    """Fractions broadcast against the leading dimensions."""
    a, b = rotations.from_rotation_vector(np.random.default_rng(0).normal(size=(2, 6, 3)))
    t = np.linspace(0.0, 1.0, 6)
    together = rotations.slerp(a, b, t)
    alone = np.stack([rotations.slerp(a[i], b[i], t[i]) for i in range(6)])
    np.testing.assert_allclose(together, alone, atol=TIGHT)


@given(unit_quaternions(), unit_quaternions())
def test_angle_between_is_the_norm_of_the_relative_logarithm(a: np.ndarray, b: np.ndarray) -> None:
    """To 1e-7 rad: near zero an arc cosine resolves no more."""
    expected = (scipy(a).inv() * scipy(b)).magnitude()
    np.testing.assert_allclose(rotations.angle_between(a, b), expected, atol=1e-7)
    np.testing.assert_array_equal(rotations.angle_between(a, b), rotations.angle_between(b, -a))


@given(unit_quaternions())
def test_tan_norm_is_the_first_and_third_matrix_column(q: np.ndarray) -> None:
    matrix = rotations.to_matrix(q)
    expected = np.concatenate([matrix[..., 0], matrix[..., 2]], axis=-1)
    np.testing.assert_allclose(rotations.tan_norm(q), expected, atol=TIGHT)


@given(unit_quaternions(), arrays(np.float64, 7, elements=st.floats(-3.0, 3.0)))
def test_heading_follows_a_turn_about_the_vertical(q: np.ndarray, yaw: np.ndarray) -> None:
    steep = np.abs(rotations.to_matrix(q)[:, 2, 0]) > 0.999
    turned = rotations.multiply(rotations.yaw_quaternion(yaw), q)
    change = rotations.heading(turned) - rotations.heading(q) - yaw
    np.testing.assert_allclose(np.sin(0.5 * change)[~steep], 0.0, atol=1e-10)


@given(unit_quaternions())
def test_heading_quaternion_faces_where_the_x_axis_points(q: np.ndarray) -> None:
    forward = rotations.rotate(q, np.array([1.0, 0.0, 0.0]))
    steep = np.abs(forward[:, 2]) > 0.999
    level = rotations.inverse_rotate(rotations.heading_quaternion(q), forward)
    np.testing.assert_allclose(level[~steep, 1], 0.0, atol=1e-11)
    assert (level[~steep, 0] > 0.0).all()


@given(directions(), directions())
def test_between_turns_one_direction_into_the_other_by_the_smallest_angle(u: np.ndarray, v: np.ndarray) -> None:
    """To 1e-4: within 4.5e-5 rad of opposite directions a fixed half turn is taken."""
    q = rotations.between(3.0 * u, 0.5 * v)
    np.testing.assert_allclose(rotations.rotate(q, u), v, atol=1e-4)
    angle = np.arctan2(np.linalg.norm(np.cross(u, v), axis=-1), np.einsum("ij,ij->i", u, v))
    np.testing.assert_allclose(2.0 * np.arccos(np.clip(np.abs(q[:, 0]), 0.0, 1.0)), angle, atol=1e-4)


def test_between_opposite_directions_is_a_half_turn() -> None:
    axes = np.vstack([np.eye(3), -np.eye(3)])
    q = rotations.between(axes, -axes)
    np.testing.assert_allclose(rotations.rotate(q, axes), -axes, atol=TIGHT)
    np.testing.assert_allclose(np.linalg.norm(q, axis=-1), 1.0, atol=TIGHT)


def test_functions_keep_leading_dimensions_and_do_not_change_their_arguments() -> None:
    rng = np.random.default_rng(0)
    q = rotations.normalize(rng.normal(size=(2, 3, 4)))
    v = rng.normal(size=(5, 2, 3, 3))
    q_before, v_before = q.copy(), v.copy()
    assert rotations.rotate(q, v).shape == (5, 2, 3, 3)
    assert rotations.multiply(q, rng.normal(size=(5, 1, 3, 4))).shape == (5, 2, 3, 4)
    assert rotations.to_matrix(q).shape == (2, 3, 3, 3)
    assert rotations.from_matrix(rotations.to_matrix(q)).shape == (2, 3, 4)
    assert rotations.tan_norm(q).shape == (2, 3, 6)
    assert rotations.heading(q).shape == (2, 3)
    assert rotations.canonical(q).shape == rotations.conjugate(q).shape == (2, 3, 4)
    assert rotations.to_rotation_vector(q).shape == (2, 3, 3)
    np.testing.assert_array_equal(q, q_before)
    np.testing.assert_array_equal(v, v_before)


def test_continuous_flips_signs_and_nothing_else() -> None:
    """Consecutive quaternions lie in one half-space; the first, and the rotations, stay."""
    rng = np.random.default_rng(0)
    smooth = rotations.from_rotation_vector(np.linspace(0.0, 6.0, 40)[:, None, None] * np.array([[0.6, 0.0, 0.8]] * 2))
    flipped = smooth * rng.choice([-1.0, 1.0], (40, 2, 1))
    out = rotations.continuous(flipped)
    np.testing.assert_array_equal(out[0], flipped[0])
    np.testing.assert_array_equal(np.abs(out), np.abs(flipped))
    assert (np.sum(out[1:] * out[:-1], axis=-1) > 0.0).all()
