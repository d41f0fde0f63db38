"""`excess`: how far joints bend beyond what people can.

Sources
    [A] American Academy of Orthopaedic Surgeons, "Joint Motion: Method of Measuring and Recording" (1965), as listed in
        C. C. Norkin and D. J. White, "Measurement of Joint Motion", appendix A.
    [S] J. M. Soucie et al., "Range of motion measurements: reference values and a database for comparison studies",
        Haemophilia 17 (2011): means of healthy people by age and sex.
    [O] our own choice where bodies have a ball joint and people a hinge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import rotations
from .body import BodySpec

__all__ = ["RANGES", "JointRange", "angles", "excess"]

Array = NDArray[Any]
Degrees = tuple[float, float]
Axis = tuple[float, float, float]

_FORWARD, _BACK, _LEFT, _UP, _DOWN = (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, -1)


@dataclass(frozen=True, kw_only=True)
class JointRange:
    """Where the bone from a joint to another may point, seen from the body that carries the joint.

    A left joint's; a right one is its mirror image. How far a bone turns about itself is not judged.
    """

    joint: str
    """Body that begins at the joint."""
    end: str
    """Body at the bone's other end; bodies without it (hands with fingers) are not judged."""
    along: Axis
    """The bone in the rest pose, a T-pose."""
    bend: Axis
    """Where flexion moves it."""
    aside: Axis
    """Where it moves across that plane, away from the body or towards the thumb."""
    flexion: Degrees
    """Smallest (extension, negative) and largest angle from rest."""
    sideways: Degrees
    """Smallest and largest angle to the plane of flexion, from rest."""


RANGES = (
    JointRange(
        joint="L_Hip", end="L_Knee", along=_DOWN, bend=_FORWARD, aside=_LEFT,
        flexion=(-30.0, 130.0),  # [A] extension, [S] flexion
        sideways=(-30.0, 45.0),  # [A]
    ),
    JointRange(
        joint="L_Knee", end="L_Ankle", along=_DOWN, bend=_BACK, aside=_LEFT,
        flexion=(-5.0, 150.0),  # [S]
        sideways=(-10.0, 10.0),  # [O]
    ),
    JointRange(
        joint="L_Ankle", end="L_Toe", along=_FORWARD, bend=_UP, aside=_LEFT,
        flexion=(-55.0, 35.0),  # [S] plantar flexion; dorsiflexion under load: Baggett and Young, J. APMA 83 (1993)
        sideways=(-30.0, 30.0),  # [O]
    ),
    JointRange(
        joint="L_Elbow", end="L_Wrist", along=_LEFT, bend=_FORWARD, aside=_UP,
        flexion=(-10.0, 150.0),  # [A], and [O] extension
        sideways=(-10.0, 10.0),  # [O]
    ),
    JointRange(
        joint="L_Wrist", end="L_Hand", along=_LEFT, bend=_DOWN, aside=_FORWARD,
        flexion=(-70.0, 80.0),  # [A]
        sideways=(-30.0, 20.0),  # [A]
    ),
    JointRange(
        joint="Torso", end="Neck", along=_UP, bend=_FORWARD, aside=_LEFT,
        flexion=(-30.0, 80.0),  # [A]
        sideways=(-35.0, 35.0),  # [A]
    ),
)  # fmt: skip
"""Hips, knees, ankles, elbows, wrists and the trunk between pelvis and neck [deg]."""


def angles(one: JointRange, body: BodySpec, position: Array, rotation: Array, *, right: bool = False) -> Array:
    """Flexion and sideways angle of one joint, from the rest pose.

    Args:
        one: The joint.
        body: The person.
        position: World positions of the bodies, shape (..., J, 3) [m].
        rotation: World rotations of the bodies, shape (..., J, 4).
        right: The mirror image of a left joint.

    Returns:
        Shape (..., 2) [rad].
    """
    joint, end = (body.index(_side(name, right)) for name in (one.joint, one.end))
    frame = rotation[..., body.parents[joint], :]
    bone = rotations.inverse_rotate(frame, position[..., end, :] - position[..., joint, :])
    rest = body.rest_positions[end] - body.rest_positions[joint]
    mirror = np.array([1.0, -1.0 if right else 1.0, 1.0])
    middle = np.radians([np.mean(one.flexion), np.mean(one.sideways)])
    turned = _angles(one, bone * mirror) - _angles(one, rest * mirror) - middle
    return (turned + np.pi) % (2.0 * np.pi) - np.pi + middle  # within half a turn of the middle of the range


def excess(body: BodySpec, position: Array, rotation: Array) -> dict[str, Array]:
    """How far joints are beyond their range, in flexion or sideways, whichever is more.

    Args:
        body: The person.
        position: World positions of the bodies, shape (..., J, 3) [m].
        rotation: World rotations of the bodies, shape (..., J, 4).

    Returns:
        Joint -> shape (...) [rad]; 0 within the range.
    """
    found = {}
    for one in RANGES:
        low, high = np.radians([one.flexion, one.sideways]).T
        for right in (False, True)[: 2 if one.joint.startswith("L_") else 1]:
            if _side(one.end, right) in body.names:
                angle = angles(one, body, position, rotation, right=right)
                found[_side(one.joint, right)] = np.maximum(low - angle, angle - high).max(axis=-1).clip(0.0)
    return found


def _side(name: str, right: bool) -> str:
    return "R_" + name[2:] if right else name


def _angles(one: JointRange, bone: Array) -> Array:
    """Flexion and sideways angle of bones (..., 3), shape (..., 2) [rad]."""
    along, bend, aside = (bone @ np.array(axis, dtype=float) for axis in (one.along, one.bend, one.aside))
    return np.stack([np.arctan2(bend, along), np.arctan2(aside, np.hypot(along, bend))], axis=-1)
