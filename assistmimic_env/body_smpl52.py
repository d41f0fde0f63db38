"""The 52-body humanoid ``smpl52``: ``smpl24`` with five fingers of three bones per hand instead of one body.

Bodies and degrees of freedom are those of PHC's SMPL-X humanoid, in its order (``spec/phc.md`` section 2.1). The wrist
carries the palm; in the rest pose the hands are flat, palms down, fingers a little spread.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from . import anthropometry as human
from .body_smpl24 import PARENTS as PARENTS_24
from .body_smpl24 import Shapes, left_offsets, mirrored
from .topology import JOINTS, Geom, Joints, Point, Topology, joint_kind

Array = NDArray[np.float64]

FINGERS = ("Index", "Middle", "Pinky", "Ring", "Thumb")
"""Fingers of a hand, in order."""

BONES = (1, 2, 3)
"""Bones of a finger from the palm to the tip."""


def _parents() -> dict[str, str]:
    """The tree of ``smpl24`` with fingers in the place of each ``Hand``."""
    parents: dict[str, str] = {}
    for name, parent in PARENTS_24.items():
        if joint_kind(name) != "Hand":
            parents[name] = parent
            continue
        side = name[:2]
        for finger in FINGERS:
            chain = (parent, *(f"{side}{finger}{bone}" for bone in BONES))
            parents |= dict(zip(chain[1:], chain[:-1], strict=True))
    return parents


PARENTS: Mapping[str, str] = _parents()


def _offsets() -> Array:
    """Rest offsets, fractions of stature."""
    left = left_offsets()
    del left["L_Hand"]
    for finger in FINGERS:
        left[f"L_{finger}1"] = human.KNUCKLES[finger]
        for bone, length in zip(BONES[1:], human.FINGER_BONES[finger], strict=False):
            left[f"L_{finger}{bone}"] = _along(finger, length)
    return mirrored(left, tuple(PARENTS))


def _along(finger: str, length: float) -> Point:
    """A bone of this length along a straight finger of the left hand."""
    x, y, z = human.FINGER_DIRECTIONS[finger]
    scale = length / float(np.sqrt(x * x + y * y + z * z))
    return x * scale, y * scale, z * scale


def _geoms(names: tuple[str, ...], offsets: Array, masses: Array) -> tuple[Geom, ...]:
    """A palm and fifteen capsules per hand; the rest is that of ``smpl24``."""
    shapes = Shapes(names, offsets, masses)
    geoms = shapes.body_without_hands()
    for side in ("L_", "R_"):
        geoms.append(shapes.palm(side, shapes.bone(side + "Middle1")))
        for finger in FINGERS:
            _, second, last = human.FINGER_BONES[finger]
            inner, outer = (shapes.bone(f"{side}{finger}{bone}") for bone in BONES[1:])
            for bone, axis in zip(BONES, (inner, outer, outer * (last / second)), strict=True):
                geoms.append(shapes.capsule(f"{side}{finger}{bone}", 0.1 * axis, 0.9 * axis))
    return tuple(sorted(geoms, key=lambda geom: geom.body))


def _segment_mass() -> dict[str, float]:
    """Shares of ``smpl24``, that of its ``Hand`` divided among the fingers' bones by length times breadth squared."""
    mass = dict(human.SEGMENT_MASS)
    hand = mass.pop("Hand")
    volume = {
        f"{finger}{bone}": length * (human.FINGER_BREADTHS[finger] * (1.1 - 0.1 * bone)) ** 2
        for finger in FINGERS
        for bone, length in zip(BONES, human.FINGER_BONES[finger], strict=True)
    }
    total = sum(volume.values())
    return mass | {kind: hand * share / total for kind, share in volume.items()}


def _joints() -> dict[str, Joints]:
    """Servos of ``smpl24``; PHC's gains for fingers, and limits for 50 N at the tip of a finger [O]."""
    limits = {1: 5.0, 2: 2.5, 3: 1.2}
    fingers = {f"{finger}{bone}": Joints(kp=100.0, torque_limit=limits[bone]) for finger in FINGERS for bone in BONES}
    return {kind: joints for kind, joints in JOINTS.items() if kind != "Hand"} | fingers


SMPL52 = Topology(
    parents=PARENTS, offsets=_offsets, geoms=_geoms, segment_mass=_segment_mass(), joints=_joints(), grip="Wrist"
)
"""52 bodies."""
