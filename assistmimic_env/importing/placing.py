"""Where the pair stands in our world: one shift for both, no turn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..body import BodySpec
from .stance import foot_indices, sole_drop

__all__ = ["pair_shift"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_ABOVE = 0.1
"""A foot that rests this far above the other one is lifted, or on a step [m]."""
_LOWEST = 0.02
"""Share of the frames that may reach below the floor where nobody stands."""


def pair_shift(bodies: tuple[BodySpec, BodySpec], joints: Array, stands: Mask) -> Array:
    """The shift that puts the floor at height 0 and the origin between the people's feet of the first frame.

    The floor is the lower of the two heights on which the people stand, each the median over all frames and joints of
    standing feet that are not lifted; where nobody stands, the lowest joint of anybody.

    Args:
        bodies: Supporter, recipient.
        joints: Measured joints, shape (T, 2, J, 3) [m]; NaN where not measured.
        stands: When the feet stand, shape (T, 2, F).

    Returns:
        What is added to every position of both people, shape (3,) [m].
    """
    feet = joints[:, :, foot_indices(bodies[0])]
    soles = feet[..., 2] - np.stack([sole_drop(body) for body in bodies])
    levels = [_level(soles[:, role], stands[:, role]) for role in range(2) if stands[:, role].any()]
    if not levels:
        levels = [float(np.quantile(np.nanmin(joints[..., 2], axis=(1, 2)), _LOWEST))]
    ankles = feet[0, :, ::2].reshape(-1, 3)
    return np.array([*-ankles[:, :2].mean(axis=0), -min(levels)])


def _level(soles: Array, stands: Mask) -> float:
    """Height on which a person stands, from the heights (T, F) of soles and when they rest."""
    resting = np.where(stands, soles, np.inf)
    lowest = np.median(resting.min(axis=1)[stands.any(axis=1)])
    return float(np.median(soles[stands & (soles < lowest + _ABOVE)]))
