"""Which joint of other people's skeletons is which of our bodies.

Only joints that lie where ours do are mapped: a rig's hips and spine are elsewhere than our pelvis and spine
(spec/data.md sections 3.1, 3.6 and 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..body import BodySpec, get_body
from .smpl import SMPL_ORDER

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """A source's joints in their order."""

    name: str
    joints: tuple[str, ...]
    """The source's names, in the order of its files."""
    bodies: Mapping[str, str]
    """Our body -> the joint that is its origin."""

    def columns(self, names: tuple[str, ...]) -> tuple[list[int], list[int]]:
        """Which of our bodies have a joint.

        Args:
            names: Our bodies.

        Returns:
            Indices of bodies, and of their joints.
        """
        pairs = [(i, self.joints.index(self.bodies[name])) for i, name in enumerate(names) if name in self.bodies]
        return [body for body, _ in pairs], [joint for _, joint in pairs]

    def to_bodies(self, values: Array, body: BodySpec | None = None) -> Array:
        """Rearrange what is known per joint.

        Args:
            values: In the source's order, shape (..., joints, k).
            body: Whose bodies; by default ``smpl24``.

        Returns:
            Shape (..., J, k), NaN for bodies without joint.
        """
        names = (body or get_body()).names
        bodies, joints = self.columns(names)
        out = np.full((*values.shape[:-2], len(names), values.shape[-1]), np.nan)
        out[..., bodies, :] = values[..., joints, :]
        return out


SMPL22 = Skeleton(name="SMPL's body joints", joints=SMPL_ORDER[:22], bodies={name: name for name in SMPL_ORDER[:22]})
"""The joints that SMPL, SMPL-H and SMPL-X have in common, by our names."""


def _optitrack(arm: tuple[str, ...], bodies: Mapping[str, str], name: str) -> Skeleton:
    """OptiTrack's rig: legs, spine and arms, each right side first, then neck and head; ``End`` marks a bone's tip."""
    sides = ("Right", "Left")
    leg = ("UpLeg", "Leg", "Foot", "ToeBase", "ToeBaseEnd")
    legs, arms = ([side + part for side in sides for part in parts] for parts in (leg, arm))
    return Skeleton(
        name=name, joints=("Hips", *legs, "Spine", "Spine1", *arms, "Neck", "Head", "HeadEnd"), bodies=bodies
    )


_ARM = ("Shoulder", "Arm", "ForeArm", "Hand")
_FINGERS = tuple(f"Hand{finger}{part}" for finger in ("Pinky", "Ring", "Middle", "Index", "Thumb") for part in "123E")
_OPTITRACK_BODIES: Mapping[str, str] = {
    "Neck": "Neck", "Head": "Head",
    **{
        f"{side[0]}_{ours}": side + theirs
        for side in ("Left", "Right")
        for ours, theirs in (
            ("Hip", "UpLeg"), ("Knee", "Leg"), ("Ankle", "Foot"), ("Toe", "ToeBase"),
            ("Shoulder", "Arm"), ("Elbow", "ForeArm"), ("Wrist", "Hand"),
        )
    },
}  # fmt: skip

OPTITRACK64 = _optitrack(
    (*_ARM, *_FINGERS),
    {**_OPTITRACK_BODIES, "L_Hand": "LeftHandMiddle1", "R_Hand": "RightHandMiddle1"},
    "Inter-X's 64 joints",
)
"""OptiTrack's rig with fingers; our hand's origin is the third knuckle."""

OPTITRACK26 = _optitrack((*_ARM, "HandEnd"), _OPTITRACK_BODIES, "HHI-Assist's 26 nodes")
"""OptiTrack's rig without fingers."""
