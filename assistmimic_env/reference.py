"""``Reference``: clips at the control rate, one row per (clip, frame), gathered without interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import rotations
from .clip import PairClip, resample
from .config import CONTROL_DT
from .errors import ClipError

Array = NDArray[np.float64]
Ids = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class Goal:
    """Where the people of n worlds should be; the fields are those of ``Reference``.

    Attributes:
        motion: Shape (n, 2, 3, J, 3).
        rotation: Shape (n, 2, J, 4).
        matrix: Shape (n, 2, J, 3, 3).
        columns: Shape (n, 2, J, 2, 3).
    """

    motion: Array
    rotation: Array
    matrix: Array
    columns: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """Frames of all clips, one after the other: F rows.

    Attributes:
        clips: The clips at the control rate.
        first: Row of each clip's first frame, shape (C,).
        length: Frames of each clip, shape (C,).
        motion: Position [m], velocity [m/s], angular velocity [rad/s] of all bodies, world frame,
            shape (F, 2, 3, J, 3).
        rotation: World rotations, shape (F, 2, J, 4).
        matrix: The same as matrices, shape (F, 2, J, 3, 3).
        columns: Their x and z axes, shape (F, 2, J, 2, 3).
        qpos: Generalised positions, shape (F, 2, 3 + 4 J).
        qvel: Generalised velocities as MuJoCo has them, shape (F, 2, 3 + 3 J).
        target: Joint rotation vectors: what a servo would be asked to hold, shape (F, 2, J - 1, 3) [rad].
    """

    clips: tuple[PairClip, ...]
    first: Ids
    length: Ids
    motion: Array
    rotation: Array
    matrix: Array
    columns: Array
    qpos: Array
    qvel: Array
    target: Array

    def row(self, clip: Ids, frame: Ids) -> Ids:
        """Rows of frames, clamped to each clip's last frame; shapes broadcast."""
        return self.first[clip] + np.minimum(frame, self.length[clip] - 1)

    def goal(self, row: Ids) -> Goal:
        """A copy of some rows, shape (n,), that may be moved."""
        return Goal(
            motion=self.motion[row], rotation=self.rotation[row], matrix=self.matrix[row], columns=self.columns[row]
        )

    @property
    def position(self) -> Array:
        """World positions, a view, shape (F, 2, J, 3) [m]."""
        return self.motion[:, :, 0]


def build_reference(clips: Sequence[PairClip]) -> Reference:
    """Tabulate clips at the control rate.

    Args:
        clips: At least one, all with the same body topology.

    Raises:
        ClipError: No clip, or clips of different bodies.
    """
    if not clips:
        raise ClipError("an environment needs at least one clip.")
    bodies = sorted({clip.body for clip in clips})
    if len(bodies) > 1:
        raise ClipError(f"clips of the bodies {' and '.join(bodies)} cannot share one environment.")
    at_rate = tuple(resample(clip, 1.0 / CONTROL_DT) for clip in clips)
    length = np.array([clip.num_frames for clip in at_rate], dtype=np.intp)
    rotation = np.concatenate([clip.rotation for clip in at_rate])
    local = np.concatenate([clip.local_rotation for clip in at_rate])
    fields = ("position", "velocity", "angular_velocity")
    motion = np.stack([np.concatenate([getattr(clip, name) for clip in at_rate]) for name in fields], axis=2)
    joint_velocity = np.concatenate([clip.joint_velocity for clip in at_rate])
    return Reference(
        clips=at_rate,
        first=np.concatenate([[0], np.cumsum(length)[:-1]]).astype(np.intp),
        length=length,
        motion=motion,
        rotation=rotation,
        matrix=rotations.to_matrix(rotation),
        columns=rotations.tan_norm(rotation).reshape(*rotation.shape[:-1], 2, 3),
        qpos=_qpos(motion[:, :, 0, 0], local),
        qvel=_qvel(motion[:, :, 1, 0], motion[:, :, 2, 0], rotation[:, :, 0], joint_velocity),
        target=rotations.to_rotation_vector(local[:, :, 1:]),
    )


def _qpos(root_position: Array, local_rotation: Array) -> Array:
    quaternions = local_rotation.reshape(*local_rotation.shape[:-2], -1)
    return np.concatenate([root_position, quaternions], axis=-1)


def _qvel(root_velocity: Array, root_spin: Array, root_rotation: Array, joint_velocity: Array) -> Array:
    """MuJoCo's free joint: linear velocity in the world frame, angular velocity in the body frame."""
    spin = rotations.inverse_rotate(root_rotation, root_spin)
    joints = joint_velocity[..., 1:, :].reshape(*joint_velocity.shape[:-2], -1)
    return np.concatenate([root_velocity, spin, joints], axis=-1)
