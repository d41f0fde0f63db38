"""Poses by joint angles, and what bodies do by habit: hinges stay hinges, spines bend evenly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import ik, rotations
from ..body import BodySpec, joint_kind
from .parameters import Range

Array = NDArray[Any]

PELVIS_SHARE = 0.7
"""Share of the pelvis in the trunk's lean; the three spine joints share the rest."""

_REST_WEIGHTS: Mapping[str, tuple[float, float, float]] = {
    "Pelvis": (0.0, 0.0, 0.0),
    "Hip": (0.15, 0.03, 0.25),
    "Knee": (0.6, 0.02, 0.6),
    "Ankle": (0.05, 0.05, 0.1),
    "Toe": (2.0, 2.0, 2.0),
    "Torso": (0.6, 0.4, 0.6),
    "Spine": (0.6, 0.4, 0.6),
    "Chest": (0.6, 0.4, 0.6),
    "Neck": (0.5, 0.3, 0.5),
    "Head": (0.5, 0.3, 0.5),
    "Thorax": (0.3, 0.3, 0.3),
    "Shoulder": (0.25, 0.25, 0.25),
    "Elbow": (0.5, 0.12, 0.03),
    "Wrist": (0.15, 0.15, 0.15),
    "Hand": (0.4, 0.4, 0.4),
}
"""Pull to the planned pose about each body's x, y, z [1/rad]: hinges stay hinges, spines bend evenly."""

_FREE = 10.0
_LIMITS: Mapping[str, tuple[Range, Range, Range]] = {
    "L_Knee": ((-0.1, 0.1), (0.02, 2.5), (-0.1, 0.1)),
    "L_Elbow": ((-0.1, 0.1), (-1.2, 1.2), (-2.5, -0.05)),
    "L_Wrist": ((-0.6, 0.6), (-0.6, 0.6), (-0.6, 0.6)),
    "L_Thorax": ((-0.35, 0.35), (-0.35, 0.35), (-0.35, 0.35)),
}
"""Ranges of the rotation vector's x, y, z [rad]; mirrored to the right."""


def rest_weights(body: BodySpec) -> Array:
    """Pull to the planned pose about each body's x, y, z, shape (J, 3) [1/rad]."""
    return np.array([_REST_WEIGHTS[joint_kind(name)] for name in body.names])


def limits(body: BodySpec) -> ik.JointLimits:
    """Soft limits of knees, elbows, wrists and collars."""
    lower, upper = np.full((body.num_bodies, 3), -_FREE), np.full((body.num_bodies, 3), _FREE)
    for name, spans in _LIMITS.items():
        low, high = np.array(spans).T
        lower[body.index(name)], upper[body.index(name)] = low, high
        mirrored = np.stack([low, high]) * (-1.0, 1.0, -1.0)
        right = body.index("R_" + name[2:])
        lower[right], upper[right] = mirrored.min(axis=0), mirrored.max(axis=0)
    return ik.JointLimits(lower=lower, upper=upper, weight=2.0)


def turns(body: BodySpec, turns: Mapping[str, tuple[float, float, float]]) -> Array:
    """Local rotations of a pose given by rotation vectors; ``L_`` entries are mirrored to the right, (J, 4)."""
    vectors = np.zeros((body.num_bodies, 3))
    for name, vector in turns.items():
        vectors[body.index(name)] = vector
        if name.startswith("L_"):
            vectors[body.index("R_" + name[2:])] = np.array(vector) * (-1.0, 1.0, -1.0)
    return rotations.from_rotation_vector(vectors)


def arms(body: BodySpec, pose: Array, *, flexion: float, abduction: float, elbow: float) -> Array:
    """The pose (J, 4) with both upper arms hanging, then abducted and flexed forward, and bent elbows [rad]."""
    pose = pose.copy()
    forward = rotations.from_rotation_vector(np.array([0.0, -flexion, 0.0]))
    for side, sign in (("L_", 1.0), ("R_", -1.0)):
        hang = rotations.from_rotation_vector(np.array([-sign * (0.5 * np.pi - abduction), 0.0, 0.0]))
        pose[body.index(side + "Shoulder")] = rotations.multiply(forward, hang)
        pose[body.index(side + "Elbow")] = rotations.from_rotation_vector(np.array([0.0, 0.0, -sign * elbow]))
    return pose


def bent(body: BodySpec, *, lean: float, hip: float, knee: float) -> Array:
    """A pose (J, 4) with flexed hips and knees and a trunk leaning forward, the pelvis taking part; [rad]."""
    pelvis, spine = PELVIS_SHARE * lean, (1.0 - PELVIS_SHARE) * lean / 3.0
    ankle = hip - knee - pelvis
    return turns(
        body,
        {
            "Pelvis": (0.0, pelvis, 0.0),
            "Torso": (0.0, spine, 0.0),
            "Spine": (0.0, spine, 0.0),
            "Chest": (0.0, spine, 0.0),
            "L_Hip": (0.0, -hip, 0.0),
            "L_Knee": (0.0, knee, 0.0),
            "L_Ankle": (0.0, ankle, 0.0),
            "Neck": (0.0, -0.3 * lean, 0.0),
            "Head": (0.0, -0.3 * lean, 0.0),
        },
    )


def ankle_height(body: BodySpec) -> float:
    """Height of the ankle joint of a flat foot [m]."""
    return float(body.rest_height + body.rest_positions[body.index("L_Ankle"), 2])


def bone(body: BodySpec, name: str) -> float:
    """Length of the bone that ends in a body's joint [m]."""
    return float(np.linalg.norm(body.offsets[body.index(name)]))


def radius(body: BodySpec, index: int) -> float:
    """Radius of a body's first shape [m]."""
    return next(geom.radius for geom in body.geoms if geom.body == index)


def hand_center(body: BodySpec, side: str) -> Array:
    """Middle of a hand's capsule in the hand's frame, shape (3,) [m]; ``side`` is ``"L_"`` or ``"R_"``."""
    geom = next(geom for geom in body.geoms if geom.body == body.index(side + "Hand"))
    return 0.5 * (np.array(geom.start) + np.array(geom.end))
