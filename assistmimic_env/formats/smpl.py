"""Axis-angle poses of SMPL, SMPL-H and SMPL-X as people on our bodies.

SMPL's 24 joints are ``smpl24``; the 52 of SMPL-H, which are SMPL-X without jaw and eyes, are ``smpl52``. Poses give the
rotations exactly. Where joints are, only the user's own model files tell (`ReadOptions.models`); without them a person
has a pelvis and no other joint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .. import kinematics, rotations
from ..body import BodySpec, get_body
from ..errors import ClipError
from ..smpl_file import GENDERS, Gender
from ..smpl_model import SmplModel
from .arrays import check_finite
from .conventions import METRES, check_fps, rotation_to_z_up, settle_up, settled_by, to_z_up, upright
from .take import Person, ReadOptions, Up

Array = NDArray[np.float64]
Model = Literal["smpl", "smplh", "smplx"]

_SHARED = (
    "Pelvis", "L_Hip", "R_Hip", "Torso", "L_Knee", "R_Knee", "Spine", "L_Ankle", "R_Ankle", "Chest", "L_Toe", "R_Toe",
    "Neck", "L_Thorax", "R_Thorax", "Head", "L_Shoulder", "R_Shoulder", "L_Elbow", "R_Elbow", "L_Wrist", "R_Wrist",
)  # fmt: skip
_FINGERS = tuple(f"{finger}{link}" for finger in ("Index", "Middle", "Pinky", "Ring", "Thumb") for link in (1, 2, 3))

SMPL_ORDER = (*_SHARED, "L_Hand", "R_Hand")
"""Our names of SMPL's 24 joints, in SMPL's order (spec/phc.md section 2.1)."""

SMPLH_ORDER = (*_SHARED, *(f"{side}_{name}" for side in "LR" for name in _FINGERS))
"""Our names of SMPL-H's 52 joints, in SMPL-H's order."""

_ORDERS = {"smpl24": SMPL_ORDER, "smpl52": SMPLH_ORDER}
_FACE = slice(22, 25)
"""Jaw and eyes among SMPL-X's joints."""

_LAYOUTS: dict[int, tuple[Model, str]] = {
    72: ("smpl", "root 3, body 69"),
    156: ("smplh", "root 3, body 63, hands 90"),
    165: ("smplx", "root 3, body 63, jaw 3, eyes 6, hands 90"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class SmplMotion:
    """One person's parameters over T frames."""

    pose: Array
    """Axis-angle of J joints relative to the parent, in SMPL's order and frames, shape (T, J, 3) [rad]; J is 24 or 52.
    The root's row is its world rotation."""
    trans: Array
    """Translation of the model, shape (T, 3) [m]: the pelvis is at ``trans`` + its place in the rest pose."""
    model: Model
    betas: Array | None = None
    """Shape, (B,)."""
    gender: str = "neutral"

    def first(self, frames: int) -> SmplMotion:
        """The first frames only."""
        return replace(self, pose=self.pose[:frames], trans=self.trans[:frames])


@dataclass(frozen=True, kw_only=True, eq=False)
class SmplPeople:
    """Both people on one of our bodies, and how axes, unit and pelvis were settled (for `Take.conventions`)."""

    people: tuple[Person, Person]
    body: str
    conventions: dict[str, str]


def split_poses(where: str, poses: Array) -> tuple[Array, Model]:
    """Take apart the joints of one row of numbers per frame.

    Args:
        where: For messages.
        poses: Shape (T, 72) SMPL, (T, 156) SMPL-H or (T, 165) SMPL-X.

    Returns:
        Axis-angle in SMPL's or SMPL-H's order, shape (T, 24 or 52, 3), and whose parameters they are.

    Raises:
        ClipError: Another width.
    """
    width = poses.shape[-1] if poses.ndim == 2 else -1
    if width not in _LAYOUTS:
        known = "; ".join(f"{count} ({model}: {layout})" for count, (model, layout) in _LAYOUTS.items())
        raise ClipError(f"{where}: poses have shape {poses.shape}, expected (frames, n) with n one of: {known}.")
    pose = poses.reshape(len(poses), -1, 3)
    model = _LAYOUTS[width][0]
    return (np.delete(pose, _FACE, axis=1) if model == "smplx" else pose), model


def pose_of_parts(where: str, root: Array, body: Array, left_hand: Array, right_hand: Array) -> Array:
    """Join root (T, 3), body (T, 21, 3) and hands (T, 15, 3) to SMPL-H's order, shape (T, 52, 3).

    Raises:
        ClipError: A part has another shape.
    """
    parts = (("root", root[:, None]), ("body", body), ("left hand", left_hand), ("right hand", right_hand))
    for (name, part), count in zip(parts, (1, 21, 15, 15), strict=True):
        if part.shape != (len(root), count, 3):
            expected = (len(root), count, 3)
            raise ClipError(f"{where}: the pose of the {name} has shape {part.shape}, expected {expected}.")
    return np.concatenate([part for _, part in parts], axis=1)


def body_name(pose: Array) -> str:
    """Which of our bodies a pose (T, J, 3) belongs to."""
    return next(name for name, order in _ORDERS.items() if len(order) == pose.shape[-2])


def world_rotations(pose: Array, up: Up) -> Array:
    """World rotations of our bodies from a pose.

    Args:
        pose: Axis-angle in SMPL's or SMPL-H's order, shape (T, J, 3).
        up: Vertical axis of the source's world.

    Returns:
        Shape (T, J, 4): our order, z-up world, upright frames.
    """
    name = body_name(pose)
    body = get_body(name)
    order = [_ORDERS[name].index(joint) for joint in body.names]
    local = rotations.from_rotation_vector(pose[:, order])
    turns = kinematics.forward_kinematics(body.parents, np.zeros(3), np.zeros(3), local)[1]
    return upright(rotation_to_z_up(turns, up))


def smpl_people(
    where: str,
    motions: tuple[SmplMotion, SmplMotion],
    *,
    documented_up: Up | None,
    fps: float,
    options: ReadOptions,
) -> SmplPeople:
    """Put both people's parameters on our bodies, in one z-up world.

    Whether they stand along the documented axis, and whether the rate is possible, is judged on bodies of our own
    proportions in the same pose.

    Args:
        where: For messages.
        motions: Supporter, recipient: equally many frames of the same joints.
        documented_up: The format's vertical axis.
        fps: Frames per second.
        options: What the user says.

    Raises:
        ClipError: Not finite, misshapen, on another axis, or impossibly fast; or model files do not fit.
    """
    for motion in motions:
        _check(where, motion)
    body = get_body(body_name(motions[0].pose))
    trans = np.stack([motion.trans for motion in motions], axis=1) * METRES[options.unit or "m"]
    turns = np.stack([world_rotations(motion.pose, "z") for motion in motions], axis=1)
    figures = _posed(body, body.offsets, trans, turns)
    feet, heads = body.indices(("L_Ankle", "R_Ankle")), body.indices(("Neck", "Head"))
    up = settle_up(where, figures, feet, heads, documented=documented_up, given=options.up)
    check_fps(where, fps, figures)
    turns = rotation_to_z_up(turns, up)
    first, second = (_person(motion, body, trans[:, i], turns[:, i], up, options) for i, motion in enumerate(motions))
    return SmplPeople(
        people=(first, second),
        body=body.name,
        conventions={
            "up": f"{settled_by(documented_up, options.up)}: +{up}",
            "unit": f"{settled_by('m', options.unit)}: {options.unit or 'm'}",
            "pelvis": _PELVIS[options.models is not None],
        },
    )


_PELVIS = {
    False: "documented: trans; the pelvis is off by a constant that only SMPL's model files tell",
    True: "given: trans and the model's pelvis",
}


def _person(motion: SmplMotion, body: BodySpec, trans: Array, turns: Array, up: Up, options: ReadOptions) -> Person:
    """A person in the z-up world from the translation in the source's; with the user's model files, all joints."""
    if options.models is None:
        joints = np.full((len(trans), body.num_bodies, 3), np.nan)
        joints[:, 0] = to_z_up(trans, up)
        return Person(joints=joints, rotation=turns)
    model = SmplModel.find(options.models, motion.model, _gender(motion.gender))
    betas = np.zeros(0) if motion.betas is None else motion.betas
    offsets = model.offsets(betas, body=body.name)
    joints = _posed(body, offsets, to_z_up(trans + model.pelvis_offset(betas), up), turns)
    return Person(joints=joints, rotation=turns, offsets=offsets, mass=model.mass(betas))


def _gender(text: str) -> Gender:
    named: dict[str, Gender] = {gender: gender for gender in GENDERS}
    return named.get(text.lower(), "neutral")


def _posed(body: BodySpec, offsets: Array, pelvis: Array, turns: Array) -> Array:
    """Joints (..., J, 3) of a body in given world rotations (..., J, 4)."""
    local = kinematics.local_from_global(body.parents, turns)
    return kinematics.forward_kinematics(body.parents, offsets, pelvis, local)[0]


def _check(where: str, motion: SmplMotion) -> None:
    frames, shape = len(motion.pose), motion.pose.shape[1:]
    if shape not in {(len(order), 3) for order in _ORDERS.values()} or motion.trans.shape != (frames, 3):
        raise ClipError(
            f"{where}: a pose of shape {motion.pose.shape} with a translation of shape {motion.trans.shape}; "
            "expected (frames, 24 or 52, 3) and (frames, 3)."
        )
    check_finite(f"{where}, pose", motion.pose)
    check_finite(f"{where}, translation", motion.trans)
