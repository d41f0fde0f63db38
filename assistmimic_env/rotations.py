"""Quaternions (w, x, y, z) and what they turn into, over any leading batch dimensions.

Conventions follow ``docs/architecture.md``: unit quaternions rotate vectors from the body frame
to the world; "rotation vector" is the exponential map, axis times angle [rad].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_CONJUGATE = np.array([1.0, -1.0, -1.0, -1.0])
_TINY_ANGLE = 1e-8


def normalize(q: Array) -> Array:
    """Scale quaternions (..., 4) to unit length."""
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def canonical(q: Array) -> Array:
    """Choose the representative of (..., 4) with w >= 0 (q and -q are one rotation)."""
    return np.where(q[..., :1] < 0.0, -q, q)


def conjugate(q: Array) -> Array:
    """Inverse of unit quaternions (..., 4)."""
    return q * _CONJUGATE


def multiply(a: Array, b: Array) -> Array:
    """Hamilton product of (..., 4) and (..., 4): first rotate by b, then by a."""
    aw, ax, ay, az = (a[..., i] for i in range(4))
    bw, bx, by, bz = (b[..., i] for i in range(4))
    out = np.empty(np.broadcast_shapes(a.shape, b.shape))
    out[..., 0] = aw * bw - ax * bx - ay * by - az * bz
    out[..., 1] = aw * bx + ax * bw + ay * bz - az * by
    out[..., 2] = aw * by - ax * bz + ay * bw + az * bx
    out[..., 3] = aw * bz + ax * by - ay * bx + az * bw
    return out


def rotate(q: Array, v: Array) -> Array:
    """Rotate vectors (..., 3) by unit quaternions (..., 4)."""
    axis, w = q[..., 1:], q[..., :1]
    t = 2.0 * np.cross(axis, v)
    return v + w * t + np.cross(axis, t)


def inverse_rotate(q: Array, v: Array) -> Array:
    """Rotate vectors (..., 3) by the inverse of unit quaternions (..., 4)."""
    return rotate(conjugate(q), v)


def from_axis_angle(axis: Array, angle: Array | float) -> Array:
    """Quaternion (..., 4) of a turn by ``angle`` (...) [rad] about unit ``axis`` (..., 3)."""
    axis = np.asarray(axis, dtype=np.float64)
    half = 0.5 * np.asarray(angle, dtype=np.float64)[..., None]
    vector = np.sin(half) * axis
    return np.concatenate([np.broadcast_to(np.cos(half), (*vector.shape[:-1], 1)), vector], axis=-1)


def yaw_quaternion(yaw: Array | float) -> Array:
    """Quaternion (..., 4) of a turn by ``yaw`` (...) [rad] about the world's z axis."""
    half = 0.5 * np.asarray(yaw, dtype=np.float64)
    out = np.zeros((*half.shape, 4))
    out[..., 0], out[..., 3] = np.cos(half), np.sin(half)
    return out


def from_rotation_vector(vector: Array) -> Array:
    """Exponential map: rotation vectors (..., 3) [rad] to quaternions (..., 4)."""
    half = 0.5 * np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.concatenate([np.cos(half), 0.5 * np.sinc(half / np.pi) * vector], axis=-1)


def to_rotation_vector(q: Array) -> Array:
    """Logarithm: quaternions (..., 4) to rotation vectors (..., 3) of norm in [0, pi]."""
    q = canonical(q)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, q[..., :1])
    scale = np.where(sine > _TINY_ANGLE, angle / np.maximum(sine, _TINY_ANGLE), 2.0)
    return scale * q[..., 1:]


def to_matrix(q: Array) -> Array:
    """Rotation matrices (..., 3, 3) of unit quaternions (..., 4)."""
    w, x, y, z = (q[..., i] for i in range(4))
    out = np.empty((*q.shape[:-1], 3, 3))
    out[..., 0, 0] = 1.0 - 2.0 * (y * y + z * z)
    out[..., 0, 1] = 2.0 * (x * y - w * z)
    out[..., 0, 2] = 2.0 * (x * z + w * y)
    out[..., 1, 0] = 2.0 * (x * y + w * z)
    out[..., 1, 1] = 1.0 - 2.0 * (x * x + z * z)
    out[..., 1, 2] = 2.0 * (y * z - w * x)
    out[..., 2, 0] = 2.0 * (x * z - w * y)
    out[..., 2, 1] = 2.0 * (y * z + w * x)
    out[..., 2, 2] = 1.0 - 2.0 * (x * x + y * y)
    return out


def from_matrix(matrix: Array) -> Array:
    """Unit quaternions (..., 4), w >= 0, of rotation matrices (..., 3, 3).

    The four outer products q q^T of each matrix are all formed and the best conditioned row is
    taken, so that no rotation is numerically special.
    """
    m = np.asarray(matrix, dtype=np.float64)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    outer = np.empty((*m.shape[:-2], 4, 4))
    outer[..., 0, 0] = 1.0 + xx + yy + zz
    outer[..., 1, 1] = 1.0 + xx - yy - zz
    outer[..., 2, 2] = 1.0 - xx + yy - zz
    outer[..., 3, 3] = 1.0 - xx - yy + zz
    for i, j, value in (
        (0, 1, m[..., 2, 1] - m[..., 1, 2]),
        (0, 2, m[..., 0, 2] - m[..., 2, 0]),
        (0, 3, m[..., 1, 0] - m[..., 0, 1]),
        (1, 2, m[..., 0, 1] + m[..., 1, 0]),
        (1, 3, m[..., 0, 2] + m[..., 2, 0]),
        (2, 3, m[..., 1, 2] + m[..., 2, 1]),
    ):
        outer[..., i, j] = outer[..., j, i] = value
    best = np.argmax(np.diagonal(outer, axis1=-2, axis2=-1), axis=-1)
    return canonical(normalize(np.take_along_axis(outer, best[..., None, None], axis=-2)[..., 0, :]))


def slerp(a: Array, b: Array, t: Array | float) -> Array:
    """Shortest-arc interpolation between unit quaternions (..., 4), t (...) in [0, 1]."""
    t = np.asarray(t, dtype=np.float64)[..., None]
    step = to_rotation_vector(multiply(conjugate(a), b))
    return normalize(multiply(a, from_rotation_vector(t * step)))


def continuous(q: Array) -> Array:
    """The same rotations with signs such that consecutive quaternions (T, ..., 4) lie in one half-space."""
    flips = np.where(np.sum(q[1:] * q[:-1], axis=-1, keepdims=True) < 0.0, -1.0, 1.0)
    return q * np.concatenate([np.ones_like(q[:1, ..., :1]), np.cumprod(flips, axis=0)])


def angle_between(a: Array, b: Array) -> Array:
    """Geodesic angle (...) in [0, pi] [rad] between unit quaternions (..., 4)."""
    return 2.0 * np.arccos(np.minimum(np.abs(np.einsum("...i,...i->...", a, b)), 1.0))


def heading(q: Array) -> Array:
    """Yaw (...) [rad] of the body's x axis: ``atan2`` of the y and x components of q(1, 0, 0).

    Degenerate where that axis is vertical (``spec/phc.md`` section 1).
    """
    w, x, y, z = (q[..., i] for i in range(4))
    return np.arctan2(2.0 * (x * y + w * z), 1.0 - 2.0 * (y * y + z * z))


def heading_quaternion(q: Array) -> Array:
    """The yaw-only part (..., 4) of quaternions (..., 4)."""
    return yaw_quaternion(heading(q))


def tan_norm(q: Array) -> Array:
    """Six numbers (..., 6) per rotation: the rotated x axis, then the rotated z axis."""
    w, x, y, z = (q[..., i] for i in range(4))
    out = np.empty((*q.shape[:-1], 6))
    out[..., 0] = 1.0 - 2.0 * (y * y + z * z)
    out[..., 1] = 2.0 * (x * y + w * z)
    out[..., 2] = 2.0 * (x * z - w * y)
    out[..., 3] = 2.0 * (x * z + w * y)
    out[..., 4] = 2.0 * (y * z - w * x)
    out[..., 5] = 1.0 - 2.0 * (x * x + y * y)
    return out


def between(u: Array, v: Array) -> Array:
    """Smallest rotation (..., 4) that turns the direction of u (..., 3) into that of v (..., 3)."""
    u = u / np.linalg.norm(u, axis=-1, keepdims=True)
    v = v / np.linalg.norm(v, axis=-1, keepdims=True)
    dot = np.einsum("...i,...i->...", u, v)[..., None]
    cross = np.cross(u, v)
    helper = np.where(np.abs(u[..., :1]) < 0.9, np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0]))
    opposite = np.concatenate([np.zeros_like(dot), np.cross(u, helper)], axis=-1)
    return normalize(np.where(dot > -1.0 + 1e-9, np.concatenate([1.0 + dot, cross], axis=-1), opposite))
