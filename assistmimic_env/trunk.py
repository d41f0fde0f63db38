"""Joints of the trunk that other skeletons do not have, or have elsewhere than our bodies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .body import BodySpec

__all__ = ["PLACED", "placed_trunk"]

Array = NDArray[np.float64]

PLACED = ("Pelvis", "Chest", "L_Thorax", "R_Thorax")
"""The joints that are placed."""


def placed_trunk(body: BodySpec, joints: Array, up: Array) -> Array:
    """Place pelvis, chest and collars between the hips and the shoulders in the body's own proportions.

    So hip width, trunk length and shoulder width of a person can be fitted apart.

    Args:
        body: Whose proportions.
        joints: Positions in the body's order, shape (T, J, 3) [m]; hips and shoulders are known.
        up: Direction from the hips to the pelvis, unit vectors, shape (T, 3).

    Returns:
        Positions of `PLACED`, shape (T, 4, 3) [m].
    """
    left_hip, right_hip, left, right = (
        joints[:, body.index(name)] for name in ("L_Hip", "R_Hip", "L_Shoulder", "R_Shoulder")
    )
    rest = body.rest_positions
    hip, chest, collar, shoulder = (rest[body.index(name)] for name in ("L_Hip", "Chest", "L_Thorax", "L_Shoulder"))
    half_width = 0.5 * np.linalg.norm(left_hip - right_hip, axis=-1, keepdims=True)
    pelvis = 0.5 * (left_hip + right_hip) + up * half_width * (-hip[2] / hip[1])
    middle = 0.5 * (left + right)
    collars = pelvis + (collar[2] / shoulder[2]) * (middle - pelvis)
    across = collar[1] / shoulder[1]
    return np.stack(
        [
            pelvis,
            pelvis + (chest[2] / shoulder[2]) * (middle - pelvis),
            collars + across * (left - middle),
            collars + across * (right - middle),
        ],
        axis=1,
    )
