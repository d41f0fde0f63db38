"""How far poses and their motion are from a reference: MPJPE in three frames, velocity and acceleration errors.

Pure functions on arrays with any leading batch dimensions. *Global* errors compare world positions, *root-relative*
ones forget where the pelvis is, *aligned* ones (PA, Procrustes) forget position, heading, tilt and size of the person.

Sources: spec/assistmimic.md section 11.1; the similarity is Umeyama's, IEEE PAMI 13 (1991).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from .metrics import body_error

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]
    Ids = NDArray[np.intp]

FRAMES: Final = ("mpjpe", "mpjpe_root", "mpjpe_pa")
"""Global, root-relative, Procrustes-aligned."""

PARTS: Final = ("", "_body", "_hands")
"""All bodies, those that are no hands, hands."""


def mpjpe(position: ArrayLike, ref_position: ArrayLike, hands: Ids) -> dict[str, Array]:
    """Mean distances of bodies from their reference, in all frames of `FRAMES`, of all parts of `PARTS`.

    Args:
        position: Simulated body positions, shape (..., bodies, 3), world frame [m]; the first is the root.
        ref_position: Reference body positions, same shape [m].
        hands: Indices of the hands, shape (k,).

    Returns:
        Frame followed by part, e.g. ``mpjpe_pa_hands`` -> mean distance, shape (...) [m].
    """
    position, ref_position = np.asarray(position, np.float64), np.asarray(ref_position, np.float64)
    others = np.setdiff1d(np.arange(position.shape[-2]), hands)
    chosen = dict(zip(PARTS, (np.arange(position.shape[-2]), others, hands), strict=True))
    errors = (
        body_error(position, ref_position),
        body_error(root_relative(position), root_relative(ref_position)),
        body_error(aligned(position, ref_position), ref_position),
    )
    return {
        frame + part: error[..., bodies].mean(axis=-1)
        for frame, error in zip(FRAMES, errors, strict=True)
        for part, bodies in chosen.items()
    }


def root_relative(position: ArrayLike) -> Array:
    """Positions as seen from the root, without turning; shape (..., bodies, 3) [m]."""
    position = np.asarray(position, np.float64)
    return position - position[..., :1, :]


def aligned(position: ArrayLike, ref_position: ArrayLike) -> Array:
    """Move, turn and scale each pose as a whole so that it is as near to its reference as it can be.

    Args:
        position: Body positions, shape (..., bodies, 3) [m].
        ref_position: Reference body positions, same shape [m].

    Returns:
        The positions after the best similarity without reflection (least squares), shape (..., bodies, 3) [m].
    """
    position, ref_position = np.asarray(position, np.float64), np.asarray(ref_position, np.float64)
    centre = ref_position.mean(axis=-2, keepdims=True)
    pose, ref_pose = position - position.mean(axis=-2, keepdims=True), ref_position - centre
    left, stretch, right = np.linalg.svd(np.swapaxes(pose, -1, -2) @ ref_pose)
    sign = np.ones_like(stretch)
    sign[..., 2] = np.sign(np.linalg.det(left) * np.linalg.det(right))
    turn = left * sign[..., None, :] @ right
    size = np.einsum("...ji,...ji->...", pose, pose)
    scale = (stretch * sign).sum(axis=-1) / np.maximum(size, 1e-12)
    return scale[..., None, None] * (pose @ turn) + centre


def velocity_error(position: ArrayLike, ref_position: ArrayLike, *, dt: float) -> Array:
    """Mean over bodies of the difference of velocities, by finite differences between neighbouring frames.

    Args:
        position: Simulated body positions, shape (..., frames, roles, bodies, 3), world frame [m].
        ref_position: Reference body positions, same shape [m].
        dt: Time between two frames [s].

    Returns:
        Shape (..., frames - 1, roles) [m/s].
    """
    return _differences(position, ref_position, 1) / dt


def acceleration_error(position: ArrayLike, ref_position: ArrayLike, *, dt: float) -> Array:
    """Mean over bodies of the difference of accelerations, by second differences of neighbouring frames.

    Args:
        position: Simulated body positions, shape (..., frames, roles, bodies, 3), world frame [m].
        ref_position: Reference body positions, same shape [m].
        dt: Time between two frames [s].

    Returns:
        Shape (..., frames - 2, roles) [m/s^2].
    """
    return _differences(position, ref_position, 2) / dt**2


def _differences(position: ArrayLike, ref_position: ArrayLike, order: int) -> Array:
    """Mean over bodies of the length of the n-th difference along time of the position error."""
    error = np.asarray(position, np.float64) - np.asarray(ref_position, np.float64)
    change = np.diff(error, n=order, axis=-4)
    return np.sqrt(np.einsum("...i,...i->...", change, change)).mean(axis=-1)
