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
    norm = np.hypot(forward_x, forward_y)
    if not norm.all():
        vertical = norm == 0.0
        forward_x, norm = np.where(vertical, 1.0, forward_x), np.where(vertical, 1.0, norm)
    out = np.zeros((*norm.shape, 3, 3))
    out[..., 0, 0] = out[..., 1, 1] = forward_x / norm
    out[..., 1, 0] = sin = forward_y / norm
    out[..., 0, 1] = -sin
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
    motion = np.stack([position, velocity, angular_velocity], axis=-3)
    vectors = self_vectors(motion, axes(rotations.to_matrix(rotation)))
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
        ref_matrix = rotations.to_matrix(ref_rotation)
        error = rotation_error_columns(rotations.to_matrix(rotation), ref_matrix, heading)
        motion = np.stack([position, velocity, angular_velocity], axis=-3)
        ref_motion = np.stack([ref_position, ref_velocity, ref_angular_velocity], axis=-3)
        vectors = goal_vectors(motion, ref_motion, error, axes(ref_matrix))
    else:
        raise ValueError(f"version is {version}, expected 6 or 7.")
    turned = vectors @ heading
    return turned.reshape(*turned.shape[:-2], -1)


def self_vectors(motion: Array, columns: Array, out: Array | None = None) -> Array:
    """World vectors of the self observation without the root height.

    Args:
        motion: Position [m], velocity [m/s] and angular velocity [rad/s], shape (..., 3, J, 3).
        columns: x and z axes of the bodies, shape (..., J, 2, 3).
        out: Where to write.

    Returns:
        Shape (..., 5 J - 1, 3).
    """
    position, j = motion[..., 0, :, :], motion.shape[-2]
    out = np.empty((*position.shape[:-2], 5 * j - 1, 3)) if out is None else out
    np.subtract(position[..., 1:, :], position[..., :1, :], out=out[..., : j - 1, :])
    _split(out[..., j - 1 : 3 * j - 1, :], j, 2)[:] = columns
    _split(out[..., 3 * j - 1 :, :], 2, j)[:] = motion[..., 1:, :, :]
    return out


def goal_vectors(
    motion: Array, ref_motion: Array, error_columns: Array, ref_columns: Array, out: Array | None = None
) -> Array:
    """World vectors of the goal observation, version 6.

    Args:
        motion: Own position [m], velocity [m/s] and angular velocity [rad/s], shape (..., 3, J, 3).
        ref_motion: The same of the reference.
        error_columns: See ``rotation_error_columns``, shape (..., J, 2, 3).
        ref_columns: x and z axes of the reference's bodies, shape (..., J, 2, 3).
        out: Where to write.

    Returns:
        Shape (..., 8 J, 3).
    """
    position, ref_position, j = motion[..., 0, :, :], ref_motion[..., 0, :, :], motion.shape[-2]
    out = np.empty((*position.shape[:-2], 8 * j, 3)) if out is None else out
    np.subtract(ref_position, position, out=out[..., :j, :])
    _split(out[..., j : 3 * j, :], j, 2)[:] = error_columns
    np.subtract(ref_motion[..., 1:, :, :], motion[..., 1:, :, :], out=_split(out[..., 3 * j : 5 * j, :], 2, j))
    np.subtract(ref_position, position[..., :1, :], out=out[..., 5 * j : 6 * j, :])
    _split(out[..., 6 * j :, :], j, 2)[:] = ref_columns
    return out


def _split(vectors: Array, first: int, second: int) -> Array:
    """View of (..., first * second, 3) as (..., first, second, 3)."""
    return vectors.reshape(*vectors.shape[:-2], first, second, 3)


def rotation_error_columns(matrix: Array, ref_matrix: Array, heading: Array) -> Array:
    """Axes of the rotation error, prepared so that turning them into the heading frame conjugates it.

    The error D = ref own^T is observed as H^T D H with the heading H. Its columns are H^T (D H e), so the
    world vectors to turn are D h = ref (own^T h) for the heading's x and z axes h.

    Args:
        matrix: Own rotations, shape (..., J, 3, 3).
        ref_matrix: Reference rotations, shape (..., J, 3, 3).
        heading: ``heading_matrix`` of the own root, shape (..., 3, 3).

    Returns:
        Shape (..., J, 2, 3).
    """
    cos, sin = heading[..., 0, 0, None, None], heading[..., 1, 0, None, None]
    own = np.empty((*matrix.shape[:-2], 2, 3))
    np.add(cos * matrix[..., 0, :], sin * matrix[..., 1, :], out=own[..., 0, :])
    own[..., 1, :] = matrix[..., 2, :]
    out = own[..., 0, None] * ref_matrix[..., None, :, 0]
    out += own[..., 1, None] * ref_matrix[..., None, :, 1]
    out += own[..., 2, None] * ref_matrix[..., None, :, 2]
    return out


def squashed_force(force: Array, scale: float) -> Array:
    """Forces (..., 3) [N] with their norm mapped from [0, inf) to [0, 1): f / (|f| + scale)."""
    norm = np.sqrt(np.einsum("...i,...i->...", force, force))[..., None]
    return force / (norm + scale)


def axes(matrix: Array) -> Array:
    """X and z axes (the 6-D rotation, "tan-norm") of matrices (..., 3, 3): a view, shape (..., 2, 3)."""
    return matrix[..., ::2].swapaxes(-1, -2)
