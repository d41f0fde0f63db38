"""The servos that PHC's policies were trained with (``spec/phc.md`` sections 2.5 and 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assistmimic_env.body import BodySpec, joint_kind

ARMATURE = 0.02
"""Rotor inertia of every joint [kg m^2]."""

_FINGERS = tuple(f"{finger}{bone}" for finger in ("Index", "Middle", "Pinky", "Ring", "Thumb") for bone in (1, 2, 3))

_STIFFNESS: Mapping[str, float] = {
    **dict.fromkeys(("Hip", "Knee", "Ankle"), 800.0),
    "Toe": 500.0,
    **dict.fromkeys(("Torso", "Spine", "Chest"), 1000.0),
    **dict.fromkeys(("Neck", "Head", "Thorax", "Shoulder", "Elbow"), 500.0),
    "Wrist": 300.0,
}


def servo(bodies: int) -> dict[str, Any]:
    """Gains by kind of joint, armature and torque limit.

    Args:
        bodies: Number of bodies, 24 or 52.

    Returns:
        ``kp`` [N m/rad] and ``kd`` [N m s/rad] by kind of joint, ``armature`` [kg m^2], ``torque_limit`` (None: none).
    """
    hands = {"Hand": 300.0} if bodies == 24 else dict.fromkeys(_FINGERS, 100.0)
    stiffness = {**_STIFFNESS, **hands}
    damping = {kind: kp / 10.0 for kind, kp in stiffness.items()}
    return {"kp": stiffness, "kd": damping, "armature": ARMATURE, "torque_limit": None}


def servo_differences(expected: Mapping[str, Any], body: BodySpec) -> list[str]:
    """List how a body's servos differ from those that a policy was trained with.

    Args:
        expected: From `servo`.
        body: The body.
    """
    differences = []
    for name, unit in (("kp", "N m/rad"), ("kd", "N m s/rad")):
        ours = {
            joint_kind(joint): float(gain) for joint, gain in zip(body.names[1:], getattr(body, name)[1:], strict=True)
        }
        differences += [
            f"{name} of {kind} is {ours.get(kind)} here, {gain} {unit} in PHC"
            for kind, gain in expected[name].items()
            if ours.get(kind) != gain
        ]
    if body.armature != expected["armature"]:
        differences.append(f"armature is {body.armature} here, {expected['armature']} kg m^2 in PHC")
    limits = body.torque_limits[1:]
    differences.append(f"torque limits are {limits.min():g} to {limits.max():g} N m here, none in PHC")
    return differences
