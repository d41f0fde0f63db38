"""The recipient's way from the floor to standing: from half-kneeling, from kneeling, from sitting on the floor.

The front foot stands at x = 0 and the recipient faces +x. Motion is quasi-static: the centre of mass moves over what
carries the body before anything leaves the floor. ``stage`` counts from 0 at half-kneeling or sitting to 1 at standing;
kneeling begins at `KNEELING`. Lengths in metres for a body of 1.72 m grow with the body.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..body import BodySpec
from .clearance import PRESS
from .floor import Figure, Foot, Support, blend, course, flat_foot, foot_on_toes, pulse, toe_center, turned
from .poses import PELVIS_SHARE, arms, bent, bone, radius, turns
from .timing import minimum_jerk

Array = NDArray[Any]

KNEELING = -1.0
"""Stage at which the way from kneeling begins."""

_TUCKED = 1.3
"""Pitch of a foot that stands on its toes behind a kneeling person [rad]."""

_STEP = (0.46, 0.84)
"""When the rear foot steps beside the front foot."""

_ROLL_OFF = 1.0
"""Pitch of the rear foot when it leaves the floor [rad]."""


def _scale(body: BodySpec) -> float:
    return body.stature / 1.72


def _track(frames: int, x: Array | float, y: Array | float, z: Array | float) -> Array:
    """A path, shape (T, 3)."""
    return np.stack([np.broadcast_to(value, (frames,)) for value in (x, y, z)], axis=-1)


def _trunk_turns(lean: Array, *, roll: Array | float = 0.0) -> dict[str, Array]:
    """Pelvis, chest and head of a forward lean [rad]; the head looks ahead."""
    return {
        "Pelvis": turned(pitch=PELVIS_SHARE * lean),
        "Chest": turned(pitch=lean, roll=roll),
        "Head": turned(pitch=0.35 * lean),
    }


def _reaching(body: BodySpec, pose: Array, flexion: float) -> Array:
    return arms(body, pose, flexion=flexion, abduction=0.3, elbow=0.5)


def knee_height(body: BodySpec) -> float:
    """Height of the knee joint of a shank that rests on knee and toes [m]."""
    return radius(body, body.index("L_Knee")) - PRESS


def _knee_and_toe(body: BodySpec) -> tuple[float, float]:
    """How far the knee on the floor and the toes behind it are from the front foot's ankle along x [m]."""
    knee = -0.93 * bone(body, "L_Knee")
    ankle = radius(body, body.index("L_Toe")) - rotations.rotate(turned(pitch=_TUCKED), toe_center(body))[2]
    rise = ankle - knee_height(body)
    to_toes = float(rotations.rotate(turned(pitch=_TUCKED), toe_center(body))[0])
    return knee, knee - float(np.sqrt(bone(body, "L_Ankle") ** 2 - rise**2)) + to_toes


def from_kneeling(body: BodySpec, stage: Array, *, lead: int, spacing: float) -> Figure:
    """On one knee or both, the front foot comes forward, the trunk over it, the rear foot beside it.

    Args:
        body: The recipient's.
        stage: Shape (T,): from 0 (half-kneeling) or `KNEELING` to 1.
        lead: 1 if the left foot goes in front, -1 for the right foot.
        spacing: Between the ankles [m].
    """
    scale, frames, half = _scale(body), len(stage), 0.5 * spacing
    knee, _ = _knee_and_toe(body)
    lean = course(stage, 0.25, (-0.9, -0.35, 0.1), (-0.2, 0.25, 0.75), (0.4, 0.9, 0.05))
    tall = knee_height(body) + 0.98 * bone(body, "L_Knee") - float(body.offsets[body.index("L_Hip"), 2])
    height = course(
        stage,
        tall - 0.13 * scale,
        (-0.95, -0.5, tall),
        (0.18, 0.5, 0.67 * scale),
        (0.44, 0.9, 0.975 * body.rest_height),
    )
    forward = course(
        stage,
        knee - 0.22 * scale,
        (-0.95, -0.5, knee - 0.05),
        (-0.2, 0.0, knee + 0.03),
        (0.0, 0.28, -0.15 * scale),
        (0.2, 0.46, -0.02 * scale),
        (0.5, 0.9, 0.015),
    )
    balance_x = course(
        stage,
        knee - 0.14 * scale,
        (-0.95, -0.5, knee - 0.07),
        (-0.2, 0.0, knee + 0.13),
        (0.0, 0.3, -0.05),
        (0.2, 0.44, 0.035 * scale),
    )
    balance_y = course(
        stage, 0.0, (-0.9, -0.5, -lead * half), (-0.15, 0.05, 0.0), (0.05, 0.44, lead * half), (0.8, 1.0, 0.0)
    )
    front, rear = _front_foot(body, stage, lead * half), _rear_foot(body, stage, -lead * half)
    feet = (front, rear) if lead > 0 else (rear, front)
    return Figure(
        body=body,
        pelvis=_track(frames, forward, 0.6 * balance_y, height),
        pelvis_weight=(0.5, 0.5, 4.0),
        turns=_trunk_turns(lean),
        feet=feet,
        balance=_track(frames, balance_x, balance_y, np.nan),
        balance_weight=(3.0, 3.0, 0.0),
        pose=_kneeling_pose(body, stage, lead=lead),
        supports=_knees(body, stage, lead=lead, half=half),
    )


def _front_foot(body: BodySpec, stage: Array, y: float) -> Foot:
    """On the toes behind the knee until the foot swings forward."""
    _, behind = _knee_and_toe(body)
    low, flat = radius(body, body.index("L_Toe")), float(toe_center(body)[0])
    swing = (-0.52, -0.12)
    pitch = course(stage, _TUCKED, (swing[0], swing[1] + 0.02, 0.0))
    height = low + 0.09 * _scale(body) * pulse(stage, *swing)
    return foot_on_toes(body, toe=_track(len(stage), course(stage, behind, (*swing, flat)), y, height), pitch=pitch)


def _rear_foot(body: BodySpec, stage: Array, y: float) -> Foot:
    """On the toes behind the knee, rolls over them, and steps beside the front foot."""
    _, behind = _knee_and_toe(body)
    low, flat = radius(body, body.index("L_Toe")), float(toe_center(body)[0])
    roll = course(stage, _TUCKED, (0.2, _STEP[0], _ROLL_OFF))
    pitch = roll + course(stage, 0.0, (*_STEP, -_ROLL_OFF))
    start = behind + low * (roll - _TUCKED)
    swung = minimum_jerk((stage - _STEP[0]) / (_STEP[1] - _STEP[0]))
    height = low + 0.06 * _scale(body) * pulse(stage, *_STEP)
    return foot_on_toes(body, toe=_track(len(stage), start + (flat - start) * swung, y, height), pitch=pitch)


def _knees(body: BodySpec, stage: Array, *, lead: int, half: float) -> tuple[Support, ...]:
    """Knees on the floor: the rear one until the rise, the front one until its foot swings."""
    x, _ = _knee_and_toe(body)
    place = np.array([x, 0.0, knee_height(body)])
    return tuple(
        Support(
            body="L_Knee" if side > 0 else "R_Knee",
            position=np.broadcast_to(place + np.array([0.0, side * half, 0.0]), (len(stage), 3)),
            weight=course(stage, 20.0, (until, until + 0.14, 0.0)),
        )
        for side, until in ((lead, -0.6), (-lead, 0.14))
        if stage[0] < until
    )


def _kneeling_pose(body: BodySpec, stage: Array, *, lead: int) -> Array:
    """Sitting on the heels, on both knees, on one knee, standing."""
    front, rear = ("L_", "R_") if lead > 0 else ("R_", "L_")
    heels = turns(body, {"L_Hip": (0.0, -1.0, 0.0), "L_Knee": (0.0, 2.3, 0.0)})
    knees = turns(body, {"L_Hip": (0.0, -0.1, 0.0), "L_Knee": (0.0, 1.4, 0.0)})
    half = knees.copy()
    half[body.index(front + "Hip")] = rotations.from_rotation_vector(np.array([0.0, -1.5, 0.0]))
    half[body.index(front + "Knee")] = rotations.from_rotation_vector(np.array([0.0, 1.5, 0.0]))
    half[body.index(rear + "Hip")] = rotations.from_rotation_vector(np.array([0.0, -0.1, 0.0]))
    poses = [_reaching(body, pose, flexion) for pose, flexion in ((heels, 0.8), (knees, 0.8), (half, 0.9))]
    standing = _reaching(body, bent(body, lean=0.04, hip=0.1, knee=0.1), 0.85)
    shares = [minimum_jerk((stage - a) / (b - a)) for a, b in ((-0.95, -0.5), (-0.5, -0.12), (0.2, 0.9))]
    return blend(poses[0], (poses[1], shares[0]), (poses[2], shares[1]), (standing, shares[2]))


def from_sitting(body: BodySpec, stage: Array, *, spacing: float) -> Figure:
    """Heels near the buttocks, trunk and arms far forward until the centre of mass is over the feet, then up.

    Args:
        body: The recipient's.
        stage: Shape (T,): from 0 (sitting on the floor) to 1.
        spacing: Between the ankles [m].
    """
    frames, half = len(stage), 0.5 * spacing
    thigh, shank = bone(body, "L_Knee"), bone(body, "L_Ankle")
    ankle = float(body.rest_height + body.rest_positions[body.index("L_Ankle"), 2])
    seated = radius(body, 0) - PRESS
    drawn = -float(np.sqrt(thigh**2 + shank**2 - 2.0 * thigh * shank * np.cos(np.pi - 2.42)))
    scale = _scale(body)
    lean = course(stage, 0.45, (0.0, 0.36, 1.1), (0.42, 0.95, 0.04))
    height = course(stage, seated, (0.3, 0.95, 0.985 * body.rest_height))
    forward = course(stage, drawn, (0.28, 0.8, 0.015))
    balance = course(stage, drawn + 0.12, (0.0, 0.42, 0.005), (0.38, 0.8, 0.035 * scale))
    splay = 0.5
    apart = course(stage, 0.33 * scale, (0.5, 0.95, half))
    return Figure(
        body=body,
        pelvis=_track(frames, forward, 0.0, np.maximum(height, ankle)),
        pelvis_weight=np.stack(
            [course(stage, 4.0, (0.25, 0.45, 0.5), (0.7, 0.95, 1.5)), np.full(frames, 1.5), np.full(frames, 5.0)], -1
        ),
        turns=_trunk_turns(lean),
        feet=(
            flat_foot(body, (0.0, half), yaw=splay, frames=frames),
            flat_foot(body, (0.0, -half), yaw=-splay, frames=frames),
        ),
        balance=_track(frames, balance, 0.0, np.nan),
        balance_weight=np.stack([course(stage, 0.0, (0.0, 0.3, 4.0)), np.full(frames, 1.5), np.zeros(frames)], -1),
        pose=_sitting_pose(body, stage),
        supports=tuple(
            Support(body=side + "Knee", position=_track(frames, np.nan, sign * apart, np.nan), weight=4.0)
            for side, sign in (("L_", 1.0), ("R_", -1.0))
        ),
    )


def _sitting_pose(body: BodySpec, stage: Array) -> Array:
    seated = turns(body, {"L_Hip": (0.6, -1.9, -0.4), "L_Knee": (0.0, 2.4, 0.0)})
    leaning = seated.copy()
    standing = _reaching(body, bent(body, lean=0.04, hip=0.1, knee=0.1), 0.85)
    shares = (minimum_jerk(stage / 0.35), minimum_jerk((stage - 0.35) / 0.6))
    first, second = _reaching(body, seated, 1.2), _reaching(body, leaning, 1.7)
    return blend(first, (second, shares[0]), (standing, shares[1]))
