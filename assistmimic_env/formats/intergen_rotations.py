"""Rotations of InterHuman's bodies: from six numbers per joint, and the pelvis, which the files leave out.

SMPL's frames: +x left, +y up, +z forward; the source's rotations are relative to the parent's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..body import BodySpec
from ..errors import ClipError
from .smpl import SMPL_ORDER, world_rotations

Array = NDArray[np.float64]

COLUMNS = ((0, 2, 4), (1, 3, 5))
"""Which of the six numbers are the first and the second column of the rotation matrix: interleaved."""

_FITTED = ("Pelvis", "L_Hip", "R_Hip", "Torso")
_FLAT = 1e-3
_DOWN = np.array([0.0, -1.0, 0.0])


def from_six(six: Array) -> Array:
    """Quaternions (..., 4) of six numbers (..., 6), which need not be exactly orthogonal or of unit length."""
    first, second = (six[..., list(columns)] for columns in COLUMNS)
    x = first / np.linalg.norm(first, axis=-1, keepdims=True)
    y = second - np.einsum("...i,...i->...", x, second)[..., None] * x
    y = y / np.linalg.norm(y, axis=-1, keepdims=True)
    return rotations.from_matrix(np.stack([x, y, np.cross(x, y)], axis=-1))


def body_rotations(where: str, joints: Array, six: Array, body: BodySpec) -> Array:
    """World rotations of a person's bodies.

    Args:
        where: For messages.
        joints: Origins of our bodies, z up, shape (T, J, 3).
        six: Six numbers for SMPL's joints 1 to 21, shape (T, 21, 6).
        body: ``smpl24``.

    Returns:
        Shape (T, J, 4), upright frames; NaN for the hands, which the source does not have.

    Raises:
        ClipError: Six numbers are no rotation: columns of no length, or of one direction.
    """
    first, second = (six[..., list(columns)] for columns in COLUMNS)
    bad = np.argwhere(np.linalg.norm(np.cross(first, second), axis=-1) < _FLAT)
    if len(bad):
        frame, joint = bad[0]
        raise ClipError(
            f"{where}: frame {frame}: six numbers of joint {joint + 1} are no rotation: {six[frame, joint]}."
        )
    local = from_six(six)
    pose = np.zeros((len(six), len(SMPL_ORDER), 3))
    pose[:, 1 : 1 + six.shape[1]] = rotations.to_rotation_vector(local)
    hips = local[:, [SMPL_ORDER.index(name) - 1 for name in ("L_Hip", "R_Hip")]]
    pose[:, 0] = rotations.to_rotation_vector(rotations.from_matrix(pelvis_rotation(joints, hips, body)))
    world = world_rotations(pose, "z")
    world[:, [body.index(name) for name in SMPL_ORDER[1 + six.shape[1] :]]] = np.nan
    return world


def pelvis_rotation(joints: Array, hips: Array, body: BodySpec) -> Array:
    """The pelvis from a rigid fit of its own joints: pelvis, hips and the lowest of the spine.

    They move as one piece, whose shape is their mean over time. Which way it is pitched in the rest pose is up to the
    person's body; that constant follows from the thighs, which hang (nearly) straight there and whose rotations are
    known.

    Args:
        joints: Origins of our bodies, shape (T, J, 3).
        hips: Rotations of left and right hip relative to the pelvis, shape (T, 2, 4).
        body: ``smpl24``.

    Returns:
        World rotation matrices of the pelvis in SMPL's frame, shape (T, 3, 3).
    """
    piece = joints[:, body.indices(_FITTED)]
    piece = piece - piece.mean(axis=1, keepdims=True)
    shape = np.einsum("tji,tkj->tki", _hip_frame(piece), piece).mean(axis=0)
    left, _, right = np.linalg.svd(np.einsum("tki,kj->tij", piece, shape))
    left[..., -1] *= np.linalg.det(left @ right)[:, None]
    fitted = left @ right
    thighs = joints[:, body.indices(("L_Knee", "R_Knee"))] - joints[:, body.indices(("L_Hip", "R_Hip"))]
    seen = np.einsum("tji,tsj->tsi", fitted, thighs)
    meant = rotations.rotate(hips, _DOWN)
    pitch = np.arctan2(
        np.sum(meant[..., 1] * seen[..., 2] - meant[..., 2] * seen[..., 1]),
        np.sum(meant[..., 1] * seen[..., 1] + meant[..., 2] * seen[..., 2]),
    )
    return fitted @ rotations.to_matrix(rotations.from_axis_angle(np.array([1.0, 0.0, 0.0]), pitch))


def _hip_frame(piece: Array) -> Array:
    """Axes (T, 3, 3) along the hips, up towards the spine, and forward, of `_FITTED` points (T, 4, 3)."""
    _, left_hip, right_hip, spine = np.moveaxis(piece, 1, 0)
    left = left_hip - right_hip
    left = left / np.linalg.norm(left, axis=-1, keepdims=True)
    rise = spine - 0.5 * (left_hip + right_hip)
    rise = rise - np.einsum("ti,ti->t", rise, left)[:, None] * left
    rise = rise / np.linalg.norm(rise, axis=-1, keepdims=True)
    return np.stack([left, rise, np.cross(left, rise)], axis=-1)
