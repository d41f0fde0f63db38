"""Two people on the way from or to a seat, held as a `Hold` says: the plan, what it asks for, and the clip."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import ik, rotations
from ..body import BodySpec
from ..clip import PairClip
from ..quality import centers
from .clearance import clearance
from .grips import contacts, hand_targets
from .holds import Arm, Hold
from .mirror import mirrored
from .motion import Motion, make_clip, origin
from .parameters import pair_bodies
from .poses import PELVIS_SHARE, ankle_height, bent
from .seated import Course, fitted_seat, seated_pelvis
from .seated_parameters import SeatedParameters, Split
from .timing import between, minimum_jerk, path

Array = NDArray[Any]

_SUPPORTER, _RECIPIENT = range(2)
_USUAL_WAY = 0.40  # from the seated to the standing pelvis: what the stances are written for [m]
_STANDING_X = 0.015  # of the recipient's pelvis before the ankles [m]
_LANDING = 0.3  # lean of somebody who has just sat down: part of the weight is still on the feet [rad]
_SPLAY = 0.14  # of the recipient's feet [rad]
_SEAT = {"front": (0.22, 0.44), "side": (0.20, 0.40), "behind": (0.14, 0.32)}  # behind the pelvis, width [m]


def seated_clip(
    parameters: SeatedParameters, *, lowering: bool, family: str, version: int, seed: int | None, split: Split
) -> PairClip:
    """Plan and solve a motion from or to a seat.

    Args:
        parameters: What varies.
        lowering: From standing to the seat.
        family: Name of the module.
        version: Of the family.
        seed: What drew the parameters; None if they were given.
        split: ``"train"`` or ``"test"``.

    Returns:
        A clip at 30 fps: first pose held, motion, last pose held; a seat; contacts of all gripping hands.
    """
    plan = Plan(parameters=parameters, lowering=lowering)
    what = "Lowering to a seat" if lowering else "Assisted sit-to-stand"
    clip = make_clip(
        plan.motion(),
        name=family if seed is None else f"{family}_{'_'.join(parameters.key)}_{split}_{seed:02d}",
        hold=(parameters.hold_start, parameters.hold_end),
        metadata=origin(
            generator=family,
            version=version,
            description=f"{what} {plan.hold.words} (generated).",
            family="/".join(("sit_down" if lowering else "sit_to_stand", *parameters.key)),
            parameters=parameters,
            seed=seed,
            split=split,
        ),
    )
    back, width = _SEAT[parameters.side]
    seat = fitted_seat(clip, frame=-1 if lowering else 0, back=back, width=width)
    clip = replace(clip, furniture=(seat,), contacts=contacts(plan.hold.grips, clip.duration))
    return mirrored(clip) if parameters.mirror else clip


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Paths over the solved frames, shape (T,) each, and what they ask of the solver."""

    parameters: SeatedParameters
    lowering: bool

    @property
    def hold(self) -> Hold:
        """How the recipient is held."""
        return self.parameters.chosen

    @cached_property
    def bodies(self) -> tuple[BodySpec, BodySpec]:
        """Supporter, recipient."""
        return pair_bodies(self.parameters)

    @cached_property
    def course(self) -> Course:
        """The recipient's time courses."""
        p = self.parameters
        return Course(time=p.time, peak=p.lean, lowering=self.lowering, seated=_LANDING if self.lowering else 0.05)

    @cached_property
    def shift(self) -> Array:
        """What moves the stance of seat and standing for other bodies, seats and distances, shape (2, 2) [m]."""
        stance, p = self.hold.stance, self.parameters
        seated, _ = seated_pelvis(self.bodies[_RECIPIENT], p.seat_height)
        farther = (seated + _USUAL_WAY) if stance.follows else 0.0
        return np.array([[farther, 0.0], [0.0, 0.0]]) + p.distance * np.array(stance.away)

    @property
    def supporter_lean(self) -> Array:
        """Forward lean of the supporter's trunk [rad]."""
        return between(*self.hold.stance.lean, minimum_jerk((self.course.phase - 0.2) / 0.8))

    def motion(self) -> Motion:
        """What is solved."""
        pelvis = self._pelvis()
        return Motion(
            bodies=self.bodies,
            root_position=pelvis,
            local_rotation=self._guess(),
            targets=(
                *self._feet(),
                *self._trunks(pelvis),
                self._balance(),
                *hand_targets(self.hold.grips, self.bodies),
                *self._forearms(),
            ),
            apart=clearance(self.bodies, weight=6.0, arms=True),
        )

    def _way(self, ends: Any, share: Array) -> tuple[Array, Array]:
        """Path of the supporter, x and y, between two points, shape (T,) each [m]."""
        (x0, y0), (x1, y1) = np.array(ends) + self.shift
        return between(x0, x1, share), between(y0, y1, share)

    def _pelvis(self) -> Array:
        """Paths of both people's pelvis, shape (T, 2, 3) [m]."""
        stance, course, frames = self.hold.stance, self.course, len(self.course.phase)
        supporter, recipient = self.bodies
        x, z = seated_pelvis(recipient, self.parameters.seat_height)
        standing = 0.985 * recipient.rest_height
        own = path(
            *self._way(stance.pelvis, course.advance),
            between(*stance.height, course.rise) * supporter.rest_height,
            frames,
        )
        other = path(between(x, _STANDING_X, course.advance), 0.0, between(z, standing, course.rise), frames)
        return np.concatenate([own, other], axis=1)

    def _guess(self) -> Array:
        """Rest pose and start of the solution, shape (T, 2, J, 4)."""
        share = self.course.rise[:, None]
        facing = rotations.yaw_quaternion(self.hold.stance.facing)
        people = []
        for one, body in enumerate(self.bodies):
            lean = self.supporter_lean if one == _SUPPORTER else self.course.lean
            first, last = (
                _body_pose(body, one, float(lean[self.course.phase == end][0]), end == 0.0) for end in (0.0, 1.0)
            )
            pose = rotations.slerp(first, last, share)
            _lean_spine(body, pose, lean)
            for side, arm in zip(("L_", "R_"), self.hold.arms[one], strict=True):
                _carry(body, pose, side, arm, self.course.rise, lean)
            people.append(pose)
        pose = np.stack(people, axis=1)
        pose[:, _SUPPORTER, 0] = rotations.multiply(facing, pose[:, _SUPPORTER, 0])
        return pose

    def _feet(self) -> tuple[ik.Target, ...]:
        """Ankles at their footholds, soles flat."""
        stance, half = self.hold.stance, 0.5 * self.parameters.foot_spacing
        heights = [ankle_height(body) for body in self.bodies]
        own = np.array(stance.ankles) + self.shift.mean(axis=0)
        ankles = np.concatenate([own, [[0.0, half], [0.0, -half]]])
        ankles = np.column_stack([ankles, np.repeat(heights, 2)])
        yaw = np.array([stance.facing + stance.toes[0], stance.facing + stance.toes[1], _SPLAY, -_SPLAY])
        rows = [(one, body.index(side + "Ankle")) for one, body in enumerate(self.bodies) for side in ("L_", "R_")]
        points = ik.Points(person=[row[0] for row in rows], body=[row[1] for row in rows])
        return (
            ik.PointTargets(points=points, position=ankles, weight=20.0),
            ik.RotationTargets(bodies=points, rotation=rotations.yaw_quaternion(yaw), weight=5.0),
        )

    def _trunks(self, pelvis: Array) -> tuple[ik.Target, ...]:
        """Pelvis paths, and pelvis, chest and head turned as planned."""
        person, body, turn = [], [], []
        leans, yaws = (self.supporter_lean, self.course.lean), (self.hold.stance.facing, 0.0)
        for one, (spec, lean, yaw) in enumerate(zip(self.bodies, leans, yaws, strict=True)):
            for name, share in (("Pelvis", PELVIS_SHARE), ("Chest", 1.0), ("Head", 0.35)):
                turn.append(rotations.multiply(rotations.yaw_quaternion(yaw), _pitch(share * lean)))
                person.append(one)
                body.append(spec.index(name))
        return (
            ik.PointTargets(
                points=ik.Points(person=[_SUPPORTER, _RECIPIENT], body=0),
                position=pelvis,
                weight=np.array([(0.3, 0.3, 1.5), (1.5, 3.0, 4.0)]),
            ),
            ik.RotationTargets(
                bodies=ik.Points(person=person, body=body),
                rotation=np.stack(turn, axis=1),
                weight=np.tile([[1.0, 0.3, 1.0], [1.0, 0.5, 1.0], [0.5, 0.4, 0.5]], (2, 1)),
            ),
        )

    def _forearms(self) -> tuple[ik.Target, ...]:
        """Some of the recipient's forearms stay level."""
        if not self.hold.level:
            return ()
        body = self.bodies[_RECIPIENT]
        wrist, elbow = ([body.index(side + name) for side in self.hold.level] for name in ("Wrist", "Elbow"))
        return (
            ik.RelativeTargets(
                points=ik.Points(person=_RECIPIENT, body=wrist),
                others=ik.Points(person=_RECIPIENT, body=elbow),
                displacement=np.array([(np.nan, np.nan, 0.0)] * len(wrist)),
                weight=1.0,
            ),
        )

    def _balance(self) -> ik.Target:
        """Centres of mass: the recipient's comes over the feet, the supporter's shifts between the feet."""
        course, frames = self.course, len(self.course.phase)
        supporter, recipient = self.bodies
        seated, _ = seated_pelvis(recipient, self.parameters.seat_height)
        forward = 0.02 * self.parameters.recipient_stature
        over_feet = between(seated + 0.16 + 0.25 * course.seated, forward, minimum_jerk(course.phase / 0.75))
        own = path(*self._way(self.hold.stance.center, course.advance), np.nan, frames)
        weight = np.broadcast_to([[2.0, 2.0, 0.0], [0.0, 1.5, 0.0]], (frames, 2, 3)).copy()
        weight[:, 1, 0] = between(1.0, 2.0, course.rise)
        return ik.CenterOfMassTargets(
            person=[_SUPPORTER, _RECIPIENT],
            mass=np.stack([supporter.masses, recipient.masses]),
            offset=np.stack([centers(supporter), centers(recipient)]),
            position=np.concatenate([own, path(over_feet, 0.0, np.nan, frames)], axis=1),
            weight=weight,
        )


def _pitch(angle: Array) -> Array:
    """Turns about y, shape (T, 4)."""
    zero = np.zeros_like(angle)
    return rotations.from_rotation_vector(np.stack([zero, angle, zero], axis=-1))


def _body_pose(body: BodySpec, one: int, lean: float, seated: bool) -> Array:
    """Legs and trunk at the seat or standing, shape (J, 4)."""
    if one == _RECIPIENT:
        hip, knee = (1.5, 1.35) if seated else (0.1, 0.1)
    else:
        hip, knee = (0.75, 0.75) if seated else (0.15, 0.15)
    return bent(body, lean=lean, hip=0.5 * lean + hip, knee=knee)


def _lean_spine(body: BodySpec, pose: Array, lean: Array) -> None:
    """Let spine and neck of a pose (T, J, 4) follow the lean, in place."""
    spine = (1.0 - PELVIS_SHARE) / 3.0
    for name, share in (("Torso", spine), ("Spine", spine), ("Chest", spine), ("Neck", -0.3), ("Head", -0.3)):
        pose[:, body.index(name)] = _pitch(share * lean)


def _carry(body: BodySpec, pose: Array, side: str, arm: Arm, share: Array, lean: Array) -> None:
    """Carry an arm of a pose (T, J, 4) as planned, measured from the vertical, in place."""
    sign = 1.0 if side == "L_" else -1.0
    zero = np.zeros_like(share)
    flexion = between(*arm.flexion, share) + lean
    hang = -sign * (0.5 * np.pi - between(*arm.abduction, share))
    elbow = -sign * between(*arm.elbow, share)
    pose[:, body.index(side + "Shoulder")] = rotations.multiply(
        _pitch(-flexion), rotations.from_rotation_vector(np.stack([hang, zero, zero], axis=-1))
    )
    pose[:, body.index(side + "Elbow")] = rotations.from_rotation_vector(np.stack([zero, zero, elbow], axis=-1))
