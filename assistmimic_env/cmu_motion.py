"""The motion of the clip "A pulls up B": inverse kinematics of both people over all frames.

The recorded joints are followed with planted feet, touching hands and room between arms and bodies; after the last
recorded frame the people glide into a balanced stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from . import cmu_plan as plan
from . import kinematics, rotations
from .body import BodySpec
from .capsules import Capsules, capsules
from .ik import IkProblem, IkResult, IkSettings, solve
from .ik_targets import (
    CenterOfMassTargets,
    ClearanceTargets,
    DistanceTargets,
    Points,
    PointTargets,
    RelativeTargets,
    RestPull,
    RotationTargets,
    Target,
)
from .quality import centers

Array = NDArray[np.float64]

_POSITION_WEIGHT = {"Pelvis": 0.2, "Neck": 0.3, "Head": 0.3}
_ROTATION_WEIGHT = {"Pelvis": 0.1, "Chest": 0.1, "Head": 0.1}
_TWIST_WEIGHT = 0.05
_FOOT_WEIGHT, _FOOT_TURN_WEIGHT = 3.0, 0.3
_GUIDE_WEIGHT = 0.3
_CENTER_WEIGHT = 3.0
_TOUCH_WEIGHT = 2.0
_LOOSENED = {"Wrist": 0.2, "Elbow": 0.5}
"""What is left of the weight of a touching arm's joints."""
_GRIP_REACH = 0.055
"""The clasp is this far beyond the knuckles [m]."""
_SOFT = 0.001
"""Clasping hands press into each other this much [m]."""
_SINK = 0.006
"""The own hands and forearms may press this deep into thighs and trunk [m]."""
_SUPPORT_REACH = 0.13
"""A's left hand holds B's forearm this far from the elbow [m]."""
_ARM = tuple(side + part for side in plan.SIDES for part in ("Elbow", "Wrist", "Hand"))
_LAP = ("Pelvis", "L_Hip", "R_Hip")
_PAD = 3
"""Frames of each still phase that are solved; the others repeat them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Goal:
    """What each of N frames should fulfil; two people, J bodies."""

    position: Array
    """(N, 2, J, 3) [m]."""
    position_weight: Array
    """(N, 2, J)."""
    rotation: Array
    """(N, 2, J, 4) world rotations."""
    rotation_weight: Array
    """(N, 2, J)."""
    center: Array
    """(N, 2, 3) centre of mass [m]; NaN for the height."""
    center_weight: Array
    """(N, 2)."""
    clasp: Array
    """(N,) 1 while the right hands touch."""
    support: Array
    """(N,) 1 while A's left hand is at B's right forearm."""

    def part(self, frames: slice) -> _Goal:
        """Some of the frames."""
        return _Goal(**{item.name: getattr(self, item.name)[frames] for item in fields(self)})

    def followed_by(self, other: _Goal) -> _Goal:
        """These frames, then the other's."""
        joined = {
            item.name: np.concatenate([getattr(self, item.name), getattr(other, item.name)]) for item in fields(self)
        }
        return _Goal(**joined)


def retarget(take: plan.Take) -> tuple[Array, Array]:
    """Move both bodies through the whole clip.

    Args:
        take: The recording on the clip's clock, N frames.

    Returns:
        Root positions (N, 2, 3) [m] and local rotations (N, 2, J, 4).
    """
    begin = round(plan.HOLD * plan.FPS) - _PAD
    parents = take.bodies[0].parents
    goal = _recorded_goal(take).part(slice(begin, take.played))
    start = kinematics.local_from_global(parents, take.carried[begin : take.played])
    played = _solve(take, goal, take.pelvis[begin : take.played], start, rest=start, iterations=6)
    stand = _stand(take, played)
    root, local = _ending(take, played, stand)
    whole = goal.followed_by(_ending_goal(take, played, root, local))
    result = _solve(
        take,
        whole,
        np.concatenate([played.root_position, root]),
        np.concatenate([played.local_rotation, local]),
        rest=np.concatenate([start, local]),
        iterations=10,
    )
    after = len(take.frame) - begin - len(result.root_position)
    return (
        np.pad(result.root_position, ((begin, after), (0, 0), (0, 0)), mode="edge"),
        np.pad(result.local_rotation, ((begin, after), (0, 0), (0, 0), (0, 0)), mode="edge"),
    )


def _solve(
    take: plan.Take, goal: _Goal, root: Array, local: Array, *, rest: Array, iterations: int, smoothness: float = 0.2
) -> IkResult:
    bodies = take.bodies
    problem = IkProblem(
        parents=bodies[0].parents,
        offsets=np.stack([body.offsets for body in bodies]),
        root_position=root,
        local_rotation=local,
        targets=_targets(bodies, goal),
        rest=RestPull(local_rotation=rest, weight=0.03),
        smoothness=smoothness,
    )
    return solve(problem, IkSettings(iterations=iterations))


def _targets(bodies: tuple[BodySpec, BodySpec], goal: _Goal) -> tuple[Target, ...]:
    placed = np.nonzero((goal.position_weight > 0.0).any(axis=0))
    turned = np.nonzero((goal.rotation_weight > 0.0).any(axis=0))
    shapes = capsules(bodies)
    return (
        PointTargets(
            points=Points(person=placed[0], body=placed[1]),
            position=goal.position[:, *placed],
            weight=goal.position_weight[:, *placed],
        ),
        RotationTargets(
            bodies=Points(person=turned[0], body=turned[1]),
            rotation=goal.rotation[:, *turned],
            weight=goal.rotation_weight[:, *turned],
        ),
        CenterOfMassTargets(
            person=(0, 1),
            mass=np.stack([body.masses for body in bodies]),
            offset=np.stack([centers(body) for body in bodies]),
            position=goal.center,
            weight=goal.center_weight,
        ),
        RelativeTargets(points=_palm(bodies, 0), others=_palm(bodies, 1), weight=_TOUCH_WEIGHT * goal.clasp[:, None]),
        _support(bodies, goal.support),
        _clearance(shapes, bodies[0], (0, _ARM), (1, _ARM), margin=-2.0 * _SOFT),
        *(_clearance(shapes, bodies[0], (one, _ARM), (one, _LAP), margin=-_SINK) for one in range(2)),
    )


def _palm(bodies: tuple[BodySpec, BodySpec], role: int) -> Points:
    """The point of the right hand that clasps: on the palm side (down in the T-pose) of the fingers."""
    body = bodies[role].index("R_Hand")
    radius = next(geom.radius for geom in bodies[role].geoms if geom.body == body)
    return Points(person=role, body=body, offset=(0.0, -_GRIP_REACH, _SOFT - radius))


def _support(bodies: tuple[BodySpec, BodySpec], weight: Array) -> DistanceTargets:
    """A's left fingers on B's right forearm, from whatever side."""
    hand, forearm = bodies[0].index("L_Hand"), bodies[1].index("R_Elbow")
    radii = [
        next(geom.radius for geom in body.geoms if geom.body == i)
        for body, i in zip(bodies, (hand, forearm), strict=True)
    ]
    return DistanceTargets(
        points=Points(person=0, body=hand, offset=(0.0, 0.5 * _GRIP_REACH, 0.0)),
        others=Points(person=1, body=forearm, offset=(0.0, -_SUPPORT_REACH, 0.0)),
        distance=np.array([sum(radii) - _SOFT]),
        weight=weight[:, None],
    )


def _clearance(
    shapes: Capsules, body: BodySpec, one: tuple[int, Sequence[str]], other: tuple[int, Sequence[str]], *, margin: float
) -> ClearanceTargets:
    """Keep every shape of some bodies of one person off every shape of some bodies of a person."""
    mine, theirs = (
        np.flatnonzero((shapes.person == role) & np.isin(shapes.body, body.indices(names)))
        for role, names in (one, other)
    )
    first, second = (grid.ravel() for grid in np.meshgrid(mine, theirs, indexing="ij"))
    return ClearanceTargets(shapes=shapes.rows(first), others=shapes.rows(second), margin=margin, weight=_TOUCH_WEIGHT)


def _recorded_goal(take: plan.Take) -> _Goal:
    """The recording with planted feet and loosened clasping arms, all N frames (those after its end are its last)."""
    count, body = len(take.frame), take.bodies[0]
    position = np.nan_to_num(take.joints)
    position[:, :, 0] = take.pelvis
    tracked = np.isfinite(take.joints[0, 0, :, 0])
    weight = np.where(tracked, 1.0, 0.0)
    turn_weight = np.full(body.num_bodies, _TWIST_WEIGHT)
    for table, target in ((_POSITION_WEIGHT, weight), (_ROTATION_WEIGHT, turn_weight)):
        target[body.indices(table)] = list(table.values())
    position_weight = np.tile(weight, (count, 2, 1))
    for role, side, touching in ((0, "R_", take.clasp), (1, "R_", take.clasp), (0, "L_", take.support)):
        for part, left in _LOOSENED.items():
            position_weight[:, role, body.index(side + part)] *= 1.0 - (1.0 - left) * touching
    rotation_weight = np.tile(turn_weight, (count, 2, 1))
    rotation = take.carried.copy()
    _plant(take, position, rotation)
    feet = _feet(body)
    position_weight[:, :, feet], rotation_weight[:, :, feet] = _FOOT_WEIGHT, _FOOT_TURN_WEIGHT
    return _Goal(
        position=position,
        position_weight=position_weight,
        rotation=rotation,
        rotation_weight=rotation_weight,
        center=np.zeros((count, 2, 3)),
        center_weight=np.zeros((count, 2)),
        clasp=take.clasp,
        support=take.support,
    )


def _feet(body: BodySpec) -> NDArray[np.intp]:
    return body.indices(side + part for side in plan.SIDES for part in ("Ankle", "Toe"))


def _plant(take: plan.Take, position: Array, rotation: Array) -> None:
    """Move the feet's targets (in place) to their footholds while they stand, and keep them above the floor."""
    for role, body in enumerate(take.bodies):
        for side in plan.SIDES:
            ankle, toe, _ = plan.flat_foot(body, side)
            for part, height in (("Ankle", ankle), ("Toe", toe)):
                place = position[:, role, body.index(side + part)]
                place[:, 2] = np.maximum(place[:, 2], height)
    for stance in plan.STANCES:
        body = take.bodies[stance.role]
        ankle, toe, heading = plan.foothold(take, stance)
        flat = rotations.yaw_quaternion(heading)
        for part, spot in (("Ankle", ankle), ("Toe", toe)):
            index = stance.role, body.index(stance.side + part)
            held = stance.weight(take.frame, toe=part == "Toe")
            position[:, *index] += held[:, None] * (spot - position[:, *index])
            rotation[:, *index] = rotations.slerp(rotation[:, *index], np.broadcast_to(flat, (len(held), 4)), held)


def _stand(take: plan.Take, played: IkResult) -> tuple[Array, Array]:
    """A balanced stand over the last footholds: root (2, 3) and local rotations (2, J, 4)."""
    bodies = take.bodies
    parents, offsets = bodies[0].parents, np.stack([body.offsets for body in bodies])
    heading = np.unwrap(rotations.heading(played.rotation[:, :, 0]), axis=0)
    local = _standing_pose(bodies[0], heading[-1] + 0.5 * plan.LANDING * plan.end_velocity(heading))
    middle = np.stack([_middle(take, role) for role in range(2)])
    root = middle + np.array([[0.0, 0.0, body.rest_height - 0.04] for body in bodies])
    position, rotation = kinematics.forward_kinematics(parents, offsets, root, local)
    weight, turn_weight = np.zeros((2, bodies[0].num_bodies)), np.full((2, bodies[0].num_bodies), 0.02)
    weight[:, 0] = 0.05
    turn_weight[:, bodies[0].indices(("Pelvis", "Chest", "Head"))] = (1.0, 0.5, 0.3)
    for role, body in enumerate(bodies):
        _stand_on(take, role, position[role], rotation[role])
        weight[role, _feet(body)], turn_weight[role, _feet(body)] = _FOOT_WEIGHT, 1.0
    goal = _Goal(
        position=position[None],
        position_weight=weight[None],
        rotation=rotation[None],
        rotation_weight=turn_weight[None],
        center=_over(middle)[None],
        center_weight=np.full((1, 2), _CENTER_WEIGHT),
        clasp=np.zeros(1),
        support=np.zeros(1),
    )
    result = _solve(take, goal, root[None], local[None], rest=local[None], iterations=30, smoothness=0.0)
    return result.root_position[0], result.local_rotation[0]


def _standing_pose(body: BodySpec, heading: Array) -> Array:
    """Arms at the sides, elbows and knees a little bent, local rotations (2, J, 4)."""
    vectors = np.zeros((2, body.num_bodies, 3))
    for side, sign in (("L_", 1.0), ("R_", -1.0)):
        for part, vector in (
            ("Shoulder", (-1.32 * sign, 0.0, 0.0)),
            ("Elbow", (0.0, 0.0, -0.25 * sign)),
            ("Hip", (0.0, -0.12, 0.0)),
            ("Knee", (0.0, 0.20, 0.0)),
            ("Ankle", (0.0, -0.08, 0.0)),
        ):
            vectors[:, body.index(side + part)] = vector
    local = rotations.from_rotation_vector(vectors)
    local[:, 0] = rotations.yaw_quaternion(heading)
    return local


def _last_footholds(take: plan.Take, role: int) -> dict[str, tuple[Array, Array, float]]:
    """Ankle, toe joint and heading of both feet in the stand, by side."""
    stance = next(s for s in plan.STANCES if s.role == role and s.up == np.inf and s.side != plan.LAST_STEPS[role])
    return {plan.LAST_STEPS[role]: plan.landing(take, role), stance.side: plan.foothold(take, stance)}


def _middle(take: plan.Take, role: int) -> Array:
    """Where the centre of mass belongs: between the feet, a little before the ankles; (3,) at height 0 [m]."""
    spots = [0.6 * ankle + 0.4 * toe for ankle, toe, _ in _last_footholds(take, role).values()]
    return np.mean(spots, axis=0) * np.array([1.0, 1.0, 0.0])


def _over(middle: Array) -> Array:
    return np.concatenate([middle[..., :2], np.full((*middle.shape[:-1], 1), np.nan)], axis=-1)


def _stand_on(take: plan.Take, role: int, position: Array, rotation: Array) -> None:
    """Put one person's foot targets (..., J, 3|4) on their last footholds, in place."""
    body = take.bodies[role]
    for side, (ankle, toe, heading) in _last_footholds(take, role).items():
        for part, spot in (("Ankle", ankle), ("Toe", toe)):
            position[..., body.index(side + part), :] = spot
            rotation[..., body.index(side + part), :] = rotations.yaw_quaternion(heading)


def _ending(take: plan.Take, played: IkResult, stand: tuple[Array, Array]) -> tuple[Array, Array]:
    """A smooth way from the last played frame and its velocity into the stand: root (M, 2, 3), local (M, 2, J, 4)."""
    count = round(plan.SETTLE * plan.FPS) + _PAD
    phase = np.minimum(take.after[take.played :][:count] / plan.SETTLE, 1.0)
    root = played.root_position[-1] + _glide(
        phase[:, None, None], stand[0] - played.root_position[-1], plan.end_velocity(played.root_position), plan.SETTLE
    )
    last = played.local_rotation[-1]
    behind = rotations.multiply(rotations.conjugate(last), played.local_rotation[-3:])
    way = rotations.to_rotation_vector(rotations.multiply(rotations.conjugate(last), stand[1]))
    speed = plan.end_velocity(rotations.to_rotation_vector(behind))
    turn = _glide(phase[:, None, None, None], way, speed, plan.SETTLE)
    return root, rotations.multiply(last, rotations.from_rotation_vector(turn))


def _glide(phase: Array, way: Array, speed: Array, duration: float) -> Array:
    """Quintic from 0 at ``speed`` to rest at ``way``, without acceleration at both ends; phase in [0, 1]."""
    carry = phase - 6.0 * phase**3 + 8.0 * phase**4 - 3.0 * phase**5
    return way * plan.smooth(phase) + speed * (duration * carry)


def _ending_goal(take: plan.Take, played: IkResult, root: Array, local: Array) -> _Goal:
    """Follow the way into the stand with the feet on their last steps and the centres of mass moving over them."""
    bodies, count = take.bodies, len(root)
    offsets = np.stack([body.offsets for body in bodies])
    position, rotation = kinematics.forward_kinematics(bodies[0].parents, offsets, root, local)
    weight = np.full(position.shape[:-1], _GUIDE_WEIGHT)
    time = take.after[take.played :][:count]
    for role, body in enumerate(bodies):
        _stand_on(take, role, position[:, role], rotation[:, role])
        _swing(take, role, played, time, position[:, role], rotation[:, role])
        weight[:, role, _feet(body)] = _FOOT_WEIGHT
    middle = np.stack([_middle(take, role) for role in range(2)])
    return _Goal(
        position=position,
        position_weight=weight,
        rotation=rotation,
        rotation_weight=np.full(weight.shape, _GUIDE_WEIGHT),
        center=np.tile(_over(middle), (count, 1, 1)),
        center_weight=np.tile(_CENTER_WEIGHT * plan.smooth(time / plan.SETTLE)[:, None], (1, 2)),
        clasp=np.zeros(count),
        support=np.zeros(count),
    )


def _swing(take: plan.Take, role: int, played: IkResult, time: Array, position: Array, rotation: Array) -> None:
    """Bring the foot in the air from its last recorded velocity to the floor, in place (M, J, 3|4)."""
    phase, end = np.minimum(time / plan.LANDING, 1.0), take.played - 1
    for part in ("Ankle", "Toe"):
        index = take.bodies[role].index(plan.LAST_STEPS[role] + part)
        recorded, spot = take.joints[: end + 1, role, index], position[-1, index].copy()
        way = _glide(phase[:, None], spot - recorded[-1], plan.end_velocity(recorded), plan.LANDING)
        position[:, index] = recorded[-1] + way
        position[:, index, 2] = np.maximum(position[:, index, 2], spot[2])
        first = np.broadcast_to(played.rotation[-1, role, index], (len(time), 4))
        rotation[:, index] = rotations.slerp(first, rotation[:, index], plan.smooth(phase))
