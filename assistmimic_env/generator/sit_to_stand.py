"""Procedural motion of two people: assisted sit-to-stand from the front.

A motion is planned as minimum-jerk paths of a few things that matter (pelvis, trunk lean, centre of mass, feet, hands
on the partner) and solved for both people and all frames at once by `ik`; see spec/data.md section 6. The recipient
faces +x, with the ankles at x = 0; the supporter faces -x. The supporter's hands lie under the recipient's upper arms,
the recipient's hands outside on the supporter's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import ik, rotations
from ..body import BodySpec
from ..clip import ROLES, Contact, PairClip
from ..quality import centers
from .clearance import reach
from .motion import Motion, make_clip, origin
from .parameters import PEOPLE, Range, Split, check_ranges, check_sample, draw, generator_of, pair_bodies
from .poses import PELVIS_SHARE, ankle_height, arms, bent, hand_center
from .seated import Course, fitted_seat, seated_pelvis
from .timing import between, minimum_jerk, path

__all__ = ["RANGES", "TEST_RANGES", "TRAIN_RANGES", "SitToStandParameters", "sample_parameters", "sit_to_stand"]

Array = NDArray[Any]

VERSION = 1
"""Raised whenever the same parameters give another motion."""

_SUPPORTER, _RECIPIENT = range(2)

RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "seat_height": (0.36, 0.65),
        "distance": (0.55, 0.75),
        "rise_time": (1.2, 4.0),
        "lean": (0.3, 0.9),
        "foot_spacing": (0.12, 0.34),
        **PEOPLE,
        "hold_start": (0.0, 5.0),
        "hold_end": (0.5, 10.0),
    }
)
"""What `SitToStandParameters` accepts."""

TRAIN_RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "seat_height": (0.44, 0.52),
        "distance": (0.62, 0.68),
        "rise_time": (1.9, 2.6),
        "lean": (0.6, 0.8),
        "foot_spacing": (0.18, 0.26),
        "recipient_stature": (1.62, 1.82),
        "supporter_stature": (1.66, 1.86),
    }
)
"""Where the parameters of the train split are drawn from."""

TEST_RANGES: Mapping[str, tuple[Range, Range]] = MappingProxyType(
    {
        "seat_height": ((0.40, 0.43), (0.54, 0.58)),
        "recipient_stature": ((1.54, 1.60), (1.84, 1.90)),
        "rise_time": ((1.5, 1.8), (2.8, 3.2)),
    }
)
"""Held-out bands: each test clip has one of these parameters below or above the train split, the others inside it."""


@dataclass(frozen=True, kw_only=True)
class SitToStandParameters:
    """What varies between assisted sit-to-stands. Lengths in metres, masses in kilograms, times in seconds."""

    seat_height: float = 0.46
    """Top of the seat over the floor, planned; the furniture's box is fitted to the solved pose within 1.5 cm."""
    distance: float = 0.64
    """From the recipient's ankles to the supporter's pelvis, standing."""
    rise_time: float = 2.2
    """From the first movement to standing."""
    lean: float = 0.7
    """Largest forward lean of the recipient's trunk [rad]."""
    foot_spacing: float = 0.2
    """Between the recipient's ankles."""
    recipient_stature: float = 1.72
    recipient_mass: float = 70.0
    supporter_stature: float = 1.76
    supporter_mass: float = 76.0
    hold_start: float = 0.3
    """How long the first pose is held."""
    hold_end: float = 1.2
    """How long the last pose is held."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges("sit_to_stand", self, RANGES)


def sample_parameters(seed: int, split: Split = "train") -> SitToStandParameters:
    """Draw parameters.

    Args:
        seed: Any non-negative number; the same seed gives the same parameters.
        split: ``"train"`` draws all parameters from `TRAIN_RANGES`; ``"test"`` moves one of them to `TEST_RANGES`.

    Returns:
        The parameters, rounded to a millimetre, 0.1 kg, 0.01 s.

    Raises:
        ConfigError: Unknown split or negative seed.
    """
    rng = generator_of("sit_to_stand", seed, split)
    drawn = draw(rng, seed, split, train=TRAIN_RANGES, test=TEST_RANGES)
    return SitToStandParameters(**drawn)


def sit_to_stand(*, seed: int = 0, split: Split = "train", parameters: SitToStandParameters | None = None) -> PairClip:
    """Generate an assisted sit-to-stand from the front, both hands under the recipient's upper arms.

    Args:
        seed: Draws the parameters; with given ``parameters`` only recorded.
        split: Family the parameters are drawn from.
        parameters: Instead of drawing.

    Returns:
        A clip at 30 fps: first pose held, rise, standing held; a seat under the recipient; contacts of all four hands.

    Raises:
        ConfigError: Unknown split or negative seed.
    """
    check_sample("sit_to_stand", seed, split)
    chosen = parameters or sample_parameters(seed, split)
    plan = _Plan(parameters=chosen)
    clip = make_clip(
        _motion(plan),
        name=f"sit_to_stand_{split}_{seed:02d}" if parameters is None else "sit_to_stand",
        hold=(chosen.hold_start, chosen.hold_end),
        metadata=origin(
            generator="sit_to_stand",
            version=VERSION,
            description="Assisted sit-to-stand from the front, both hands under the recipient's upper arms "
            "(generated).",
            family="sit_to_stand/front/both_hands/upper_arms",
            parameters=chosen,
            seed=seed if parameters is None else None,
            split=split,
        ),
    )
    clip = replace(clip, furniture=(fitted_seat(clip),))
    return replace(clip, contacts=_contacts(clip))


# --- The plan -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Paths over the solved frames, shape (T,) each."""

    parameters: SitToStandParameters

    @cached_property
    def bodies(self) -> tuple[BodySpec, BodySpec]:
        """Supporter, recipient."""
        return pair_bodies(self.parameters)

    @cached_property
    def course(self) -> Course:
        """The recipient's time courses."""
        return Course(time=self.parameters.rise_time, peak=self.parameters.lean)

    @property
    def supporter_lean(self) -> Array:
        """Forward lean of the supporter's trunk [rad]."""
        return between(0.62, 0.12, minimum_jerk((self.course.phase - 0.25) / 0.75))


# --- Poses ----------------------------------------------------------------------------------------------


def _guess(plan: _Plan) -> Array:
    """Rest pose and start of the solution, shape (T, 2, J, 4): between a first and a last pose of both people."""
    supporter, recipient = plan.bodies
    around = rotations.yaw_quaternion(np.pi)
    ends = []
    for phase, flexion in ((0, (1.0, 0.9)), (-1, (0.85, 0.85))):
        lean, own = plan.course.lean[phase], plan.supporter_lean[phase]
        seated = phase == 0
        poses = [
            bent(supporter, lean=own, hip=0.5 * own + (0.75 if seated else 0.15), knee=0.75 if seated else 0.15),
            bent(recipient, lean=lean, hip=0.5 * lean + (1.5 if seated else 0.1), knee=1.35 if seated else 0.1),
        ]
        poses[0] = arms(supporter, poses[0], flexion=flexion[0], abduction=0.15, elbow=0.5 if seated else 1.0)
        poses[1] = arms(recipient, poses[1], flexion=flexion[1], abduction=0.3, elbow=0.5 if seated else 1.0)
        poses[0][0] = rotations.multiply(around, poses[0][0])
        ends.append(np.stack(poses))
    pose = rotations.slerp(ends[0], ends[1], plan.course.rise[:, None, None])
    for one, body in enumerate(plan.bodies):
        lean = plan.course.lean if one == _RECIPIENT else plan.supporter_lean
        spine = (1.0 - PELVIS_SHARE) / 3.0
        for name, share in (("Torso", spine), ("Spine", spine), ("Chest", spine), ("Neck", -0.3), ("Head", -0.3)):
            pitch = np.zeros((len(lean), 3))
            pitch[:, 1] = share * lean
            pose[:, one, body.index(name)] = rotations.from_rotation_vector(pitch)
    return pose


# --- Targets --------------------------------------------------------------------------------------------


def _pelvis(plan: _Plan) -> tuple[Array, Array]:
    """Paths of the supporter's and the recipient's pelvis, shape (T, 1, 3) each [m]."""
    p, frames = plan.parameters, len(plan.course.phase)
    supporter, recipient = plan.bodies
    x, z = seated_pelvis(recipient, p.seat_height)
    advance, rise = plan.course.advance, plan.course.rise
    own = between(0.90, 0.975, rise) * supporter.rest_height
    return (
        path(p.distance, 0.0, own, frames),
        path(between(x, 0.015, advance), 0.0, between(z, 0.985 * recipient.rest_height, rise), frames),
    )


def _footholds(plan: _Plan) -> tuple[Array, Array]:
    """Ankle positions (2, 2, 3) [m] and yaws (2, 2) [rad] of (person, left/right)."""
    p = plan.parameters
    supporter, recipient = plan.bodies
    half, splay = 0.5 * p.foot_spacing, 0.14
    ankles = np.array(
        [
            [[p.distance + 0.04, -0.13, ankle_height(supporter)], [p.distance - 0.20, 0.15, ankle_height(supporter)]],
            [[0.0, half, ankle_height(recipient)], [0.0, -half, ankle_height(recipient)]],
        ]
    )
    return ankles, np.array([[np.pi + splay, np.pi - splay], [splay, -splay]])


def _feet(plan: _Plan) -> tuple[ik.Target, ...]:
    """Ankles at their footholds, soles flat, toes straight."""
    ankles, yaws = _footholds(plan)
    rows = [(one, body.index(side + "Ankle")) for one, body in enumerate(plan.bodies) for side in ("L_", "R_")]
    person, ankle = np.array(rows).T
    points = ik.Points(person=person, body=ankle)
    turn = rotations.yaw_quaternion(yaws.reshape(-1))
    return (
        ik.PointTargets(points=points, position=ankles.reshape(-1, 3), weight=20.0),
        ik.RotationTargets(bodies=points, rotation=turn, weight=5.0),
    )


def _trunks(plan: _Plan) -> tuple[ik.Target, ...]:
    """Pelvis paths, and pelvis, chest and head turned as planned."""
    frames = len(plan.course.phase)
    paths = _pelvis(plan)
    own_weight, weight = (0.1, 3.0, 1.5), (1.5, 3.0, 4.0)
    names, shares = ("Pelvis", "Chest", "Head"), (PELVIS_SHARE, 1.0, 0.35)
    person, body, turn = [], [], []
    for one, (spec, lean) in enumerate(zip(plan.bodies, (plan.supporter_lean, plan.course.lean), strict=True)):
        facing = rotations.yaw_quaternion(np.pi if one == _SUPPORTER else 0.0)
        for name, share in zip(names, shares, strict=True):
            pitch = np.stack([np.zeros(frames), share * lean, np.zeros(frames)], axis=-1)
            turn.append(rotations.multiply(facing, rotations.from_rotation_vector(pitch)))
            person.append(one)
            body.append(spec.index(name))
    upright = ik.RotationTargets(
        bodies=ik.Points(person=person, body=body),
        rotation=np.stack(turn, axis=1),
        weight=np.tile([[1.0, 0.3, 1.0], [1.0, 0.5, 1.0], [0.5, 0.4, 0.5]], (2, 1)),
    )
    roots = ik.Points(person=[_SUPPORTER, _RECIPIENT], body=0)
    return (
        ik.PointTargets(points=roots, position=np.concatenate(paths, axis=1), weight=np.array([own_weight, weight])),
        upright,
    )


def _balance(plan: _Plan) -> ik.Target:
    """Centres of mass: the recipient's comes over the feet and stays, the supporter's shifts to the rear foot."""
    p, frames = plan.parameters, len(plan.course.phase)
    supporter, recipient = plan.bodies
    seated, _ = seated_pelvis(recipient, p.seat_height)
    forward = 0.02 * p.recipient_stature
    over_feet = between(seated + 0.17, forward, minimum_jerk(plan.course.phase / 0.75))
    own = p.distance - 0.08 - 0.028 * p.supporter_stature + 0.03 * plan.course.advance
    position = np.concatenate([path(own, 0.01, np.nan, frames), path(over_feet, 0.0, np.nan, frames)], axis=1)
    weight = np.broadcast_to([[2.0, 1.5, 0.0], [0.0, 1.5, 0.0]], (frames, 2, 3)).copy()
    weight[:, 1, 0] = between(1.0, 2.0, plan.course.rise)
    return ik.CenterOfMassTargets(
        person=[_SUPPORTER, _RECIPIENT],
        mass=np.stack([supporter.masses, recipient.masses]),
        offset=np.stack([centers(supporter), centers(recipient)]),
        position=position,
        weight=weight,
    )


@dataclass(frozen=True, kw_only=True)
class _Grip:
    """One hand on one of the partner's upper arms."""

    person: int
    side: str
    fraction: float
    direction: tuple[float, float]
    """From the arm's axis to the hand, seen along the arm: away from the partner's middle, up; a unit vector."""

    @property
    def other(self) -> int:
        return 1 - self.person

    @property
    def other_side(self) -> str:
        """People face each other: a left hand meets a right arm."""
        return "R_" if self.side == "L_" else "L_"


_GRIPS = tuple(
    _Grip(person=person, side=side, fraction=fraction, direction=direction)
    for person, fraction, direction in ((_SUPPORTER, 0.45, (-0.5, -0.866)), (_RECIPIENT, 0.5, (0.95, 0.312)))
    for side in ("L_", "R_")
)


def _hands(plan: _Plan) -> tuple[ik.Target, ...]:
    """Hands touch the partner's upper arms, on the planned side."""
    bodies = plan.bodies
    person, hand, offset, other, arm, along, distance, displacement = ([] for _ in range(8))
    for grip in _GRIPS:
        mine, theirs = bodies[grip.person], bodies[grip.other]
        upper_arm, forearm = theirs.index(grip.other_side + "Shoulder"), theirs.index(grip.other_side + "Elbow")
        person.append(grip.person)
        other.append(grip.other)
        hand.append(mine.index(grip.side + "Hand"))
        offset.append(hand_center(mine, grip.side))
        arm.append(upper_arm)
        along.append(grip.fraction * theirs.offsets[forearm])
        distance.append(reach(mine, hand[-1], theirs, upper_arm))
        outward = (1.0 if grip.other_side == "L_" else -1.0) * (1.0 if grip.other == _RECIPIENT else -1.0)
        displacement.append(distance[-1] * np.array([0.0, outward * grip.direction[0], grip.direction[1]]))
    points = ik.Points(person=person, body=hand, offset=np.array(offset))
    others = ik.Points(person=other, body=arm, offset=np.array(along))
    return (
        ik.DistanceTargets(points=points, others=others, distance=np.array(distance), weight=6.0),
        ik.RelativeTargets(points=points, others=others, displacement=np.array(displacement), weight=1.5),
        _elbows(bodies),
    )


def _elbows(bodies: tuple[BodySpec, BodySpec]) -> ik.Target:
    """The supporter's arms stay inside the recipient's: only the sideways position is asked for."""
    person, body, side = [], [], []
    for one, spec in enumerate(bodies):
        width = float(spec.rest_positions[spec.index("L_Shoulder"), 1])
        for name, inside, outside in (("Elbow", -0.01, 0.09), ("Wrist", -0.01, 0.07)):
            for prefix, sign in (("L_", 1.0), ("R_", -1.0)):
                person.append(one)
                body.append(spec.index(prefix + name))
                lateral = width + (outside if one == _RECIPIENT else inside)
                side.append(sign * lateral * (1.0 if one == _RECIPIENT else -1.0))
    position = np.stack([np.full(len(side), np.nan), np.array(side), np.full(len(side), np.nan)], axis=-1)
    return ik.PointTargets(points=ik.Points(person=person, body=body), position=position, weight=0.7)


# --- From plan to clip ----------------------------------------------------------------------------------


def _motion(plan: _Plan) -> Motion:
    return Motion(
        bodies=plan.bodies,
        root_position=np.concatenate(_pelvis(plan), axis=1),
        local_rotation=_guess(plan),
        targets=(*_feet(plan), *_trunks(plan), _balance(plan), *_hands(plan)),
        smoothness=1.0,  # version 1, which policies were trained on
    )


def _contacts(clip: PairClip) -> tuple[Contact, ...]:
    """All four hands, during the whole clip."""
    return tuple(
        Contact(
            role=ROLES[grip.person],
            body=grip.side + "Hand",
            partner_body=grip.other_side + "Shoulder",
            start=0.0,
            end=clip.duration,
        )
        for grip in _GRIPS
    )
