"""How far a clip is from what was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..body import BodySpec

__all__ = ["HandChange", "hand_change", "joint_errors"]

Array = NDArray[np.float64]

_NEAR = 0.5
"""A wrist and a joint of the partner count as near below this distance in the source [m]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HandChange:
    """Distances between wrists and near joints of the partner, N pairs in frames."""

    change: Array
    """Absolute change of each, shape (N,) [m]."""
    before: Array
    """From each near wrist to the partner's nearest joint, source, shape (M,) [m]."""
    after: Array
    """The same in the clip."""


def joint_errors(position: Array, joints: Array) -> Array:
    """Distances between bodies and measured joints.

    Args:
        position: The clip's, shape (T, 2, J, 3) [m].
        joints: Measured, same shape; NaN where not measured.

    Returns:
        One number per measured joint and frame [m].
    """
    error = np.linalg.norm(position - joints, axis=-1)
    return error[np.isfinite(error)]


def hand_change(body: BodySpec, position: Array, joints: Array) -> HandChange:
    """How distances between hands and partner change.

    Args:
        body: Names the joints.
        position: The clip's, shape (T, 2, J, 3) [m].
        joints: Measured, same shape; NaN where not measured.

    Returns:
        The changes; empty when no hand comes near, or wrists were not measured.
    """
    wrists = body.indices(("L_Wrist", "R_Wrist"))
    known = np.asarray(np.isfinite(joints).all(axis=(0, 1, 3)))
    if not known[wrists].all():
        return HandChange(change=np.zeros(0), before=np.zeros(0), after=np.zeros(0))
    before, after = (
        np.stack([_between(values[:, role, wrists], values[:, 1 - role][:, known]) for role in range(2)])
        for values in (joints, position)
    )
    near = before < _NEAR
    close = near.any(axis=-1)
    nearest = before.argmin(axis=-1)[..., None]
    return HandChange(
        change=np.abs(after - before)[near],
        before=np.take_along_axis(before, nearest, axis=-1)[..., 0][close],
        after=np.take_along_axis(after, nearest, axis=-1)[..., 0][close],
    )


def _between(hands: Array, others: Array) -> Array:
    """Distances (T, H, K) between points (T, H, 3) and (T, K, 3)."""
    return np.linalg.norm(hands[:, :, None] - others[:, None], axis=-1)
