"""Body frames: ours are *upright*, x forward, y left, z up in the T-pose; SMPL's are x left, y up, z forward.

Changing from one to the other renames the axes, so that it is exact. A body's world rotation in SMPL's frames is
``R_smpl = R_upright B`` with B (x, y, z) = (z, x, y); a joint's rotation vector only changes the order of its
components (``spec/phc.md`` section 1).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BodyFrames = Literal["upright", "smpl"]

_AXES: dict[BodyFrames, tuple[int, int, int]] = {"upright": (0, 1, 2), "smpl": (1, 2, 0)}
"""Which of our axes each of a convention's axes is."""


def to_upright(vector: Array, frames: BodyFrames = "smpl") -> Array:
    """Vectors (..., 3) in body frames of a convention, in ours: bone offsets, rotation vectors of joints."""
    return vector if frames == "upright" else vector[..., np.argsort(_AXES[frames])]


def from_upright(vector: Array, frames: BodyFrames = "smpl") -> Array:
    """The inverse of `to_upright`; also turns the columns of rotation matrices (..., 3, 3) into those of R_smpl."""
    return vector if frames == "upright" else vector[..., _AXES[frames]]
