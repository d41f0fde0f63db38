"""The bundled real clip "B sits; A pulls up B": CMU takes 22_01 and 23_01 on our body.

Timeline: the pose of source frame 386 is held, frames 386-555 are played (the clock starts gently), then both people
finish the step they are in and come to rest in a balanced stand. Three things differ from the recording on purpose and
are listed in the clip's metadata: A's left foot, in the air at frame 386, stands from the beginning where it lands at
frame 404; the clasped hands, which the recording leaves 0.2 m apart, touch; and the last step is ours.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import kinematics, rotations
from .body import BodySpec, get_body
from .capsules import capsules
from .clip import Contact, Furniture, PairClip
from .cmu_source import RATE, Source, read_source
from .ik import IkProblem, IkResult, IkSettings, solve
from .ik_targets import (
    CenterOfMassTargets, ClearanceTargets, Points, PointTargets, RelativeTargets, RestPull, RotationTargets, Target,
)  # fmt: skip
from .retargeting import JOINTS, carried_rotations, measured_joints

Array = NDArray[np.float64]

FPS = 30.0
FIRST_FRAME = 386
LAST_FRAME = 555
HOLD = 0.5
"""How long the first pose is held [s]."""
EASE = 19.0 / 60.0
"""How long the clock takes to reach its full speed [s]; so chosen that the last source frame is a clip frame."""
LANDING = 9.0 / 30.0
"""Time from the last source frame until both feet are down [s]."""
SETTLE = 24.0 / 30.0
"""Time from the last source frame until the stand [s]."""
STAND = 33.0 / 30.0
"""How long the last pose is held [s]."""

CLASP = (FIRST_FRAME, 516.0, 532.0)
"""Source frames between which the right hands touch, and by which they are apart."""
SUPPORT = (484.0, 498.0, 518.0, 534.0)
"""Source frames: A's left hand approaches B's right forearm, touches it, leaves it, is away."""

_PLANTED: dict[tuple[int, str], tuple[tuple[float, float, float, float], ...]] = {
    (0, "L_"): ((-1e9, -1e9, 442.0, 450.0), (506.0, 518.0, 1e9, 1e9)),
    (0, "R_"): ((-1e9, -1e9, 402.0, 412.0), (438.0, 444.0, 522.0, 530.0)),
    (1, "L_"): ((-1e9, -1e9, 518.0, 526.0),),
    (1, "R_"): ((-1e9, -1e9, 392.0, 400.0), (404.0, 412.0, 1e9, 1e9)),
}
"""Stance of each (person, foot) in source frames: lowering, down, lifting, up."""
_TOE_DELAY = 6.0
"""Source frames by which the toes leave the floor after the heel."""
_LAST_STEP = 0.13
"""The swinging foot lands this much further along its velocity at the last source frame [s]."""

_POSITION_WEIGHT = {"Neck": 0.3, "Head": 0.3}
_ROTATION_WEIGHT = {"Pelvis": 0.1, "Chest": 0.1, "Head": 0.1}
_TWIST_WEIGHT = 0.05
_FOOT_WEIGHT = 3.0
_GUIDE_WEIGHT = 0.3


@dataclass(frozen=True, kw_only=True, eq=False)
class _Goal:
    """What each output frame should fulfil; N frames, two people, J bodies."""

    position: Array
    """(N, 2, J, 3) [m]."""
    position_weight: Array
    """(N, 2, J)."""
    rotation: Array
    """(N, 2, J, 4) world rotations."""
    rotation_weight: Array
    """(N, 2, J)."""
    center: Array
    """(N, 2, 3) centre of mass [m]."""
    center_weight: Array
    """(N, 2)."""
    clasp: Array
    """(N,) 1 while the right hands touch."""
    support: Array
    """(N,) 1 while A's left hand touches B's right forearm."""

    def part(self, frames: slice) -> _Goal:
        """Some of the frames."""
        return _Goal(**{name: getattr(self, name)[frames] for name in self.__dataclass_fields__})


def smooth(x: Array | float) -> Array:
    """Minimum-jerk step: 0 below 0, 1 above 1, with zero first and second derivative at both ends."""
    x = np.clip(x, 0.0, 1.0)
    return x**3 * (10.0 - 15.0 * x + 6.0 * x**2)


def window(frame: Array, rise: float, on: float, off: float, fall: float) -> Array:
    """Smooth window: 0 before ``rise``, 1 from ``on`` to ``off``, 0 after ``fall``."""
    return smooth((frame - rise) / max(on - rise, 1e-9)) * (1.0 - smooth((frame - off) / max(fall - off, 1e-9)))


def clock() -> tuple[Array, Array]:
    """The timeline at 30 fps.

    Returns:
        Source frame of each clip frame, shape (N,), and the time after the last source frame, shape (N,) [s].
    """
    played = HOLD + 0.5 * EASE + (LAST_FRAME - FIRST_FRAME) / RATE
    time = np.arange(round((played + SETTLE + STAND) * FPS) + 1) / FPS
    eased = np.clip((time - HOLD) / EASE, 0.0, 1.0)
    elapsed = EASE * (eased**3 - 0.5 * eased**4) + np.maximum(time - HOLD - EASE, 0.0)
    frame = np.minimum(FIRST_FRAME + RATE * elapsed, LAST_FRAME)
    return frame, np.maximum(time - played, 0.0)
