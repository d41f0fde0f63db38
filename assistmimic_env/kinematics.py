"""Forward kinematics of a tree of ball joints, and finite-difference velocities as PHC computes them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from . import rotations

Array = NDArray[np.float64]
Index = NDArray[np.intp]

GAUSSIAN_SIGMA = 2.0
"""Width of PHC's velocity filter [frames] (``spec/phc.md`` section 8)."""

_GAUSSIAN_RADIUS = 8
_IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])


@lru_cache(maxsize=64)
def levels(parents: tuple[int, ...]) -> tuple[tuple[Index, Index], ...]:
    """Group bodies by depth, so that a whole level can be computed at once.

    Args:
        parents: Parent of each body, -1 for the root; a parent precedes its children.

    Returns:
        One (bodies, their parents) pair per depth below the root.

    Raises:
        ValueError: The first body is not the root, or a parent does not precede its child.
    """
    if not parents or parents[0] != -1 or any(not 0 <= p < i for i, p in enumerate(parents) if i):
        raise ValueError(f"parents must start with -1 and point backwards, got {parents}")
    depth = [0] * len(parents)
    for body, parent in enumerate(parents[1:], start=1):
        depth[body] = depth[parent] + 1
    table = np.asarray(parents)
    groups = [np.flatnonzero(np.asarray(depth) == d) for d in range(1, max(depth) + 1)]
    return tuple((bodies, table[bodies]) for bodies in groups)


def forward_kinematics(
    parents: Sequence[int], offsets: Array, root_position: Array, local_rotation: Array
) -> tuple[Array, Array]:
    """World poses of all bodies.

    Args:
        parents: Parent of each body, -1 for the root.
        offsets: Joint positions in the parent's frame, shape (..., J, 3) or (J, 3) [m].
        root_position: World position of the root, shape (..., 3) [m].
        local_rotation: Unit quaternions relative to the parent, shape (..., J, 4); the root's row is
            its world rotation.

    Returns:
        World positions (..., J, 3) [m] and world rotations (..., J, 4).
    """
    rotation = np.array(local_rotation, dtype=np.float64)
    offsets = np.broadcast_to(offsets, (*rotation.shape[:-1], 3))
    position = np.empty((*rotation.shape[:-1], 3))
    position[..., 0, :] = root_position
    for bodies, above in levels(tuple(parents)):
        turn = rotation[..., above, :]
        position[..., bodies, :] = position[..., above, :] + rotations.rotate(turn, offsets[..., bodies, :])
        rotation[..., bodies, :] = rotations.multiply(turn, rotation[..., bodies, :])
    return position, rotation


def local_from_global(parents: Sequence[int], rotation: Array) -> Array:
    """Rotations relative to the parent from world rotations (..., J, 4); the root's row stays."""
    above = np.asarray(parents[1:])
    local = np.array(rotation, dtype=np.float64)
    local[..., 1:, :] = rotations.multiply(rotations.conjugate(rotation[..., above, :]), rotation[..., 1:, :])
    return local


def gaussian_filter(values: Array) -> Array:
    """Smooth along the first axis with PHC's Gaussian, repeating the end values beyond the ends."""
    offset = np.arange(-_GAUSSIAN_RADIUS, _GAUSSIAN_RADIUS + 1)
    weight = np.exp(-0.5 * (offset / GAUSSIAN_SIGMA) ** 2)
    weight /= weight.sum()
    padding = [(_GAUSSIAN_RADIUS, _GAUSSIAN_RADIUS)] + [(0, 0)] * (values.ndim - 1)
    padded = np.pad(values, padding, mode="edge")
    return sum((w * padded[i : i + len(values)] for i, w in enumerate(weight)), start=np.zeros(values.shape))


def linear_velocity(position: Array, fps: float) -> Array:
    """World velocity of points.

    Central differences (one-sided at the ends), then a Gaussian over time
    (``spec/phc.md`` section 8).

    Args:
        position: World positions, shape (T, ..., 3) [m], T >= 2.
        fps: Frames per second.

    Returns:
        Velocities, shape (T, ..., 3) [m/s].
    """
    return gaussian_filter(np.gradient(position, axis=0) * fps)


def angular_velocity(rotation: Array, fps: float) -> Array:
    """Angular velocity of bodies in the world frame.

    ``log(q[t+1] q[t]^-1) * fps`` with zero in the last frame, then a Gaussian over time
    (``spec/phc.md`` section 8).

    Args:
        rotation: World rotations, shape (T, ..., 4).
        fps: Frames per second.

    Returns:
        Angular velocities, shape (T, ..., 3) [rad/s].
    """
    step = rotations.multiply(rotation[1:], rotations.conjugate(rotation[:-1]))
    raw = np.zeros((*rotation.shape[:-1], 3))
    raw[:-1] = rotations.to_rotation_vector(step) * fps
    return gaussian_filter(raw)


def joint_velocity(local_rotation: Array, fps: float) -> Array:
    """Velocity of ball joints in the child's frame, MuJoCo's and PHC's joint coordinate rate.

    ``log(q[t]^-1 q[t+1]) * fps``, unfiltered, the last frame repeated (``spec/phc.md`` section 8).

    Args:
        local_rotation: Rotations relative to the parent, shape (T, ..., 4), T >= 2.
        fps: Frames per second.

    Returns:
        Relative angular velocities, shape (T, ..., 3) [rad/s].
    """
    step = rotations.multiply(rotations.conjugate(local_rotation[:-1]), local_rotation[1:])
    velocity = rotations.to_rotation_vector(step) * fps
    return np.concatenate([velocity, velocity[-1:]])


def identity(*shape: int) -> Array:
    """Identity quaternions of shape (*shape, 4)."""
    return np.broadcast_to(_IDENTITY, (*shape, 4)).copy()
