"""The plan of the clip "A pulls up B": clock, place in the world, footholds, who touches whom.

Frame numbers are those of the recording (120 fps). Role 0 is A (subject 22, supporter), role 1 is B (23, recipient).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import rotations
from .body import BodySpec, get_body
from .cmu_joints import JOINTS, carried_rotations, measured_joints
from .cmu_source import RATE, Performer, Source

Array = NDArray[np.float64]

FPS = 30.0
FIRST_FRAME = 386
LAST_FRAME = 555
HOLD = 15 / FPS
"""How long the first pose is held [s]."""
EASE = 9.5 / FPS
"""How long the clock takes to reach its full speed [s]; so chosen that the last source frame is a clip frame."""
SETTLE = 24 / FPS
"""Time from the last source frame to the stand [s]."""
STAND = 33 / FPS
"""How long the stand is held [s]."""
LANDING = 9 / FPS
"""Time from the last source frame until the swinging feet are down [s]."""
LAST_STEP = 0.13
"""They land where their last velocity carries them in this time [s]."""

SIDES = ("L_", "R_")
CLASP_END = (516.0, 532.0)
"""The right hands begin to part, and are apart."""
SUPPORT = (488.0, 504.0, 520.0, 534.0)
"""A's left hand comes to B's right forearm, touches it, leaves it, is away."""
TOE_DELAY = 6.0
"""Source frames by which the toes leave the floor after the heel."""


@dataclass(frozen=True, kw_only=True)
class Stance:
    """A foot stands on one spot."""

    role: int
    side: str
    lowering: float = -np.inf
    down: float = -np.inf
    lifting: float = np.inf
    up: float = np.inf
    settled: float | None = None
    """First frame from which the spot is measured; by default ``down``."""

    def weight(self, frame: Array, *, toe: bool = False) -> Array:
        """How much the foot is held at its spot, (N,) in [0, 1]."""
        delay = TOE_DELAY if toe else 0.0
        arriving = _ramp(frame, self.lowering, self.down)
        return arriving * (1.0 - _ramp(frame, self.lifting + delay, self.up + delay))


STANCES = (
    Stance(role=0, side="L_", lifting=442.0, up=450.0, settled=408.0),
    Stance(role=0, side="L_", lowering=506.0, down=518.0),
    Stance(role=0, side="R_", lifting=402.0, up=412.0),
    Stance(role=0, side="R_", lowering=438.0, down=444.0, lifting=522.0, up=530.0),
    Stance(role=1, side="L_", lifting=518.0, up=526.0),
    Stance(role=1, side="R_", lifting=392.0, up=400.0),
    Stance(role=1, side="R_", lowering=404.0, down=412.0),
)
"""Seen in the recording, but for the first: A's left foot is in the air until frame 404; it stands where it lands."""

LAST_STEPS: Mapping[int, str] = {0: "R_", 1: "L_"}
"""The foot each person has in the air at the last source frame."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Take:
    """The recording on the clip's clock and in the clip's world; N frames, J bodies."""

    bodies: tuple[BodySpec, BodySpec]
    frame: Array
    """(N,) source frame of each clip frame."""
    after: Array
    """(N,) time since the last source frame [s]."""
    joints: Array
    """(N, 2, J, 3) recorded joints, NaN for bodies without one [m]."""
    pelvis: Array
    """(N, 2, 3) where our pelvis belongs between the recorded hips [m]."""
    carried: Array
    """(N, 2, J, 4) world rotations carried over from the recording."""

    @property
    def played(self) -> int:
        """Number of clip frames up to the last source frame."""
        return int(np.count_nonzero(self.after == 0.0))

    @property
    def clasp(self) -> Array:
        """(N,) 1 while the right hands touch, 0 when they are apart."""
        return (1.0 - _ramp(self.frame, *CLASP_END)) * (self.after == 0.0)

    @property
    def support(self) -> Array:
        """(N,) 1 while A's left hand touches B's right forearm."""
        return _ramp(self.frame, *SUPPORT[:2]) * (1.0 - _ramp(self.frame, *SUPPORT[2:])) * (self.after == 0.0)


def smooth(x: Array | float) -> Array:
    """Minimum-jerk step: 0 below 0, 1 above 1, first and second derivative zero at both ends."""
    x = np.clip(x, 0.0, 1.0)
    return x**3 * (10.0 - 15.0 * x + 6.0 * x**2)


def clock() -> tuple[Array, Array]:
    """The timeline at 30 fps: hold, gentle start, full speed, then our ending.

    Returns:
        Source frame of each clip frame, (N,), and the time since the last source frame, (N,) [s].
    """
    end = HOLD + 0.5 * EASE + (LAST_FRAME - FIRST_FRAME) / RATE
    time = np.arange(round((end + SETTLE + STAND) * FPS) + 1) / FPS
    eased = np.clip((time - HOLD) / EASE, 0.0, 1.0)
    elapsed = EASE * (eased**3 - 0.5 * eased**4) + np.maximum(time - HOLD - EASE, 0.0)
    frame = np.minimum(FIRST_FRAME + RATE * elapsed, LAST_FRAME)
    after = time - end
    return frame, np.where(after > 1e-6, after, 0.0)


def place(source: Source) -> Take:
    """Put the recording on the clip's clock, fit the bodies, and move both people together.

    The origin is under the recipient's first hip position, x points to the supporter, and one floor shift for both
    puts the standing feet on the floor.

    Args:
        source: The key frames.

    Returns:
        The take.
    """
    frame, after = clock()
    poses = [performer.at(frame) for performer in source.performers]
    towards = poses[0][0][0, 0] - poses[1][0][0, 0]
    turn = rotations.yaw_quaternion(-np.arctan2(towards[1], towards[0]))
    origin = poses[1][0][0, 0] * np.array([1.0, 1.0, 0.0])
    people = [
        _person(performer, rotations.rotate(turn, position - origin), rotations.multiply(turn, rotation))
        for performer, (position, rotation) in zip(source.performers, poses, strict=True)
    ]
    bodies, joints, pelvis, carried = zip(*people, strict=True)
    take = Take(
        bodies=(bodies[0], bodies[1]),
        frame=frame,
        after=after,
        joints=np.stack(joints, axis=1),
        pelvis=np.stack(pelvis, axis=1),
        carried=np.stack(carried, axis=1),
    )
    drop = np.array([0.0, 0.0, _floor_excess(take)])
    return Take(**{**take.__dict__, "joints": take.joints - drop, "pelvis": take.pelvis - drop})


def flat_foot(body: BodySpec, side: str) -> tuple[float, float, float]:
    """Height of the ankle and of the toe joint over the floor and their horizontal distance, foot flat [m]."""
    ankle, toe = body.index(f"{side}Ankle"), body.index(f"{side}Toe")
    soles = [min(geom.start[2], geom.end[2]) - geom.radius for geom in body.geoms if geom.body == ankle]
    forward, _, rise = (float(value) for value in body.offsets[toe])
    return -min(soles), rise - min(soles), forward


def foothold(take: Take, stance: Stance) -> tuple[Array, Array, float]:
    """Where a planted foot stands: the median over its stance in the recording.

    Returns:
        Ankle (3,) and toe joint (3,) [m] of the flat foot, and its heading [rad].
    """
    frame = take.frame[: take.played]
    since = stance.down if stance.settled is None else stance.settled
    standing = (frame >= since) & (frame <= stance.lifting)
    standing[: round(HOLD * FPS) - 1] = False
    ankle, toe = (take.joints[: take.played, stance.role, i][standing] for i in _foot(take, stance))
    middle = np.median(0.5 * (ankle + toe), axis=0)
    along = np.median(toe - ankle, axis=0)
    return _flat(take.bodies[stance.role], stance.side, middle, float(np.arctan2(along[1], along[0])))


def landing(take: Take, role: int) -> tuple[Array, Array, float]:
    """Where the foot in the air at the last source frame comes down; like :func:`foothold`."""
    end = take.played - 1
    ankle, toe = (take.joints[: end + 1, role, i] for i in _foot(take, Stance(role=role, side=LAST_STEPS[role])))
    along = toe[end] - ankle[end]
    middle = 0.5 * (toe[end] + ankle[end]) + LAST_STEP * end_velocity(ankle)
    return _flat(take.bodies[role], LAST_STEPS[role], middle, float(np.arctan2(along[1], along[0])))


def end_velocity(values: Array) -> Array:
    """Rate of change in the last frame [1/s], from the last three rows of (N, ...)."""
    return (3.0 * values[-1] - 4.0 * values[-2] + values[-3]) * (0.5 * FPS)


def _ramp(frame: Array, start: float, end: float) -> Array:
    """Smooth step from 0 to 1 between two frames; infinite ones are never or long past."""
    if not np.isfinite(end):
        return np.full(frame.shape, float(end < 0.0))
    return smooth((frame - start) / (end - start))


def _foot(take: Take, stance: Stance) -> tuple[int, int]:
    body = take.bodies[stance.role]
    return body.index(f"{stance.side}Ankle"), body.index(f"{stance.side}Toe")


def _flat(body: BodySpec, side: str, middle: Array, heading: float) -> tuple[Array, Array, float]:
    ankle_height, toe_height, length = flat_foot(body, side)
    half = 0.5 * length * np.array([np.cos(heading), np.sin(heading)])
    ankle = np.array([*(middle[:2] - half), ankle_height])
    return ankle, np.array([*(middle[:2] + half), toe_height]), heading


def _person(performer: Performer, position: Array, rotation: Array) -> tuple[BodySpec, Array, Array, Array]:
    base = get_body("smpl24")
    measured = measured_joints(base, performer, position, rotation)
    body = base.fit(measured)
    joints = np.full_like(measured, np.nan)
    tracked = [base.index(name) for name in JOINTS]
    joints[:, tracked] = measured[:, tracked]
    return body, joints, measured[:, 0], carried_rotations(body, performer, rotation)


def _floor_excess(take: Take) -> float:
    """How much higher the recorded feet stand than ours do on the floor, mean over the stances [m]."""
    excess = []
    for stance in STANCES:
        frame = take.frame[: take.played]
        standing = (frame >= max(stance.down, stance.settled or 0.0)) & (frame <= stance.lifting)
        for joint, height in zip(_foot(take, stance), flat_foot(take.bodies[stance.role], stance.side), strict=False):
            excess.append(np.mean(take.joints[: take.played, stance.role, joint, 2][standing]) - height)
    return float(np.mean(excess))
