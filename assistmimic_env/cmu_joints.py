"""From measured joints of a performer to our body: which joint is which, bone lengths, first poses.

Positions are tracked by inverse kinematics (``ik``); the measured rotations, carried over bone by bone, are its
start and settle what positions leave open (twist of the limbs, pitch of the pelvis).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from . import kinematics, rotations
from .body import BodySpec
from .cmu_source import Performer
from .trunk import PLACED, placed_trunk

Array = NDArray[np.float64]

JOINTS: Mapping[str, str] = {
    "L_Hip": "LeftUpLeg", "L_Knee": "LeftLeg", "L_Ankle": "LeftFoot", "L_Toe": "LeftToeBase",
    "R_Hip": "RightUpLeg", "R_Knee": "RightLeg", "R_Ankle": "RightFoot", "R_Toe": "RightToeBase",
    "Neck": "Neck1", "Head": "Head",
    "L_Shoulder": "LeftArm", "L_Elbow": "LeftForeArm", "L_Wrist": "LeftHand",
    "R_Shoulder": "RightArm", "R_Elbow": "RightForeArm", "R_Wrist": "RightHand",
}  # fmt: skip
"""Bodies whose origin is a joint of the CMU skeleton."""

ROTATIONS: Mapping[str, str] = {
    "Pelvis": "Hips", "Torso": "LowerBack", "Spine": "Spine", "Chest": "Spine1", "Neck": "Neck1", "Head": "Head",
    "L_Hip": "LeftUpLeg", "L_Knee": "LeftLeg", "L_Ankle": "LeftFoot", "L_Toe": "LeftToeBase",
    "R_Hip": "RightUpLeg", "R_Knee": "RightLeg", "R_Ankle": "RightFoot", "R_Toe": "RightToeBase",
    "L_Thorax": "Spine1", "L_Shoulder": "LeftArm", "L_Elbow": "LeftForeArm", "L_Wrist": "LeftHand",
    "L_Hand": "LeftHand",
    "R_Thorax": "Spine1", "R_Shoulder": "RightArm", "R_Elbow": "RightForeArm", "R_Wrist": "RightHand",
    "R_Hand": "RightHand",
}  # fmt: skip
"""Whose rotation each body takes over."""

_BONES: Mapping[str, tuple[str, str]] = {
    side + body: (side + child, source + joint)
    for side, source in (("L_", "Left"), ("R_", "Right"))
    for body, child, joint in (
        ("Hip", "Knee", "Leg"),
        ("Knee", "Ankle", "Foot"),
        ("Shoulder", "Elbow", "ForeArm"),
        ("Elbow", "Wrist", "Hand"),
    )
}
"""Bodies whose bone points elsewhere in the T-pose than the performer's: (our next body, the performer's)."""

_TRUNK = ("Torso", "Spine", "Chest", "L_Thorax", "R_Thorax")
"""Bodies that follow the line from the performer's hips to the shoulders."""


def measured_joints(body: BodySpec, performer: Performer, position: Array, rotation: Array) -> Array:
    """The performer's joints in our order.

    The CMU skeleton has no pelvis, chest or collar joints where ours are; these are placed (`placed_trunk`).

    Args:
        body: Our body before fitting.
        performer: The performer.
        position: The performer's joints, shape (T, S, 3) [m].
        rotation: The performer's rotations, shape (T, S, 4).

    Returns:
        Shape (T, J, 3) [m], NaN for bodies without counterpart.
    """
    joints = np.full((len(position), body.num_bodies, 3), np.nan)
    for name, joint in JOINTS.items():
        joints[:, body.index(name)] = position[:, performer.index(joint)]
    up = rotations.rotate(rotations.normalize(rotation[:, performer.index("Hips")]), np.array([0.0, 0.0, 1.0]))
    joints[:, body.indices(PLACED)] = placed_trunk(body, joints, up)
    return joints


def carried_rotations(body: BodySpec, performer: Performer, rotation: Array) -> Array:
    """World rotations of our bodies from the performer's, bone by bone.

    Args:
        body: Our body.
        performer: The performer.
        rotation: The performer's rotations in our axes, shape (T, S, 4).

    Returns:
        World rotations, shape (T, J, 4).
    """
    carried = kinematics.identity(len(rotation), body.num_bodies)
    for name, joint in ROTATIONS.items():
        align = _alignment(body, performer, name)
        carried[:, body.index(name)] = rotations.multiply(rotation[:, performer.index(joint)], align)
    return carried


def _alignment(body: BodySpec, performer: Performer, name: str) -> Array:
    """Turn (4,) of a body's own axes that lays its bone along the performer's in the T-pose."""
    if name in _BONES:
        child, end = _BONES[name]
        joint = performer.rest_position(end) - performer.rest_position(performer.parent(end))
        return rotations.between(body.offsets[body.index(child)], joint)
    if name in _TRUNK:
        hips, shoulders = (
            0.5 * (performer.rest_position("Left" + joint) + performer.rest_position("Right" + joint))
            for joint in ("UpLeg", "Arm")
        )
        return rotations.between(np.array([0.0, 0.0, 1.0]), (shoulders - hips) * np.array([1.0, 0.0, 1.0]))
    return kinematics.identity()
