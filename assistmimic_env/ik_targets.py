"""What inverse kinematics can ask for: points, rotations, relations between people, balance, clearance, habits.

A target linearises itself at a `State`: weighted residuals and their derivative by the unknowns of `ik`. Per person the
unknowns are the root's translation and one rotation vector per body, expressed in the body's own frame
(``q <- q * exp(d)``). All weights multiply the residual.

Shapes: T frames, P people, J bodies, K rows of a target, n = P * (3 + 3 J) unknowns per frame. Units: metres and
radians; world frame, z up; quaternions wxyz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import rotations
from .capsules import Capsules, closest_parameters, world_ends
from .errors import ConfigError
from .kinematics import forward_kinematics

__all__ = [
    "CenterOfMassTargets",
    "ClearanceTargets",
    "DistanceTargets",
    "JointLimits",
    "PointTargets",
    "Points",
    "RelativeTargets",
    "RestPull",
    "RotationTargets",
    "State",
    "Target",
    "ancestor_mask",
    "body_targets",
]

Array = NDArray[Any]
Index = NDArray[np.intp]


def ancestor_mask(parents: Sequence[int]) -> Array:
    """Which bodies carry which: ``mask[b, a]`` is True when ``a`` is ``b`` or an ancestor of ``b``.

    Args:
        parents: Parent of each body, -1 for the root; a parent comes before its children.

    Returns:
        Shape (J, J), bool.
    """
    mask = np.eye(len(parents), dtype=bool)
    for body, parent in enumerate(parents):
        if parent >= 0:
            mask[body] |= mask[parent]
    return mask


def _skew(vector: Array) -> Array:
    """The matrix of the cross product, ``_skew(a) @ b == cross(a, b)``; shape (..., 3) -> (..., 3, 3)."""
    x, y, z = np.moveaxis(vector, -1, 0)
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*vector.shape, 3)


def _inverse_left_jacobian(vector: Array) -> Array:
    """Derivative of ``log(exp(w) exp(r))`` by ``w`` at 0; (..., 3) -> (..., 3, 3). Its transpose is the right one."""
    angle = np.linalg.norm(vector, axis=-1)
    half = np.maximum(0.5 * angle, 1e-4)
    factor = (1.0 - half / np.tan(half)) / (4.0 * half**2)
    cross = _skew(vector)
    return np.eye(3) - 0.5 * cross + factor[..., None, None] * (cross @ cross)


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """A pose of all people in all frames with what the targets need to know about it."""

    parents: tuple[int, ...]
    """Parent of each body, -1 for the root."""
    offsets: Array
    """Bone offsets in the parent's frame, shape (P, J, 3) [m]."""
    ancestors: Array
    """Result of `ancestor_mask`, shape (J, J)."""
    root_position: Array
    """World position of the roots, shape (T, P, 3) [m]."""
    local_rotation: Array
    """Rotation relative to the parent (the root's: to the world), shape (T, P, J, 4)."""
    position: Array = field(init=False)
    """World positions, shape (T, P, J, 3) [m]."""
    rotation: Array = field(init=False)
    """World rotations, shape (T, P, J, 4)."""
    matrix: Array = field(init=False)
    """World rotations, shape (T, P, J, 3, 3)."""

    def __post_init__(self) -> None:
        """Run the forward kinematics."""
        offsets = np.broadcast_to(self.offsets, (*self.local_rotation.shape[:-1], 3))
        position, rotation = forward_kinematics(self.parents, offsets, self.root_position, self.local_rotation)
        object.__setattr__(self, "position", position)
        object.__setattr__(self, "rotation", rotation)
        object.__setattr__(self, "matrix", rotations.to_matrix(rotation))

    @property
    def size(self) -> int:
        """Unknowns per frame, P * (3 + 3 J)."""
        _, people, bodies, _ = self.local_rotation.shape
        return people * (3 + 3 * bodies)

    def moved(self, step: Array) -> State:
        """The pose after a tangent step.

        Args:
            step: Shape (T, n): per person the root's translation [m], then a rotation vector per body [rad].

        Returns:
            The new pose; this one is unchanged.
        """
        frames, people, bodies, _ = self.local_rotation.shape
        step = step.reshape(frames, people, 3 + 3 * bodies)
        turn = rotations.from_rotation_vector(step[..., 3:].reshape(frames, people, bodies, 3))
        return self._with(
            self.root_position + step[..., :3],
            rotations.normalize(rotations.multiply(self.local_rotation, turn)),
        )

    def merged(self, other: State, frames: Array) -> State:
        """This pose, replaced by ``other`` in the frames where the mask (T,) is True."""
        if frames.all():
            return other
        return self._with(
            np.where(frames[:, None, None], other.root_position, self.root_position),
            np.where(frames[:, None, None, None], other.local_rotation, self.local_rotation),
        )

    def _with(self, root_position: Array, local_rotation: Array) -> State:
        return State(
            parents=self.parents,
            offsets=self.offsets,
            ancestors=self.ancestors,
            root_position=root_position,
            local_rotation=local_rotation,
        )

    def point(self, points: Points) -> Array:
        """World position of points fixed to bodies, shape (T, K, 3) [m]."""
        matrix = self.matrix[:, points.person, points.body]
        return self.position[:, points.person, points.body] + (matrix @ points.offset[..., None])[..., 0]

    def point_jacobian(self, points: Points, world: Array) -> Array:
        """Derivative of the world position of points by the unknowns.

        Args:
            points: The points.
            world: Their positions, from `point`, shape (T, K, 3) [m].

        Returns:
            Shape (T, K, 3, n).
        """
        arm = world[:, :, None] - self.position[:, points.person]
        arm = arm * self.ancestors[points.body][None, :, :, None]
        return self._arm_jacobian(points.person, arm, np.ones(len(points.person)))

    def rotation_jacobian(self, bodies: Points) -> Array:
        """Derivative of world rotations (as world-frame rotation vectors) by the unknowns, shape (T, K, 3, n)."""
        chain = self.ancestors[bodies.body][None, :, :, None, None]
        turn = np.where(chain, self.matrix[:, bodies.person], 0.0)
        return self._scatter(bodies.person, np.swapaxes(turn, 2, 3), np.zeros(len(bodies.person)))

    def center_jacobian(self, person: Index, mass: Array, points: Array) -> Array:
        """Derivative of mass-weighted mean points by the unknowns: each joint carries the centre of its subtree.

        Args:
            person: Whose, shape (K,).
            mass: Share of each body, summing to 1, shape (K, J).
            points: World position of the bodies' centres, shape (T, K, J, 3) [m].

        Returns:
            Shape (T, K, 3, n).
        """
        carried = self.ancestors.T.astype(float)
        subtree = mass @ carried.T
        moment = np.einsum("ab,tkbc->tkac", carried, points * mass[..., None])
        arm = moment - subtree[..., None] * self.position[:, person]
        return self._arm_jacobian(person, arm, mass.sum(axis=-1))

    def _arm_jacobian(self, person: Index, arm: Array, translation: Array) -> Array:
        """Rows for points at the end of lever arms (T, K, J, 3) of each joint: d = (G w) x arm."""
        block = -_skew(arm) @ self.matrix[:, person]
        return self._scatter(person, np.swapaxes(block, 2, 3), translation)

    def _scatter(self, person: Index, block: Array, translation: Array) -> Array:
        """Put rows (T, K, 3, J, 3) of single people into the columns of the joint problem."""
        frames, rows = block.shape[:2]
        people, bodies = self.local_rotation.shape[1:3]
        jacobian = np.zeros((frames, rows, 3, people, 3 + 3 * bodies))
        for one in range(people):
            mine = np.flatnonzero(person == one)
            columns = jacobian[:, :, :, one]
            columns[:, mine, :, :3] = translation[mine, None, None] * np.eye(3)
            columns[:, mine, :, 3:] = block[:, mine].reshape(frames, len(mine), 3, 3 * bodies)
        return jacobian.reshape(frames, rows, 3, people * (3 + 3 * bodies))


@dataclass(frozen=True, init=False, eq=False)
class Points:
    """Points fixed to bodies, K of them."""

    person: Index
    """Whose body, shape (K,)."""
    body: Index
    """Which body, shape (K,)."""
    offset: Array
    """Where in the body's frame, shape (K, 3) or, moving, (T, K, 3) [m]."""

    def __init__(self, *, person: ArrayLike, body: ArrayLike, offset: ArrayLike = (0.0, 0.0, 0.0)) -> None:
        """Broadcast the fields against each other: single numbers and a single offset (3,) stand for all rows."""
        where = np.asarray(offset, dtype=float)
        rows = where.shape[-2:-1] or (1,)
        person, body, _ = np.broadcast_arrays(np.atleast_1d(person), np.atleast_1d(body), np.zeros(rows))
        object.__setattr__(self, "person", person.astype(int))
        object.__setattr__(self, "body", body.astype(int))
        object.__setattr__(self, "offset", np.broadcast_to(where, (*where.shape[:-2], len(person), 3)))


class Target(Protocol):
    """Something the pose should fulfil: residual rows with their derivative."""

    def rows(self, state: State) -> tuple[Array, Array]:
        """Weighted residuals (T, m) and their Jacobian (T, m, n)."""
        ...

    def error(self, state: State) -> Array:
        """Unweighted errors, shape (T, K) [m or rad]; 0 where nothing is asked for."""
        ...


def _weighted(residual: Array, jacobian: Array, weight: Array) -> tuple[Array, Array]:
    """Apply weights to residuals (T, K, 3) and rows (T, K, 3, n), and flatten; NaN residuals count as untracked.

    The weight has shape (), (K,), (T, K), or with a last axis of 3 for single components: (K, 3) is told from (T, K) by
    `_weight`, which has run before.
    """
    asked = np.isfinite(residual) & (np.broadcast_to(weight, residual.shape) != 0)
    scale = np.where(asked, weight, 0.0)
    residual = np.where(asked, residual, 0.0) * scale
    frames, _, _, size = jacobian.shape
    return residual.reshape(frames, -1), (jacobian * scale[..., None]).reshape(frames, -1, size)


def _weight(weight: ArrayLike, frames: int, rows: int) -> Array:
    """Bring a weight of shape (), (K,), (K, 3), (T, K) or (T, K, 3) to (T, K, 3)."""
    weight = np.asarray(weight, dtype=float)
    shapes = {(): 0, (rows,): 1, (frames, rows): 1, (rows, 3): 0, (frames, rows, 3): 0}
    if weight.shape not in shapes:
        allowed = f"(), ({rows},), ({rows}, 3), ({frames}, {rows}) or ({frames}, {rows}, 3)"
        raise ConfigError(f"inverse kinematics: weight has shape {weight.shape}, expected {allowed} (frames, rows).")
    return np.broadcast_to(weight[..., None] if shapes[weight.shape] else weight, (frames, rows, 3))


@dataclass(frozen=True, kw_only=True, eq=False)
class PointTargets:
    """Points of bodies at given world positions."""

    points: Points
    """The points, K rows."""
    position: Array
    """Where they should be, shape (T, K, 3) or (K, 3) [m]; NaN components are untracked."""
    weight: ArrayLike = 1.0
    """Shape (), (K,), (K, 3), (T, K) or (T, K, 3) [1/m]; the last axis holds world x, y, z."""

    def rows(self, state: State) -> tuple[Array, Array]:
        """See `Target.rows`."""
        world = state.point(self.points)
        weight = _weight(self.weight, *world.shape[:2])
        return _weighted(world - self.position, state.point_jacobian(self.points, world), weight)

    def error(self, state: State) -> Array:
        """Distance to the target over the tracked components, shape (T, K) [m]."""
        return np.linalg.norm(np.nan_to_num(state.point(self.points) - self.position), axis=-1)


def body_targets(position: Array, weight: ArrayLike = 1.0) -> PointTargets:
    """Targets for the origins of all bodies of all people.

    Args:
        position: World positions, shape (T, P, J, 3) [m]; NaN = untracked.
        weight: Shape () or (J,), or (P, J) [1/m].

    Returns:
        Targets with K = P * J rows; bodies without any target or weight have no row.
    """
    frames, people, bodies, _ = position.shape
    weights = np.broadcast_to(np.asarray(weight, dtype=float), (people, bodies))
    used = np.isfinite(position).any(axis=(0, 3)) & (weights > 0)
    person, body = np.nonzero(used)
    return PointTargets(
        points=Points(person=person, body=body),
        position=position[:, person, body].reshape(frames, -1, 3),
        weight=weights[person, body],
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class RotationTargets:
    """Bodies at given world rotations, e.g. an upright trunk or a flat foot."""

    bodies: Points
    """The bodies, K rows; the offsets do not matter."""
    rotation: Array
    """World rotation, shape (T, K, 4) or (K, 4); NaN = untracked."""
    weight: ArrayLike = 1.0
    """Shape (), (K,), (K, 3), (T, K) or (T, K, 3) [1/rad]; the last axis holds turns about world x, y, z."""

    def _residual(self, state: State) -> Array:
        actual = state.rotation[:, self.bodies.person, self.bodies.body]
        return rotations.to_rotation_vector(rotations.multiply(actual, rotations.conjugate(self.rotation)))

    def rows(self, state: State) -> tuple[Array, Array]:
        """See `Target.rows`."""
        residual = self._residual(state)
        weight = _weight(self.weight, *residual.shape[:2])
        turn = _inverse_left_jacobian(np.nan_to_num(residual))
        return _weighted(residual, turn @ state.rotation_jacobian(self.bodies), weight)

    def error(self, state: State) -> Array:
        """Angle to the target, shape (T, K) [rad]."""
        return np.linalg.norm(np.nan_to_num(self._residual(state)), axis=-1)


@dataclass(frozen=True, kw_only=True, eq=False)
class RelativeTargets:
    """Points at a given displacement from other points, usually the partner's: contacts, kept relations."""

    points: Points
    """The points, K rows."""
    others: Points
    """The points they relate to, K rows."""
    displacement: ArrayLike = 0.0
    """``point - other`` in world axes, shape (T, K, 3) or (K, 3) [m]; 0 = touching; NaN components are untracked."""
    weight: ArrayLike = 1.0
    """Shape (), (K,), (K, 3), (T, K) or (T, K, 3) [1/m]."""

    def rows(self, state: State) -> tuple[Array, Array]:
        """See `Target.rows`."""
        one, other = state.point(self.points), state.point(self.others)
        jacobian = state.point_jacobian(self.points, one) - state.point_jacobian(self.others, other)
        return _weighted(one - other - self.displacement, jacobian, _weight(self.weight, *one.shape[:2]))

    def error(self, state: State) -> Array:
        """Length of the residual over the tracked components, shape (T, K) [m]."""
        residual = state.point(self.points) - state.point(self.others) - self.displacement
        return np.linalg.norm(np.nan_to_num(residual), axis=-1)


@dataclass(frozen=True, kw_only=True, eq=False)
class DistanceTargets:
    """Pairs of points at a given distance, or (``minimum``) not closer than it: the direction stays free."""

    points: Points
    """The points, K rows."""
    others: Points
    """The points they relate to, K rows."""
    distance: Array
    """Shape (K,) or (T, K) [m]; NaN = untracked."""
    minimum: bool = False
    """Only ask that the points are not closer: a soft non-penetration constraint between spheres."""
    weight: ArrayLike = 1.0
    """Shape (), (K,) or (T, K) [1/m]."""

    def _residual(self, state: State) -> tuple[Array, Array]:
        offset = state.point(self.points) - state.point(self.others)
        length = np.linalg.norm(offset, axis=-1)
        residual = length - self.distance
        return (np.minimum(residual, 0.0) if self.minimum else residual), offset / np.maximum(length, 1e-9)[..., None]

    def rows(self, state: State) -> tuple[Array, Array]:
        """See `Target.rows`."""
        residual, direction = self._residual(state)
        one, other = state.point(self.points), state.point(self.others)
        jacobian = state.point_jacobian(self.points, one) - state.point_jacobian(self.others, other)
        along = (direction[..., None, :] @ jacobian)[..., 0, :]
        asked = np.isfinite(residual) & ((residual < 0) if self.minimum else True)
        scale = np.where(asked, self.weight, 0.0)
        return np.where(asked, residual, 0.0) * scale, along * scale[..., None]

    def error(self, state: State) -> Array:
        """Distance error (or depth, with ``minimum``), shape (T, K) [m]."""
        return np.abs(np.nan_to_num(self._residual(state)[0]))


@dataclass(frozen=True, kw_only=True, eq=False)
class ClearanceTargets:
    """Pairs of capsules that must not come closer than a margin: soft non-penetration."""

    shapes: Capsules
    """The first of each pair, K rows."""
    others: Capsules
    """The second of each pair, K rows."""
    margin: float = 0.0
    """Least distance between the surfaces [m]; negative allows a depth."""
    weight: float = 1.0
    """[1/m]."""

    def _closest(self, state: State) -> tuple[Array, Array, Array]:
        """Distance between the surfaces beyond the margin (T, K) and the closest points of the axes, in body frames."""
        ends = world_ends(self.shapes, state.position, state.matrix)
        other_ends = world_ends(self.others, state.position, state.matrix)
        s, t = closest_parameters(*ends, *other_ends)
        one, other = s[..., None], t[..., None]
        axis = (1 - one) * ends[0] + one * ends[1] - (1 - other) * other_ends[0] - other * other_ends[1]
        gap = np.linalg.norm(axis, axis=-1) - self.shapes.radius - self.others.radius - self.margin
        local = (1 - one) * self.shapes.start + one * self.shapes.end
        return gap, local, (1 - other) * self.others.start + other * self.others.end

    def rows(self, state: State) -> tuple[Array, Array]:
        """See `Target.rows`; only pairs that violate the margin in some frame have rows."""
        gap, local, other_local = self._closest(state)
        pair = np.flatnonzero((gap < 0).any(axis=0))
        one, other = self.shapes.rows(pair), self.others.rows(pair)
        radii = one.radius + other.radius + self.margin
        return DistanceTargets(
            points=Points(person=one.person, body=one.body, offset=local[:, pair]),
            others=Points(person=other.person, body=other.body, offset=other_local[:, pair]),
            distance=radii,
            minimum=True,
            weight=self.weight,
        ).rows(state)

    def error(self, state: State) -> Array:
        """Depth beyond the margin, shape (T, K) [m]."""
        return np.maximum(-self._closest(state)[0], 0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class CenterOfMassTargets:
    """Centres of mass at given world positions, e.g. over the feet (NaN for the height)."""

    person: Sequence[int]
    """Whose, shape (K,)."""
    mass: Array
    """Mass of each body, shape (K, J) [kg]."""
    offset: Array
    """Centre of mass of each body in its frame, shape (K, J, 3) [m]."""
    position: Array
    """Where it should be, shape (T, K, 3) or (K, 3) [m]; NaN components are untracked."""
    weight: ArrayLike = 1.0
    """Shape (), (K,), (K, 3), (T, K) or (T, K, 3) [1/m]."""

    def _share(self) -> Array:
        return self.mass / self.mass.sum(axis=-1, keepdims=True)

    def centers(self, state: State) -> Array:
        """World position of each body's centre of mass, shape (T, K, J, 3) [m]."""
        person = np.asarray(self.person, dtype=int)
        return state.position[:, person] + (state.matrix[:, person] @ self.offset[..., None])[..., 0]

    def _residual(self, state: State) -> Array:
        return np.einsum("kb,tkbc->tkc", self._share(), self.centers(state)) - self.position

    def rows(self, state: State) -> tuple[Array, Array]:
        """See `Target.rows`."""
        residual = self._residual(state)
        person = np.asarray(self.person, dtype=int)
        jacobian = state.center_jacobian(person, self._share(), self.centers(state))
        return _weighted(residual, jacobian, _weight(self.weight, *residual.shape[:2]))

    def error(self, state: State) -> Array:
        """Distance to the target over the tracked components, shape (T, K) [m]."""
        return np.linalg.norm(np.nan_to_num(self._residual(state)), axis=-1)


@dataclass(frozen=True, kw_only=True, eq=False)
class RestPull:
    """Pull of the local rotations to a rest pose; decides what the targets leave open (twist, spine, elbow planes)."""

    local_rotation: Array
    """Rest pose, shape (J, 4), (P, J, 4) or (T, P, J, 4)."""
    weight: ArrayLike = 0.03
    """Shape (), (J,), (J, 3), (P, J, 3) or (T, P, J, 3) [1/rad]; the last axis holds turns about the body's x, y, z."""

    def blocks(self, state: State) -> tuple[Array, Array]:
        """Weighted residuals (T, P, J, 3) and their derivative by the body's own tangent (T, P, J, 3, 3)."""
        relative = rotations.multiply(rotations.conjugate(self.local_rotation), state.local_rotation)
        residual = rotations.to_rotation_vector(relative)
        weight = _joint_weight(self.weight, residual.shape)
        return residual * weight, np.swapaxes(_inverse_left_jacobian(residual), -1, -2) * weight[..., None]


@dataclass(frozen=True, kw_only=True, eq=False)
class JointLimits:
    """Soft limits of the components of the local rotation vectors: elbows and knees bend one way, about one axis."""

    lower: Array
    """Shape (J, 3) [rad], -inf = free."""
    upper: Array
    """Shape (J, 3) [rad], inf = free."""
    weight: ArrayLike = 0.3
    """Shape (), (J,), (J, 3), (P, J, 3) or (T, P, J, 3) [1/rad]."""

    def blocks(self, state: State) -> tuple[Array, Array]:
        """Weighted excess (T, P, J, 3) and its derivative by the body's own tangent (T, P, J, 3, 3)."""
        vector = rotations.to_rotation_vector(state.local_rotation)
        excess = vector - np.clip(vector, self.lower, self.upper)
        weight = np.where(excess != 0, _joint_weight(self.weight, vector.shape), 0.0)
        return excess * weight, np.swapaxes(_inverse_left_jacobian(vector), -1, -2) * weight[..., None]


def _joint_weight(weight: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Bring a weight of shape (), (J,), (J, 3), (P, J, 3) or (T, P, J, 3) to (T, P, J, 3)."""
    weight = np.asarray(weight, dtype=float)
    if weight.ndim == 1 and weight.shape == (shape[2],):
        weight = weight[:, None]
    try:
        return np.broadcast_to(weight, shape)
    except ValueError as error:
        raise ConfigError(
            f"inverse kinematics: joint weight has shape {weight.shape}, expected (), ({shape[2]},), ({shape[2]}, 3) "
            f"or anything that broadcasts to {shape} (frames, people, bodies, axis)."
        ) from error
