"""From a seat and back to it: time courses, the seated pelvis, and the seat under it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..body import BodySpec
from ..capsules import capsules, world_ends
from ..clip import Furniture, PairClip
from .clearance import PRESS
from .poses import ankle_height, bone, radius
from .timing import FPS, REST_FRAMES, minimum_jerk

Array = NDArray[Any]

SEAT_FRONT = 0.07
"""How far the seat reaches under the thighs, from the pelvis [m]."""

_RECIPIENT = 1


@dataclass(frozen=True, kw_only=True)
class Course:
    """Time courses of somebody who rises or sits down, shape (T,) each; resting frames at both ends included.

    Sitting down is rising backwards: both are slow enough to be balanced in every frame.
    """

    time: float
    """Between the seat and standing [s]."""
    peak: float
    """Largest forward lean of the trunk [rad]."""
    lowering: bool = False
    """From standing to the seat."""
    seated: float = 0.05
    """Forward lean of the trunk on the seat [rad]."""

    @property
    def phase(self) -> Array:
        """0 seated to 1 standing, evenly."""
        frames = round(self.time * FPS)
        phase = np.clip(np.arange(-REST_FRAMES, frames + REST_FRAMES + 1) / frames, 0.0, 1.0)
        return phase[::-1] if self.lowering else phase

    @property
    def rise(self) -> Array:
        """0 seated to 1 standing, for the height."""
        return minimum_jerk((self.phase - 0.32) / 0.68)

    @property
    def advance(self) -> Array:
        """0 seated to 1 standing, for the forward way: it leads the rise a little."""
        return minimum_jerk((self.phase - 0.14) / 0.76)

    @property
    def lean(self) -> Array:
        """Forward lean of the trunk [rad]: little on the seat, most when leaving or reaching it, upright."""
        forward = minimum_jerk(self.phase / 0.42)
        back = minimum_jerk((self.phase - 0.40) / 0.60)
        peak, seated, upright = self.peak, self.seated, 0.04
        return seated + (peak - seated) * forward - (peak - upright) * back


def seated_pelvis(body: BodySpec, seat_height: float) -> tuple[float, float]:
    """Pelvis x and z of somebody on a seat with the ankles at x = 0: feet drawn back, the less the higher the seat.

    Args:
        body: Who sits, facing +x.
        seat_height: Top of the seat over the floor [m].
    """
    thigh, shank = bone(body, "L_Knee"), bone(body, "L_Ankle")
    drop = -float(body.offsets[body.index("L_Hip"), 2])
    around = radius(body, body.index("L_Hip"))
    tilt = float(np.interp(seat_height / (ankle_height(body) + shank), (0.85, 1.1), (0.36, 0.18)))
    knee = ankle_height(body) + shank * np.cos(tilt)
    slope = 0.0  # sine of the thighs' rise towards the knees; it and the height of the hips determine each other
    for _ in range(8):
        hip = seat_height + around / np.sqrt(1.0 - slope**2) + max(-slope, 0.0) * SEAT_FRONT
        slope = float(np.clip((knee - hip) / thigh, -0.9, 0.9))
    hip = knee - slope * thigh
    return float(shank * np.sin(tilt) - thigh * np.sqrt(1.0 - slope**2)), float(hip + drop)


def fitted_seat(clip: PairClip, *, frame: int = 0, back: float = 0.22, width: float = 0.44) -> Furniture:
    """A box under the recipient's pelvis and thighs, pressed by a few millimetres.

    Args:
        clip: The recipient sits in it, facing +x.
        frame: When.
        back: How far the seat reaches behind the pelvis [m].
        width: Of the seat [m].
    """
    body = clip.bodies[_RECIPIENT]
    shapes = capsules(clip.bodies)
    used = (shapes.person == _RECIPIENT) & np.isin(shapes.body, body.indices(("Pelvis", "L_Hip", "R_Hip")))
    pose = clip.position[frame], rotations.to_matrix(clip.rotation[frame])
    start, end = world_ends(shapes.rows(used), *pose)
    x = float(clip.root_position[frame, _RECIPIENT, 0])
    rear, front = x - back, x + SEAT_FRONT
    point = start[:, None] + np.linspace(0.0, 1.0, 33)[:, None] * (end - start)[:, None]
    over = (point[..., 0] > rear) & (point[..., 0] < front)
    lowest = (np.where(over, point[..., 2], np.inf) - shapes.radius[used][:, None]).min()
    top = round(float(lowest) + PRESS, 4)
    return Furniture(
        name="seat",
        kind="seat",
        size=(round(front - rear, 4), width, top),
        position=(round(0.5 * (rear + front), 4), 0.0, round(0.5 * top, 5)),
    )
