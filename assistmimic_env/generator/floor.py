"""`Figure`: what one person does between floor, bed and standing, as paths of trunk, feet and balance.

Families that begin low plan the same things for both people: where the pelvis goes and how it turns, where the feet
are and how they roll, which points rest on something, and where the centre of mass is. `figure_targets` makes inverse
kinematics of two figures; `Hold` is a hand on the partner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import ik, rotations
from ..body import BodySpec, joint_kind
from ..capsules import capsules
from ..clip import ROLES, Contact
from ..quality import centers
from .clearance import clearance, reach
from .poses import hand_center
from .timing import minimum_jerk

Array = NDArray[Any]
Step = tuple[float, float, float]
"""When a step begins and ends, and the value it leads to."""

SIDES = ("L_", "R_")


def course(time: Array, first: float, *steps: Step) -> Array:
    """A value that moves in minimum-jerk steps; steps may overlap, their speeds then add.

    Args:
        time: Any shape and unit.
        first: Value before the first step.
        steps: Begin and end, in the unit of ``time``, and the next value.

    Returns:
        Same shape as ``time``.
    """
    values = np.full(np.shape(time), float(first))
    last = first
    for begin, end, value in steps:
        values += (value - last) * minimum_jerk((time - begin) / (end - begin))
        last = value
    return values


def pulse(time: Array, begin: float, end: float) -> Array:
    """A smooth bump from 0 to 1 and back, with rests at both ends."""
    phase = np.clip((time - begin) / (end - begin), 0.0, 1.0)
    return 64.0 * (phase * (1.0 - phase)) ** 3


def turned(*, yaw: ArrayLike = 0.0, pitch: ArrayLike = 0.0, roll: ArrayLike = 0.0) -> Array:
    """World rotations (..., 4): first rolled about x, then pitched about y (forwards), then turned about z [rad]."""
    yaw, pitch, roll = np.broadcast_arrays(yaw, pitch, roll)
    zero = np.zeros_like(pitch, dtype=float)
    about = (np.stack(axis, axis=-1) for axis in ((zero, zero, yaw), (zero, pitch, zero), (roll, zero, zero)))
    return reduce(rotations.multiply, (rotations.from_rotation_vector(vector) for vector in about))


def blend(first: Array, *steps: tuple[Array, Array]) -> Array:
    """From pose to pose: local rotations (T, J, 4).

    Args:
        first: Pose at the beginning, shape (J, 4).
        steps: Next pose (J, 4) and how far the motion has come to it, shape (T,).
    """
    pose = np.broadcast_to(first, (len(steps[0][1]), *first.shape))
    for target, share in steps:
        pose = rotations.slerp(pose, np.broadcast_to(target, pose.shape), share[:, None])
    return pose


def toe_center(body: BodySpec) -> Array:
    """Middle of the capsule across the toes in the ankle's frame, toes straight, shape (3,) [m]."""
    toe = body.index("L_Toe")
    geom = next(geom for geom in body.geoms if geom.body == toe)
    return body.offsets[toe] + 0.5 * (np.array(geom.start) + np.array(geom.end))


@dataclass(frozen=True, kw_only=True, eq=False)
class Foot:
    """Path of a foot with straight toes."""

    ankle: Array
    """Shape (T, 3) [m]."""
    rotation: Array
    """Shape (T, 4)."""


def foot_on_toes(body: BodySpec, *, toe: Array, pitch: Array, yaw: ArrayLike = 0.0) -> Foot:
    """A foot that turns about its toes: flat on the floor, or with the heel up.

    Args:
        body: Whose.
        toe: Path of the middle of the toes, shape (T, 3) [m]; they touch the floor at the height of their radius.
        pitch: Heel up, shape (T,) [rad].
        yaw: Of the foot, shape () or (T,) [rad].
    """
    rotation = turned(yaw=yaw, pitch=pitch)
    return Foot(ankle=toe - rotations.rotate(rotation, np.broadcast_to(toe_center(body), toe.shape)), rotation=rotation)


def flat_foot(body: BodySpec, ankle: ArrayLike, *, yaw: float, frames: int) -> Foot:
    """A foot that stands still, its ankle at x and y (2,) [m]."""
    height = float(body.rest_height + body.rest_positions[body.index("L_Ankle"), 2])
    place = np.array([*np.asarray(ankle, dtype=float), height])
    return Foot(
        ankle=np.broadcast_to(place, (frames, 3)), rotation=np.broadcast_to(turned(yaw=yaw, pitch=0.0), (frames, 4))
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Support:
    """A body's joint that is led along a path, for instance a knee on the floor."""

    body: str
    position: Array
    """Shape (T, 3) [m]; NaN components are free."""
    weight: ArrayLike = 20.0
    """Shape () or (T,)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Figure:
    """One person's plan over T frames."""

    body: BodySpec
    pelvis: Array
    """Path of the pelvis, shape (T, 3) [m]."""
    pelvis_weight: ArrayLike
    """Weight of each component, shape (3,) or (T, 3)."""
    turns: Mapping[str, Array]
    """World rotations of bodies of the trunk, shape (T, 4) each."""
    feet: tuple[Foot, Foot]
    """Left, right."""
    foot_weight: ArrayLike = 20.0
    """Shape () or (T,): how firmly the feet are led."""
    balance: Array
    """Centre of mass, shape (T, 3) [m]; NaN where it is free."""
    balance_weight: ArrayLike = (2.0, 1.5, 0.0)
    """Shape (3,) or (T, 3)."""
    pose: Array
    """Start of the solution and pose that the body is pulled to, shape (T, J, 4)."""
    supports: tuple[Support, ...] = ()
    turn_weight: Mapping[str, tuple[float, float, float]] = field(
        default_factory=lambda: {"Pelvis": (1.0, 0.3, 1.0), "Chest": (1.0, 0.5, 1.0), "Head": (0.5, 0.4, 0.5)}
    )
    """Weights of `turns` about the world's x, y, z."""

    @property
    def frames(self) -> int:
        """T."""
        return len(self.pelvis)


def figure_targets(figures: tuple[Figure, Figure]) -> tuple[ik.Target, ...]:
    """What inverse kinematics must fulfil for two figures (supporter, recipient), hands excepted."""
    rows = (_trunk, _feet, _supports, _balance)
    return tuple(target for row in rows for one, figure in enumerate(figures) for target in row(one, figure))


def _trunk(one: int, figure: Figure) -> tuple[ik.Target, ...]:
    names = list(figure.turns)
    weight = np.broadcast_to(np.asarray(figure.pelvis_weight, dtype=float), (figure.frames, 3))[:, None]
    return (
        ik.PointTargets(points=ik.Points(person=one, body=0), position=figure.pelvis[:, None], weight=weight),
        ik.RotationTargets(
            bodies=ik.Points(person=one, body=figure.body.indices(names)),
            rotation=np.stack([figure.turns[name] for name in names], axis=1),
            weight=np.array([figure.turn_weight[name] for name in names]),
        ),
    )


def _feet(one: int, figure: Figure) -> tuple[ik.Target, ...]:
    points = ik.Points(person=one, body=figure.body.indices([side + "Ankle" for side in SIDES]))
    weight = np.broadcast_to(np.asarray(figure.foot_weight, dtype=float), (figure.frames,))[:, None] * np.ones(2)
    return (
        ik.PointTargets(points=points, position=np.stack([foot.ankle for foot in figure.feet], axis=1), weight=weight),
        ik.RotationTargets(
            bodies=points, rotation=np.stack([foot.rotation for foot in figure.feet], axis=1), weight=0.25 * weight
        ),
    )


def _supports(one: int, figure: Figure) -> tuple[ik.Target, ...]:
    if not figure.supports:
        return ()
    points = ik.Points(person=one, body=figure.body.indices([support.body for support in figure.supports]))
    position = np.stack([support.position for support in figure.supports], axis=1)
    weight = np.stack([np.broadcast_to(support.weight, (figure.frames,)) for support in figure.supports], axis=1)
    return (ik.PointTargets(points=points, position=position, weight=weight),)


def _balance(one: int, figure: Figure) -> tuple[ik.Target, ...]:
    weight = np.broadcast_to(np.asarray(figure.balance_weight, dtype=float), (figure.frames, 3))[:, None]
    return (
        ik.CenterOfMassTargets(
            person=[one],
            mass=figure.body.masses[None],
            offset=centers(figure.body)[None],
            position=figure.balance[:, None],
            weight=weight,
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A hand on the partner's body."""

    person: int
    """Whose hand."""
    side: str
    """``"L_"`` or ``"R_"``."""
    partner_body: str
    place: tuple[float, float, float]
    """Point of the partner's body, in its frame [m]: on the axis of its capsule."""
    direction: tuple[float, float, float]
    """From that point to the hand, in world axes; a unit vector."""
    start: float = 0.0
    """When the hand arrives [s]; it is led there before."""
    end: float = np.inf
    """When it lets go [s]."""


def along(body: BodySpec, child: str, fraction: float) -> tuple[float, float, float]:
    """A point on the bone that ends in a body's joint, in the frame of the bone's body [m]."""
    x, y, z = (float(value) for value in fraction * body.offsets[body.index(child)])
    return x, y, z


def hold_targets(bodies: tuple[BodySpec, BodySpec], holds: Sequence[Hold], time: Array) -> tuple[ik.Target, ...]:
    """Hands touch where they hold, on the planned side; outside their intervals they are free.

    Args:
        bodies: Supporter, recipient.
        holds: K hands.
        time: Of the solved frames, shape (T,) [s].
    """
    person = [hold.person for hold in holds]
    hand = [bodies[hold.person].index(hold.side + "Hand") for hold in holds]
    body = [bodies[1 - hold.person].index(hold.partner_body) for hold in holds]
    distance = np.array(
        [
            reach(bodies[one], mine, bodies[1 - one], theirs)
            for one, mine, theirs in zip(person, hand, body, strict=True)
        ]
    )
    points = ik.Points(
        person=person, body=hand, offset=np.array([hand_center(bodies[hold.person], hold.side) for hold in holds])
    )
    others = ik.Points(person=[1 - one for one in person], body=body, offset=np.array([hold.place for hold in holds]))
    during = (time[:, None] >= [hold.start for hold in holds]) & (time[:, None] <= [hold.end for hold in holds])
    direction = distance[:, None] * np.array([hold.direction for hold in holds])
    return (
        ik.DistanceTargets(points=points, others=others, distance=distance, weight=np.where(during, 6.0, 0.0)),
        ik.RelativeTargets(points=points, others=others, displacement=direction, weight=np.where(during, 1.5, 0.0)),
    )


def hold_contacts(holds: Sequence[Hold], *, offset: float, duration: float) -> tuple[Contact, ...]:
    """The holds as contacts of a clip.

    Args:
        holds: The hands; their times count from the first movement.
        offset: Time of the first movement in the clip [s].
        duration: Of the clip [s].
    """
    return tuple(
        Contact(
            role=ROLES[hold.person],
            body=hold.side + "Hand",
            partner_body=hold.partner_body,
            start=0.0 if hold.start <= 0.0 else round(hold.start + offset, 4),
            end=round(min(hold.end + offset, duration), 4),
        )
        for hold in holds
    )


def wide_clearance(bodies: tuple[BodySpec, BodySpec]) -> tuple[ik.Target, ...]:
    """`clearance`, and nobody's thighs and shanks are in the own trunk, arms or other leg: bodies fold on the floor.

    Args:
        bodies: Supporter, recipient.
    """
    shapes = capsules(bodies)
    name = np.array(bodies[0].names)[shapes.body]
    kind = np.array([joint_kind(one) for one in name])
    leg = np.isin(kind, ("Hip", "Knee", "Ankle"))
    trunk = np.isin(kind, ("Spine", "Chest", "Neck", "Head", "Shoulder", "Elbow", "Wrist", "Hand"))
    same = shapes.person[:, None] == shapes.person[None, :]
    left = np.char.startswith(name, "L_")
    legs = (leg & left & (kind != "Hip"))[:, None] & (leg & ~left & (kind != "Hip"))[None, :]
    pairs = np.argwhere(same & ((leg[:, None] & trunk[None, :]) | legs))
    folded = ik.ClearanceTargets(
        shapes=shapes.rows(pairs[:, 0]), others=shapes.rows(pairs[:, 1]), margin=0.002, weight=2.0
    )
    return (*clearance(bodies), folded)
