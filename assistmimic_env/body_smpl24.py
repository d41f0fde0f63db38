"""The 24-body humanoid ``smpl24``: bodies and degrees of freedom of PHC's, in its order (``spec/phc.md`` section 2.1).

Proportions are our own (``anthropometry``). Frames are upright: in the rest pose, a T-pose, every body frame is
x forward, y left, z up.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from . import anthropometry as human
from .topology import Geom, Point, Topology, capsule, mirrored_name

Array = NDArray[np.float64]

PARENTS: Mapping[str, str] = {
    "Pelvis": "",
    "L_Hip": "Pelvis", "L_Knee": "L_Hip", "L_Ankle": "L_Knee", "L_Toe": "L_Ankle",
    "R_Hip": "Pelvis", "R_Knee": "R_Hip", "R_Ankle": "R_Knee", "R_Toe": "R_Ankle",
    "Torso": "Pelvis", "Spine": "Torso", "Chest": "Spine", "Neck": "Chest", "Head": "Neck",
    "L_Thorax": "Chest", "L_Shoulder": "L_Thorax", "L_Elbow": "L_Shoulder", "L_Wrist": "L_Elbow",
    "L_Hand": "L_Wrist",
    "R_Thorax": "Chest", "R_Shoulder": "R_Thorax", "R_Elbow": "R_Shoulder", "R_Wrist": "R_Elbow",
    "R_Hand": "R_Wrist",
}  # fmt: skip


def _offsets() -> Array:
    """Rest offsets, fractions of stature."""
    return mirrored(left_offsets(), tuple(PARENTS))


def left_offsets() -> dict[str, Point]:
    """Rest offsets of the left side and the midline by body, fractions of stature."""
    to_shoulders = human.TRUNK - human.HIP_DROP - human.TORSO_RISE - human.SPINE_RISE - human.CHEST_RISE
    collar_rise = 0.85 * to_shoulders
    return {
        "Pelvis": (0.0, 0.0, 0.0),
        "L_Hip": (0.0, human.HIP_HALF_WIDTH, -human.HIP_DROP),
        "L_Knee": (0.0, 0.0, -human.THIGH),
        "L_Ankle": (0.0, 0.0, -human.SHANK),
        "L_Toe": (human.BALL, 0.0, -(1.0 - _TOE_RADIUS) * human.ANKLE_HEIGHT),
        "Torso": (0.0, 0.0, human.TORSO_RISE),
        "Spine": (0.0, 0.0, human.SPINE_RISE),
        "Chest": (0.0, 0.0, human.CHEST_RISE),
        "Neck": (0.0, 0.0, to_shoulders + human.NECK_RISE),
        "Head": (0.0, 0.0, human.HEAD_RISE),
        "L_Thorax": (0.0, human.COLLAR_HALF_WIDTH, collar_rise),
        "L_Shoulder": (0.0, human.SHOULDER_HALF_WIDTH - human.COLLAR_HALF_WIDTH, to_shoulders - collar_rise),
        "L_Elbow": (0.0, human.UPPER_ARM, 0.0),
        "L_Wrist": (0.0, human.FOREARM, 0.0),
        "L_Hand": (0.0, human.PALM, 0.0),
    }


def mirrored(left: Mapping[str, Point], names: tuple[str, ...]) -> Array:
    """Offsets, shape (J, 3), of all bodies from those of the left side and the midline."""
    mirror = np.array([1.0, -1.0, 1.0])
    return np.array([left[n] if n in left else mirror * left[mirrored_name(n)] for n in names])


_TOE_RADIUS = 0.35  # of the ankle height
_FOOT_RADIUS = 0.42  # of the ankle height


def _geoms(names: tuple[str, ...], offsets: Array, masses: Array) -> tuple[Geom, ...]:
    """Capsules along the bones; a hand is a palm and its fingers together."""
    shapes = Shapes(names, offsets, masses)
    geoms = shapes.body_without_hands()
    for side in ("L_", "R_"):
        bone = shapes.bone(side + "Hand")
        geoms += [
            shapes.palm(side, bone),
            shapes.capsule(side + "Hand", 0.1 * bone, 0.75 * human.FINGERS / human.PALM * bone),
        ]
    return tuple(sorted(geoms, key=lambda geom: geom.body))


class Shapes:
    """Collision shapes of a humanoid of some size; radii from the segment masses, feet from the height of the ankle.

    Args:
        names: Bodies.
        offsets: Joint positions in the parent's frame, shape (J, 3) [m].
        masses: Shape (J,) [kg].
    """

    def __init__(self, names: tuple[str, ...], offsets: Array, masses: Array) -> None:
        self.index = {name: i for i, name in enumerate(names)}
        self._offsets = offsets
        self._masses = masses
        legs = float(np.linalg.norm(self.bone("L_Knee")) + np.linalg.norm(self.bone("L_Ankle")))
        self.height = legs / (human.THIGH + human.SHANK)
        """Stature that these legs belong to [m]."""

    def bone(self, name: str) -> Array:
        """Offset of a body from its parent's joint, shape (3,) [m]."""
        return self._offsets[self.index[name]]

    def capsule(self, name: str, start: Array, end: Array, radius: float | None = None) -> Geom:
        """The capsule of a whole body (see ``topology.capsule``)."""
        return capsule(self.index[name], start, end, float(self._masses[self.index[name]]), radius)

    def palm(self, side: str, bone: Array) -> Geom:
        """The palm, along the offset (3,) [m] of its middle knuckle."""
        return self.capsule(side + "Wrist", 0.2 * bone, 0.9 * bone)

    def body_without_hands(self) -> list[Geom]:
        """Shapes of all bodies from the pelvis to the forearms, feet and head."""
        geoms = [
            self._across("Pelvis", 0.035, np.zeros(3)),
            self._across("Torso", 0.030, 0.5 * self.bone("Spine")),
            self._across("Spine", 0.030, 0.5 * self.bone("Chest")),
            self._across("Chest", 0.040, 0.35 * self.bone("Neck")),
            self.capsule("Neck", 0.1 * self.bone("Head"), 0.9 * self.bone("Head")),
            self._head(),
        ]
        for side in ("L_", "R_"):
            knee, ankle, shoulder, elbow, wrist = (
                self.bone(side + name) for name in ("Knee", "Ankle", "Shoulder", "Elbow", "Wrist")
            )
            geoms += [
                self.capsule(side + "Hip", 0.15 * knee, 0.9 * knee),
                self.capsule(side + "Knee", 0.1 * ankle, 0.9 * ankle),
                *self._foot(side),
                self.capsule(side + "Thorax", 0.2 * shoulder, 0.8 * shoulder),
                self.capsule(side + "Shoulder", 0.1 * elbow, 0.9 * elbow),
                self.capsule(side + "Elbow", 0.1 * wrist, 0.9 * wrist),
            ]
        return geoms

    def _across(self, name: str, half_width: float, centre: Array) -> Geom:
        side = np.array([0.0, half_width * self.height, 0.0])
        return self.capsule(name, centre - side, centre + side)

    def _foot(self, side: str) -> tuple[Geom, Geom]:
        """One capsule from heel to ball, one across the toes; both touch the sole."""
        height, toe = self.height, self.bone(side + "Toe")
        ankle = human.ANKLE_HEIGHT * height
        sole = min(-ankle, float(toe[2]) - _TOE_RADIUS * ankle)
        radius = _FOOT_RADIUS * ankle
        # A round end touches the floor at its centre only: half its radius stands for the pad of the heel. With less,
        # the rest pose falls backwards at 90 Hz.
        heel = np.array([0.5 * radius - human.HEEL * height, 0.0, sole + radius])
        ball = np.array([float(toe[0]), 0.0, sole + radius])
        breadth = np.array([0.0, human.FOOT_HALF_BREADTH * height - _TOE_RADIUS * ankle, 0.0])
        centre = np.array([0.016 * height, 0.0, sole + _TOE_RADIUS * ankle - float(toe[2])])
        return (
            self.capsule(side + "Ankle", heel, ball, radius),
            self.capsule(side + "Toe", centre - breadth, centre + breadth, _TOE_RADIUS * ankle),
        )

    def _head(self) -> Geom:
        body = self.index["Head"]
        mass = float(self._masses[body])
        radius = float(np.cbrt(3.0 * mass / (4.0 * np.pi * human.TISSUE_DENSITY)))
        centre = (0.1 * radius, 0.0, radius)
        return Geom(body=body, kind="sphere", start=centre, end=centre, radius=radius, mass=mass)


SMPL24 = Topology(parents=PARENTS, offsets=_offsets, geoms=_geoms)
"""24 bodies."""
