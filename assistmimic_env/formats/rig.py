"""Motion of recorded skeletons (BVH, ASF/AMC): joints and bones of any rig, as people on our bodies.

A rig turns its joints from a rest pose. Where that is a T-pose (or an A-pose) along the axes, our bodies' rotations
follow exactly from the rig's, bone by bone; otherwise only positions are taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .. import kinematics, rotations
from ..body import BodySpec, get_body
from ..errors import ClipError
from .conventions import rotation_to_z_up, settle_up
from .pairing import common_length, describe_roles
from .positions import Documented, settle
from .skeletons import Skeleton
from .take import ReadOptions, Recording, Take

Array = NDArray[np.float64]

_ALONG_AXIS = 0.9
_LEG_DOWN, _ARM_OUT = 0.8, 0.6
"""Cosines within which a rest pose is a T-pose or an A-pose."""

_BONES = {"Hip": "Knee", "Knee": "Ankle", "Shoulder": "Elbow", "Elbow": "Wrist"}
"""Bodies whose bone may point elsewhere in the rig's rest pose: its next body."""

_FOLLOWS = {"Wrist": "Elbow", "Hand": "Elbow"}
"""Bodies that continue the bone before them in the rest pose."""

_TRUNK = ("Torso", "Spine", "Chest", "L_Thorax", "R_Thorax")


@dataclass(frozen=True, kw_only=True, eq=False)
class RigMotion:
    """One person's skeleton of S joints over T frames, in the source's world and unit."""

    joints: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Array
    """Joints in the parent's frame in the rest pose, shape (S, 3); all frames are the world's there."""
    position: Array
    """Shape (T, S, 3)."""
    rotation: Array
    """Turn of each joint's frame since the rest pose, in the world, shape (T, S, 4)."""

    def scaled(self, factor: float) -> RigMotion:
        """The same motion with lengths in another unit."""
        return replace(self, offsets=self.offsets * factor, position=self.position * factor)

    def part(self, start: int, stop: int | None) -> RigMotion:
        """Some of the frames."""
        return replace(self, position=self.position[start:stop], rotation=self.rotation[start:stop])


@dataclass(frozen=True, kw_only=True)
class RigNames:
    """Which joint of a rig is which of our bodies."""

    origin: Mapping[str, str]
    """Our body -> the joint that is its origin."""
    turn: Mapping[str, str]
    """Our body -> the joint whose rotation it takes over."""


def rig_take(
    recording: Recording,
    people: tuple[tuple[RigMotion, RigNames], tuple[RigMotion, RigNames]],
    documented: Documented,
    options: ReadOptions,
    conventions: Mapping[str, str],
) -> Take:
    """Put two recorded skeletons on our bodies.

    Args:
        recording: Its first two files are those of supporter and recipient.
        people: Their motion, and which joint is which.
        documented: What the format says of axis, unit and rate.
        options: What the user says.
        conventions: What the format has settled already.

    Raises:
        ClipError: Axis, unit, rate or sides contradict the data, or nothing tells them; or the lengths differ.
    """
    where = f"{recording.files[0]} and {recording.files[1].name}"
    frames, length = common_length(where, [len(motion.position) for motion, _ in people])
    body = get_body()
    motions = [(motion.part(0, frames), names) for motion, names in people]
    joints = np.stack([_origins(motion, names, body) for motion, names in motions], axis=1)
    settled = settle(recording.name, joints, body, documented, options)
    low, high = body.indices(("L_Ankle", "R_Ankle")), body.indices(("Neck", "Head"))
    up = settle_up(where, joints, low, high, documented=documented.up, given=options.up)
    turns = [_rotations(motion, names, body) for motion, names in motions]
    first, second = (
        replace(person, rotation=None if turn is None else rotation_to_z_up(turn, up))
        for person, turn in zip(settled.people, turns, strict=True)
    )
    found = "file" if all(turn is not None for turn in turns) else "none: a rest pose is no T-pose along the axes"
    return replace(
        settled,
        people=(first, second),
        conventions={
            **settled.conventions,
            **conventions,
            "frames": length,
            "rotations": found,
            "roles": describe_roles(options),
        },
    )


def check_numbers(where: str, motion: RigMotion) -> None:
    """Refuse positions that are not finite.

    Raises:
        ClipError: Says the frame.
    """
    bad = np.flatnonzero(~np.isfinite(motion.position).all(axis=(1, 2)))
    if len(bad):
        raise ClipError(f"{where}: frame {int(bad[0])} is not finite. The file looks damaged.")


def rest_axes(motion: RigMotion, names: RigNames) -> Array | None:
    """Our axes (columns: forward, left, up) in a rig's rest pose, shape (3, 3); None where it is no T- or A-pose."""
    at = {body: _rest(motion)[motion.joints.index(joint)] for body, joint in names.origin.items()}
    up = _axis(at["Head"] - 0.5 * (at["L_Ankle"] + at["R_Ankle"]))
    left = _axis(at["L_Hip"] - at["R_Hip"])
    if up is None or left is None:
        return None
    cosines = [
        (
            _cosine(at[f"{side}_Knee"] - at[f"{side}_Hip"], -up),
            _cosine(at[f"{side}_Elbow"] - at[f"{side}_Shoulder"], way),
        )
        for side, way in (("L", left), ("R", -left))
    ]
    if min(leg for leg, _ in cosines) < _LEG_DOWN or min(arm for _, arm in cosines) < _ARM_OUT:
        return None
    return np.stack([np.cross(left, up), left, up], axis=-1)


def _rest(motion: RigMotion) -> Array:
    """Joints of the rest pose, shape (S, 3), the root at the origin."""
    still = kinematics.identity(len(motion.joints))
    return kinematics.forward_kinematics(motion.parents, motion.offsets, np.zeros(3), still)[0]


def _axis(vector: Array) -> Array | None:
    """The signed coordinate axis along a vector (3,)."""
    along = int(np.argmax(np.abs(vector)))
    axis = np.eye(3)[along] * np.sign(vector[along])
    return axis if _cosine(vector, axis) >= _ALONG_AXIS else None


def _cosine(vector: Array, axis: Array) -> float:
    length = float(np.linalg.norm(vector))
    return float(vector @ axis) / length if length > 0.0 else 0.0


def _origins(motion: RigMotion, names: RigNames, body: BodySpec) -> Array:
    """Origins of our bodies in the source's world, shape (T, J, 3)."""
    return Skeleton(name="rig", joints=motion.joints, bodies=names.origin).to_bodies(motion.position, body)


def _rotations(motion: RigMotion, names: RigNames, body: BodySpec) -> Array | None:
    """Rotations of our bodies in the source's world, shape (T, J, 4)."""
    axes = rest_axes(motion, names)
    if axes is None:
        return None
    frame, rest = rotations.from_matrix(axes), _rest(motion) @ axes
    at = {name: rest[motion.joints.index(joint)] for name, joint in names.origin.items()}
    source = [motion.joints.index(names.turn[name]) for name in body.names]
    align = np.stack([_alignment(body, at, name) for name in body.names])
    return rotations.multiply(rotations.multiply(motion.rotation[:, source], frame), align)


def _alignment(body: BodySpec, at: Mapping[str, Array], name: str) -> Array:
    """Turn (4,) of a body's own axes that lays its bone along the rig's in the rest pose."""
    side, kind = (name[:2], name[2:]) if name[1] == "_" else ("", name)
    kind = _FOLLOWS.get(kind, kind)
    if name in _TRUNK:
        hips, shoulders = (0.5 * (at[f"L_{part}"] + at[f"R_{part}"]) for part in ("Hip", "Shoulder"))
        return rotations.between(np.array([0.0, 0.0, 1.0]), (shoulders - hips) * np.array([1.0, 0.0, 1.0]))
    if kind in _BONES:
        child = side + _BONES[kind]
        return rotations.between(body.offsets[body.index(child)], at[child] - at[side + kind])
    return kinematics.identity()
