"""A first pose from joint positions: limbs along their bones, twists from the planes in which elbows and knees bend.

Exact for limbs; the trunk is spread evenly between pelvis and chest. Inverse kinematics starts here and is pulled here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import kinematics, rotations
from ..body import BodySpec

__all__ = ["first_pose"]

Array = NDArray[np.float64]

_X, _Y, _Z = np.eye(3)
_BENT = (0.1, 0.4)
"""Sine of the bend from which, and above which fully, a limb's plane settles its twist."""


def first_pose(body: BodySpec, joints: Array, rotation: Array) -> tuple[Array, Array]:
    """Root and rotations of one person near the measured joints.

    Args:
        body: The person's body.
        joints: Measured positions in the body's order, shape (T, J, 3) [m]; NaN where not measured.
            Hips, knees, ankles, shoulders, elbows and wrists are.
        rotation: World rotations where the source knows them, shape (T, J, 4); NaN elsewhere.

    Returns:
        Root position (T, 3) [m] and local rotations (T, J, 4).
    """
    person = _Person(body, joints, rotation)
    person.trunk()
    for side, sign in (("L_", 1.0), ("R_", -1.0)):
        person.leg(side)
        person.arm(side, sign)
    person.rest()
    local = kinematics.local_from_global(body.parents, person.rotation)
    return person.root(), local


class _Person:
    """World rotations of one person, filled from the pelvis outwards; known ones are never replaced."""

    def __init__(self, body: BodySpec, joints: Array, rotation: Array) -> None:
        self.body = body
        self.joints = joints
        self.known = np.isfinite(rotation[0]).all(axis=-1)
        self.rotation = np.where(self.known[:, None], rotation, np.nan)

    def measured(self, name: str) -> bool:
        return name in self.body.names and bool(np.isfinite(self.joints[0, self.body.index(name)]).all())

    def at(self, name: str) -> Array:
        return self.joints[:, self.body.index(name)]

    def middle(self, kind: str) -> Array:
        return 0.5 * (self.at("L_" + kind) + self.at("R_" + kind))

    def rest_middle(self, kind: str) -> Array:
        rest = self.body.rest_positions
        return 0.5 * (rest[self.body.index("L_" + kind)] + rest[self.body.index("R_" + kind)])

    def get(self, name: str) -> Array:
        return self.rotation[:, self.body.index(name)]

    def set(self, name: str, rotation: Array) -> None:
        index = self.body.index(name)
        if not self.known[index]:
            self.rotation[:, index] = rotation

    def root(self) -> Array:
        """The measured pelvis, or where the hips put it."""
        if self.measured("Pelvis"):
            return self.at("Pelvis")
        return self.middle("Hip") - rotations.rotate(self.get("Pelvis"), self.rest_middle("Hip"))

    def trunk(self) -> None:
        """Pelvis and chest from the axes across hips and shoulders, the spine between them, neck and head."""
        rest, index = self.body.rest_positions, self.body.index
        above = next((name for name in ("Torso", "Spine", "Chest", "Neck") if self.measured(name)), None)
        top, rest_top = (self.middle("Shoulder"), self.rest_middle("Shoulder"))
        if above is not None:
            top, rest_top = self.at(above), rest[index(above)]
        across = self.at("L_Hip") - self.at("R_Hip")
        self.set("Pelvis", _aligned(_Y, across, rest_top - self.rest_middle("Hip"), top - self.middle("Hip")))
        collars = "Thorax" if self.measured("L_Thorax") and self.measured("R_Thorax") else "Shoulder"
        across = self.at("L_" + collars) - self.at("R_" + collars)
        neck, rest_neck = (self.middle("Shoulder"), self.rest_middle("Shoulder"))
        if self.measured("Neck"):
            neck, rest_neck = self.at("Neck"), rest[index("Neck")]
        low, rest_low = (self.middle("Hip"), self.rest_middle("Hip"))
        if self.measured("Chest"):
            low, rest_low = self.at("Chest"), rest[index("Chest")]
        self.set("Chest", _aligned(_Y, across, rest_neck - rest_low, neck - low))
        pelvis, chest = self.get("Pelvis"), self.get("Chest")
        for name, child, part in (("Torso", "Spine", 1.0 / 3.0), ("Spine", "Chest", 2.0 / 3.0)):
            self.set(name, self.swung(name, child, rotations.slerp(pelvis, chest, part)))
        self.set("Neck", self.swung("Neck", "Head", chest))
        self.set("Head", rotations.slerp(chest, self.get("Neck"), 0.5))

    def swung(self, name: str, child: str, rotation: Array) -> Array:
        """A rotation, turned on the shortest arc so that the bone to the child points where it was measured."""
        if not (self.measured(name) and self.measured(child)):
            return rotation
        bone = rotations.rotate(rotation, self.body.offsets[self.body.index(child)])
        return rotations.multiply(rotations.between(bone, self.at(child) - self.at(name)), rotation)

    def leg(self, side: str) -> None:
        """Thigh and shank share the axis of the knee; it follows the bend, or the foot and pelvis of a straight leg."""
        hip, knee, ankle = (self.at(side + part) for part in ("Hip", "Knee", "Ankle"))
        thigh, shank = _unit(knee - hip), _unit(ankle - knee)
        straight = rotations.rotate(self.get("Pelvis"), _Y)
        if self.measured(side + "Toe"):
            straight = 0.3 * straight + 0.7 * np.cross(-shank, _unit(self.at(side + "Toe") - ankle))
        axis = _hinge(np.cross(thigh, shank), straight)
        self.set(side + "Hip", self.along(side + "Knee", thigh, _Y, axis))
        self.set(side + "Knee", self.along(side + "Ankle", shank, _Y, axis))
        foot = self.get(side + "Knee")
        if self.measured(side + "Toe"):
            foot = self.along(side + "Toe", self.at(side + "Toe") - ankle, _Y, axis)
        self.set(side + "Ankle", foot)
        self.set(side + "Toe", self.get(side + "Ankle"))

    def arm(self, side: str, sign: float) -> None:
        """Upper arm and forearm share the axis of the elbow; that of a straight arm is carried by the collar."""
        self.set(side + "Thorax", self.swung(side + "Thorax", side + "Shoulder", self.get("Chest")))
        shoulder, elbow, wrist = (self.at(side + part) for part in ("Shoulder", "Elbow", "Wrist"))
        upper, forearm = _unit(elbow - shoulder), _unit(wrist - elbow)
        collar = self.get(side + "Thorax")
        bone = rotations.rotate(collar, self.body.offsets[self.body.index(side + "Elbow")])
        straight = rotations.rotate(rotations.between(bone, upper), rotations.rotate(collar, _Z))
        axis = _hinge(sign * np.cross(forearm, upper), straight)
        self.set(side + "Shoulder", self.along(side + "Elbow", upper, _Z, axis))
        self.set(side + "Elbow", self.along(side + "Wrist", forearm, _Z, axis))
        knuckle = side + ("Hand" if side + "Hand" in self.body.names else "Middle1")
        self.set(side + "Wrist", self.swung(side + "Wrist", knuckle, self.get(side + "Elbow")))

    def along(self, child: str, direction: Array, rest_axis: Array, axis: Array) -> Array:
        """The rotation that lays the bone to a child along a direction and brings an axis as near as it can."""
        return _aligned(self.body.offsets[self.body.index(child)], direction, rest_axis, axis)

    def rest(self) -> None:
        """Everything else, such as fingers: carried by the parent, swung towards a measured only child."""
        for index, name in enumerate(self.body.names):
            if np.isfinite(self.rotation[0, index]).all():
                continue
            turn = self.rotation[:, self.body.parents[index]]
            children = [self.body.names[i] for i, parent in enumerate(self.body.parents) if parent == index]
            self.set(name, self.swung(name, children[0], turn) if len(children) == 1 else turn)


def _hinge(bend: Array, straight: Array) -> Array:
    """Axis of an elbow or knee (T, 3): the bend's where there is one, else that of the straight limb."""
    sine = np.linalg.norm(bend, axis=-1, keepdims=True)
    share = np.clip((sine - _BENT[0]) / (_BENT[1] - _BENT[0]), 0.0, 1.0)
    share = share**2 * (3.0 - 2.0 * share)
    return share * bend / np.maximum(sine, 1e-9) + (1.0 - share) * _unit(straight)


def _unit(vector: Array) -> Array:
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)


def _frame(first: Array, second: Array) -> Array:
    """Right-handed axes (..., 3, 3) as columns: the first direction, and the part of the second across it."""
    x = _unit(first)
    y = second - np.sum(second * x, axis=-1, keepdims=True) * x
    helper = np.where(np.abs(x[..., :1]) < 0.9, _X, _Y)
    y = np.where(np.linalg.norm(y, axis=-1, keepdims=True) > 1e-6, y, np.cross(x, helper))
    y = _unit(y)
    return np.stack([x, y, np.cross(x, y)], axis=-1)


def _aligned(rest: Array, direction: Array, rest_axis: Array, axis: Array) -> Array:
    """Rotation (T, 4) that turns one rest vector into a direction and another as near as possible to an axis."""
    return rotations.from_matrix(_frame(direction, axis) @ np.swapaxes(_frame(rest, rest_axis), -1, -2))
