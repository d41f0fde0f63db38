"""Joints that a source does not tell, placed where our bodies have them.

Of people who are known by their rotations alone all joints are placed, around the recorded pelvis; of recorded rigs
those of the trunk, which lie elsewhere there. What was placed is never counted as measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .. import kinematics, rotations
from ..body import BodySpec
from ..trunk import PLACED, placed_trunk
from .intervals import intervals
from .measured import Measured
from .stance import foot_indices, standing

__all__ = ["completed", "posed", "stance_scale"]

Array = NDArray[np.float64]

_SWAY = 0.02
"""Hips that move less than this about standing feet hardly tell the length of the legs [m]."""
_SCALES = (0.8, 1.2)
"""People are at least and at most this large, against our body."""


def completed(source: Measured, figures: Sequence[BodySpec | None]) -> Measured:
    """Place what is missing.

    Args:
        source: Both people.
        figures: Bodies of the people who are known by their rotations alone; None for the others.

    Returns:
        The same with more joints; which were told stays in ``told``.
    """
    joints = source.joints.copy()
    for role, figure in enumerate(figures):
        own = joints[:, role]
        if figure is not None:
            placed = posed(figure, own[:, 0], source.rotation[:, role])
            joints[:, role] = np.where(source.told[role, :, None], own, placed)
        else:
            _place_trunk(source.body, own, source.rotation[:, role, 0])
    return replace(source, joints=joints)


def posed(body: BodySpec, pelvis: Array, rotation: Array) -> Array:
    """Joints (T, J, 3) of a body whose pelvis (T, 3) and world rotations (T, J, 4) are known."""
    local = kinematics.local_from_global(body.parents, rotation)
    return kinematics.forward_kinematics(body.parents, body.offsets, pelvis, local)[0]


def stance_scale(body: BodySpec, pelvis: Array, rotation: Array, fps: float) -> float:
    """How large a person is, from the way of the pelvis about standing feet.

    Feet that stand do not move; on bones of another length they would, as the pelvis is recorded. Where the pelvis
    hardly moves about them nothing is told and the scale stays near 1.

    Args:
        body: Whose bones are scaled.
        pelvis: Recorded positions, shape (T, 3) [m]; a constant error does not matter.
        rotation: World rotations, shape (T, J, 4).
        fps: Frames per second.

    Returns:
        Factor on all bones that lets standing feet move least, 0.8 to 1.2.
    """
    feet = posed(body, pelvis, rotation)[:, foot_indices(body)]
    stands = standing(feet, fps)
    wrong, moved = 0.0, 0.0
    for part in range(feet.shape[1]):
        for begin, end in intervals(stands[:, part]):
            run = feet[begin:end, part] - feet[begin:end, part].mean(axis=0)
            chain = run - (pelvis[begin:end] - pelvis[begin:end].mean(axis=0))
            wrong += float(np.sum(chain * run))
            moved += float(np.sum(chain**2)) + len(run) * _SWAY**2
    return float(np.clip(1.0 - wrong / max(moved, 1e-9), *_SCALES))


def _place_trunk(body: BodySpec, joints: Array, pelvis: Array) -> None:
    """Write (in place) pelvis, chest and collars of one person (T, J, 3) where they were not measured."""
    rows = body.indices(PLACED)
    lacking = np.isnan(joints[0, rows, 0])
    if lacking.any():
        up = _up(body, joints) if np.isnan(pelvis[0, 0]) else rotations.rotate(pelvis, np.array([0.0, 0.0, 1.0]))
        joints[:, rows[lacking]] = placed_trunk(body, joints, up)[:, lacking]


def _up(body: BodySpec, joints: Array) -> Array:
    """Direction (T, 3) from the hips to the shoulders, across the hips' own axis."""
    left, right, *shoulders = (
        joints[:, body.index(side + part)] for part in ("Hip", "Shoulder") for side in ("L_", "R_")
    )
    axis = _unit(left - right)
    rise = 0.5 * (shoulders[0] + shoulders[1] - left - right)
    return _unit(rise - np.sum(rise * axis, axis=-1, keepdims=True) * axis)


def _unit(vector: Array) -> Array:
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)
