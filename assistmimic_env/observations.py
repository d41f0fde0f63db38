"""Observations as pure array functions; ``layout`` says what each number is.

Almost every number of an observation belongs to a 3-vector of the world seen in the own heading frame (the
world turned by the root's yaw). So an observation is written as a stack of world vectors and turned by one
matrix product.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import rotations

Array = NDArray[np.float64]

_BASE_INVERSE = np.array([0.5, -0.5, -0.5, -0.5])
"""Inverse of the rotation that stands SMPL's y-up rest pose upright (``spec/phc.md`` section 1)."""


def heading_matrix(root_rotation: Array, *, upright: bool = True) -> Array:
    """Matrix R with ``v @ R`` = world vector v in the heading frame.

    Args:
        root_rotation: Root quaternions, shape (..., 4).
        upright: Whether a standing root has the identity rotation; otherwise SMPL's base rotation is
            taken off before the heading is read.

    Returns:
        Rotation by the heading about z, shape (..., 3, 3).
    """
    if not upright:
        root_rotation = rotations.multiply(root_rotation, _BASE_INVERSE)
    w, x, y, z = (root_rotation[..., i] for i in range(4))
    return matrix_of_axis(1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z))


def matrix_of_axis(forward_x: Array, forward_y: Array) -> Array:
    """``heading_matrix`` from the horizontal components (...) of the root's x axis; identity if both vanish."""
    norm = np.sqrt(forward_x * forward_x + forward_y * forward_y)
    safe = np.where(norm > 0.0, norm, 1.0)
    out = np.zeros((*forward_x.shape, 3, 3))
    out[..., 0, 0] = out[..., 1, 1] = np.where(norm > 0.0, forward_x, 1.0) / safe
    out[..., 1, 0] = forward_y / safe
    out[..., 0, 1] = -out[..., 1, 0]
    out[..., 2, 2] = 1.0
    return out


def self_observation(
    position: Array, rotation: Array, velocity: Array, angular_velocity: Array, *, upright: bool = True
) -> Array:
    """What a person feels of the own body: PHC's self observation v1 (``spec/phc.md`` section 4.1).

    Args:
        position: Body positions, world frame, shape (..., J, 3) [m]; body 0 is the root.
        rotation: Body rotations, shape (..., J, 4).
        velocity: Shape (..., J, 3) [m/s].
        angular_velocity: Shape (..., J, 3) [rad/s].
        upright: See ``heading_matrix``.

    Returns:
        Shape (..., 15 J - 2): root height, then in the heading frame relative positions of bodies 1..J-1,
        x and z axes of all bodies, velocities, angular velocities.
    """
    vectors = self_vectors(position, _columns(rotation), velocity, angular_velocity)
    turned = vectors @ heading_matrix(rotation[..., 0, :], upright=upright)
    return np.concatenate([position[..., 0, 2:], turned.reshape(*turned.shape[:-2], -1)], axis=-1)


def imitation_observation(
    position: Array,
    rotation: Array,
    velocity: Array,
    angular_velocity: Array,
    ref_position: Array,
    ref_rotation: Array,
    ref_velocity: Array,
    ref_angular_velocity: Array,
    *,
    version: int = 6,
    upright: bool = True,
) -> Array:
    """What a person should do next: PHC's task observation (``spec/phc.md`` section 4.2).

    Args:
        position: Body positions, world frame, shape (..., J, 3) [m]; body 0 is the root.
        rotation: Body rotations, shape (..., J, 4).
        velocity: Shape (..., J, 3) [m/s].
        angular_velocity: Shape (..., J, 3) [rad/s].
        ref_position: The same of the reference at the next control step.
        ref_rotation: See ``rotation``.
        ref_velocity: See ``velocity``.
        ref_angular_velocity: See ``angular_velocity``.
        version: 6 (full, 24 J numbers) or 7 (key points, 9 J numbers).
        upright: See ``heading_matrix``.

    Returns:
        Version 6: errors of position, rotation (x and z axes), velocity and angular velocity, then the
        reference's positions relative to the own root and its rotations. Version 7: errors of position and
        velocity, then the reference's positions. All in the own heading frame.

    Raises:
        ValueError: Another version.
    """
    heading = heading_matrix(rotation[..., 0, :], upright=upright)
    if version == 7:
        parts = [ref_position - position, ref_velocity - velocity, ref_position - position[..., :1, :]]
        vectors = np.concatenate(parts, axis=-2)
    elif version == 6:
        error = rotation_error_columns(rotation, ref_rotation, heading)
        own, ref = (position, velocity, angular_velocity), (ref_position, ref_velocity, ref_angular_velocity)
        vectors = goal_vectors(own, ref, error, _columns(ref_rotation))
    else:
        raise ValueError(f"version is {version}, expected 6 or 7.")
    turned = vectors @ heading
    return turned.reshape(*turned.shape[:-2], -1)


def self_vectors(
    position: Array, columns: Array, velocity: Array, angular_velocity: Array, out: Array | None = None
) -> Array:
    """World vectors of the self observation without the root height.

    Args:
        position: Shape (..., J, 3) [m].
        columns: x and z axes of the bodies, shape (..., J, 2, 3).
        velocity: Shape (..., J, 3) [m/s].
        angular_velocity: Shape (..., J, 3) [rad/s].
        out: Where to write.

    Returns:
        Shape (..., 5 J - 1, 3).
    """
    j = position.shape[-2]
    out = np.empty((*position.shape[:-2], 5 * j - 1, 3)) if out is None else out
    np.subtract(position[..., 1:, :], position[..., :1, :], out=out[..., : j - 1, :])
    _stack_columns(out[..., j - 1 : 3 * j - 1, :], columns)
    out[..., 3 * j - 1 : 4 * j - 1, :] = velocity
    out[..., 4 * j - 1 :, :] = angular_velocity
    return out


def goal_vectors(
    own: tuple[Array, Array, Array],
    ref: tuple[Array, Array, Array],
    error_columns: Array,
    ref_columns: Array,
    out: Array | None = None,
) -> Array:
    """World vectors of the goal observation, version 6.

    Args:
        own: Position, velocity, angular velocity of the own bodies, each (..., J, 3).
        ref: The same of the reference.
        error_columns: See ``rotation_error_columns``, shape (..., J, 2, 3).
        ref_columns: x and z axes of the reference's bodies, shape (..., J, 2, 3).
        out: Where to write.

    Returns:
        Shape (..., 8 J, 3).
    """
    j = own[0].shape[-2]
    out = np.empty((*own[0].shape[:-2], 8 * j, 3)) if out is None else out
    np.subtract(ref[0], own[0], out=out[..., :j, :])
    _stack_columns(out[..., j : 3 * j, :], error_columns)
    np.subtract(ref[1], own[1], out=out[..., 3 * j : 4 * j, :])
    np.subtract(ref[2], own[2], out=out[..., 4 * j : 5 * j, :])
    np.subtract(ref[0], own[0][..., :1, :], out=out[..., 5 * j : 6 * j, :])
    _stack_columns(out[..., 6 * j :, :], ref_columns)
    return out


def rotation_error_columns(rotation: Array, ref_rotation: Array, heading: Array) -> Array:
    """Axes of the rotation error, prepared so that turning them into the heading frame conjugates it.

    The error D = ref own^-1 is observed as H^T D H with the heading H. Its columns are H^T (D H e), so the
    world vectors to turn are D applied to the heading's x and z axes.

    Args:
        rotation: Own rotations, shape (..., J, 4).
        ref_rotation: Reference rotations, shape (..., J, 4).
        heading: ``heading_matrix`` of the own root, shape (..., 3, 3).

    Returns:
        Shape (..., J, 2, 3).
    """
    error = rotations.multiply(ref_rotation, rotations.conjugate(rotation))
    w, x, y, z = (error[..., i] for i in range(4))
    cos, sin = heading[..., 0, 0, None], heading[..., 1, 0, None]
    xy, wz, wx, wy = x * y, w * z, w * x, w * y
    xz, yz = x * z, y * z
    xx, yy, zz = x * x, y * y, z * z
    out = np.empty((*error.shape[:-1], 2, 3))
    out[..., 0, 0] = cos * (1.0 - 2.0 * (yy + zz)) + sin * (2.0 * (xy - wz))
    out[..., 0, 1] = cos * (2.0 * (xy + wz)) + sin * (1.0 - 2.0 * (xx + zz))
    out[..., 0, 2] = cos * (2.0 * (xz - wy)) + sin * (2.0 * (yz + wx))
    out[..., 1, 0] = 2.0 * (xz + wy)
    out[..., 1, 1] = 2.0 * (yz - wx)
    out[..., 1, 2] = 1.0 - 2.0 * (xx + yy)
    return out


def squashed_force(force: Array, scale: float) -> Array:
    """Forces (..., 3) [N] with their norm mapped from [0, inf) to [0, 1): f / (|f| + scale)."""
    norm = np.sqrt(np.einsum("...i,...i->...", force, force))[..., None]
    return force / (norm + scale)


def _columns(rotation: Array) -> Array:
    return rotations.tan_norm(rotation).reshape(*rotation.shape[:-1], 2, 3)


def _stack_columns(out: Array, columns: Array) -> None:
    """Write (..., J, 2, 3) into (..., 2 J, 3)."""
    out[..., 0::2, :] = columns[..., 0, :]
    out[..., 1::2, :] = columns[..., 1, :]
