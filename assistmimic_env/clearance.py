"""``Clearance``: noisy start states in which nothing is deeper inside something else than in the reference.

Noise around a pose in which two people hold each other puts hands into backs and feet into the floor (measured with
``start_noise=1``: up to 13 cm), and tears hands from what they hold (by 8 cm in the median). Here such a state moves to
one in which contacts are as deep and hands hold where they do in the reference, by steps that are as small as possible
in units of the noise's own standard deviations: Gauss-Newton, with MuJoCo's own collision detection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import mujoco
import numpy as np
from numpy.typing import NDArray

from . import rotations
from .config import NoiseConfig
from .scene import Scene, hold_ends

Array = NDArray[np.float64]
Ids = NDArray[np.intp]

TOLERANCE = 0.01
"""How much deeper than in the reference a contact may be, and how far from its place there a hand that holds [m]."""

_CONTACTS = 8
"""Contacts that one correction looks at, the deepest of each world; beside all closed holds."""

_HOLD_ROUNDS, _SMALL_ROUNDS, _ROUNDS = 2, 8, 14
"""Corrections: the first ones look at holds alone, where there are any; how many leave the noise its size (each of the
others halves it and its own bound); and all. A hand far from its place touches what it will not touch there."""

_LARGEST = 2.0
"""Bound of a coordinate's change in one correction, in standard deviations of the noise."""

_CONTACT_DAMPING, _HOLD_DAMPING = 1e-3, 3e-4
"""Of the correction [m^2]: contacts that cannot all give way do not blow it up."""

_FLOOR, _FURNITURE, _PARTNER, _SELF = range(4)
"""Kinds of contacts."""


@dataclass(frozen=True, kw_only=True)
class _Contacts:
    """Contacts of one state.

    Attributes:
        depth: Shape (k,) [m].
        kind: Shape (k,).
        geoms: Shape (k, 2).
        point: Shape (k, 3) [m].
        normal: From the first to the second geom, shape (k, 3).
    """

    depth: Array
    kind: Ids
    geoms: Ids
    point: Array
    normal: Array

    def deepest(self) -> Array:
        """Greatest depth of each kind, shape (4,) [m]."""
        depth = np.zeros(4)
        np.maximum.at(depth, self.kind, self.depth)
        return depth


@dataclass(frozen=True, kw_only=True)
class _Overlaps:
    """What is too deep in n states: ``_CONTACTS`` contacts, then three directions of each hold; else rows of 0.

    Attributes:
        stuck: Whether a state is to be corrected, shape (n,).
        depth: How much too deep, of a hold with its sign, shape (n, k) [m].
        sign: Which bodies' rotation moves the second (1) or the first (-1) of the two alone, shape (n, k, 2 J).
        point: Where they touch, shape (n, k, 3) [m].
        normal: From the first to the second, of a hold an axis of the world, shape (n, k, 3).
        origin: Positions of all bodies, shape (n, 2 J, 3) [m].
        frame: Their rotations, shape (n, 2 J, 9).
    """

    stuck: NDArray[np.bool_]
    depth: Array
    sign: Array
    point: Array
    normal: Array
    origin: Array
    frame: Array

    @classmethod
    def none(cls, states: int, bodies: int, holds: int) -> _Overlaps:
        """Room for some states."""
        rows = _CONTACTS + 3 * holds
        return cls(
            stuck=np.zeros(states, dtype=np.bool_),
            depth=np.zeros((states, rows)),
            sign=np.zeros((states, rows, 2 * bodies)),
            point=np.zeros((states, rows, 3)),
            normal=np.zeros((states, rows, 3)),
            origin=np.zeros((states, 2 * bodies, 3)),
            frame=np.zeros((states, 2 * bodies, 9)),
        )

    def of_the_stuck(self) -> _Overlaps:
        """Without the states that are fine."""
        if self.stuck.all():
            return self
        return _Overlaps(**{item.name: getattr(self, item.name)[self.stuck] for item in fields(self)})

    def least_step(self, scale: tuple[float, Array], bound: float) -> tuple[Array, Array]:
        """Smallest step that undoes the depths, in units of scales.

        Args:
            scale: Of root positions [m], and of the bodies' rotations, shape (2 J, 1) [rad].
            bound: Largest coordinate in these units.

        Returns:
            Shifts of the roots, shape (n, 2, 3) [m], and body-frame turns, shape (n, 2 J, 3) [rad].
        """
        (count, constraints), bodies = self.depth.shape, self.origin.shape[1]
        rows = np.empty((count, constraints, 2 + bodies, 3))
        roots = self.sign[..., :: bodies // 2, None]
        rows[:, :, :2] = scale[0] * roots * self.normal[:, :, None]
        across = _cross_matrix(self.normal)  # (point - origin) x normal, for all bodies at once
        rows[:, :, 2:] = self.point[:, :, None] @ across - self.origin[:, None] @ across
        rows[:, :, 2:] *= scale[1] * self.sign[..., None]
        flat = rows.reshape(count, constraints, -1)
        push = _least(flat, self.depth)
        pulling = (push < 0.0) & (np.arange(constraints) < _CONTACTS)[:, None]
        push = _least(flat * ~pulling, self.depth)  # holds push and pull, contacts only push
        push[:, :_CONTACTS] = np.maximum(push[:, :_CONTACTS], 0.0)
        step = (np.swapaxes(flat, -1, -2) @ push).reshape(count, -1, 3)
        largest = np.abs(step).max(axis=(1, 2), keepdims=True)
        step *= np.minimum(1.0, bound / np.maximum(largest, 1e-12))
        turn = (step[:, 2:, None] @ self.frame.reshape(count, bodies, 3, 3))[:, :, 0]
        return scale[0] * step[:, :2], scale[1] * turn


def _least(rows: Array, depth: Array) -> Array:
    """Multipliers, shape (n, k, 1), of the damped smallest steps along rows (n, k, D) that undo depths (n, k)."""
    damping = np.full(rows.shape[1], _HOLD_DAMPING)
    damping[:_CONTACTS] = _CONTACT_DAMPING
    damped = rows @ np.swapaxes(rows, -1, -2) + np.diag(damping)
    return np.asarray(np.linalg.solve(damped, depth[..., None]), dtype=np.float64)


class Clearance:
    """Moves start states out of contacts that the reference does not have, and hands back to what they hold.

    Args:
        scene: Who and what can touch.
        reference: Reference states, shape (F, 2, 3 + 4 J).
        noise: Standard deviations of the start noise: what deviates little is corrected little.
        held: Which holds of the scene the clips have closed at each state, shape (F, holds); by default none.
    """

    def __init__(
        self, scene: Scene, reference: Array, noise: NoiseConfig, held: NDArray[np.bool_] | None = None
    ) -> None:
        self._models: Sequence[mujoco.MjModel] = scene.models
        self._data = mujoco.MjData(scene.model)
        self._reference = reference
        ends = hold_ends(scene.model, len(scene.holds))
        self._held = np.zeros((len(reference), len(ends)), dtype=np.bool_) if held is None else held
        self._hands = ends[:, 0]
        self._hold_bodies = scene.model.site_bodyid[ends].astype(np.intp)
        self._allowed = np.full((len(reference), 4), np.nan)
        self._places = np.zeros((len(reference), len(ends), 3))
        model, bodies = scene.model, scene.body.num_bodies
        self._num_bodies = bodies
        self._body = model.geom_bodyid - 1
        plane = model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE
        group = np.where(self._body >= 0, 2 + self._body // bodies, np.where(plane, 0, 1))
        kinds = np.array([_FLOOR, _FURNITURE, _PARTNER, _SELF])
        same, grounded = group[:, None] == group, np.minimum(group[:, None], group)
        self._kinds = kinds[np.where(grounded < 2, grounded, np.where(same, 3, 2))]
        self._chain = _chains(scene.body.parents, bodies)
        angle = np.full(bodies, noise.joint_angle)
        angle[0] = noise.root_rotation
        self._scale = noise.root_position, np.concatenate([angle, angle])[:, None]

    def resolve(self, qpos: Array, variant: Ids, row: Ids) -> Array:
        """Correct some states; those without new depth come back as they are.

        Args:
            qpos: Noisy states, shape (n, 2, 3 + 4 J).
            variant: Scene variants, shape (n,).
            row: Rows of the reference around which the noise is, shape (n,).

        Returns:
            States in which no kind of contact (floor, furniture, partner, own body) is more than ``TOLERANCE`` deeper
            than in the reference, and no hand that holds as far from its place at the partner, shape (n, 2, 3 + 4 J).
            Where no correction helps it is the reference itself.
        """
        qpos, todo = qpos.copy(), np.arange(len(qpos))
        for turn in range(_ROUNDS + 1):
            overlaps = self._overlaps(qpos[todo], variant[todo], row[todo], holds_first=turn < _HOLD_ROUNDS)
            todo, overlaps = todo[overlaps.stuck], overlaps.of_the_stuck()
            if not todo.size:
                return qpos
            step = overlaps.least_step(self._scale, _LARGEST * 0.5 ** max(0, turn - _SMALL_ROUNDS))
            if turn >= _SMALL_ROUNDS:
                qpos[todo] = _halfway(qpos[todo], self._reference[row[todo]])
            qpos[todo] = _moved(qpos[todo], *step)
        qpos[todo] = self._reference[row[todo]]
        return qpos

    def _overlaps(self, qpos: Array, variant: Ids, row: Ids, *, holds_first: bool) -> _Overlaps:
        """What is too deep in some states; only the holds, where there are any, with ``holds_first``."""
        overlaps = _Overlaps.none(len(qpos), self._num_bodies, self._held.shape[1])
        people = slice(1, 1 + 2 * self._num_bodies)
        for index in range(len(qpos)):
            allowed = self._allowed_depth(int(variant[index]), int(row[index]))
            contacts = self._contacts(int(variant[index]), qpos[index])
            excess = contacts.depth - allowed[contacts.kind]
            held = np.flatnonzero(self._held[row[index]])
            hand, place = self._holds(held, self._places[row[index], held])
            if (excess > TOLERANCE).any() or (np.linalg.norm(hand - place, axis=-1) > TOLERANCE).any():
                worst = np.argsort(-excess, kind="stable")[:_CONTACTS]
                worst = worst[excess[worst] > 0.0] if not (holds_first and held.size) else worst[:0]
                moved = self._chain[self._body[contacts.geoms[worst]]]  # (k, geom, 2 J)
                overlaps.stuck[index] = True
                overlaps.depth[index, : worst.size] = excess[worst]
                overlaps.sign[index, : worst.size] = moved[:, 1] - moved[:, 0]
                overlaps.point[index, : worst.size] = contacts.point[worst]
                overlaps.normal[index, : worst.size] = contacts.normal[worst]
                rows = slice(_CONTACTS, _CONTACTS + 3 * held.size)
                moved = self._chain[self._hold_bodies[held] - 1]  # (h, hand and partner, 2 J)
                overlaps.depth[index, rows] = (place - hand).reshape(-1)
                overlaps.sign[index, rows] = np.repeat(moved[:, 0] - moved[:, 1], 3, axis=0)
                overlaps.point[index, rows] = np.repeat(0.5 * (hand + place), 3, axis=0)
                overlaps.normal[index, rows] = np.tile(np.eye(3), (held.size, 1))
                overlaps.origin[index], overlaps.frame[index] = self._data.xpos[people], self._data.xmat[people]
        return overlaps

    def _allowed_depth(self, variant: int, row: int) -> Array:
        """Depths of the reference, looked up once per row as the places of hands are, shape (4,) [m]."""
        if np.isnan(self._allowed[row, 0]):
            self._allowed[row] = self._contacts(variant, self._reference[row]).deepest()
            partner = self._hold_bodies[:, 1]
            arm = self._data.site_xpos[self._hands] - self._data.xpos[partner]
            self._places[row] = np.einsum("hji,hj->hi", self._data.xmat[partner].reshape(-1, 3, 3), arm)
        return self._allowed[row]

    def _holds(self, held: Ids, place: Array) -> tuple[Array, Array]:
        """Of the state that was looked at last: the hands' ends of some holds, and where they belong, (h, 3) each [m].

        Args:
            held: Which holds, shape (h,).
            place: Where they belong in the partner body's frame, shape (h, 3) [m].
        """
        partner = self._hold_bodies[held, 1]
        turned = np.einsum("hij,hj->hi", self._data.xmat[partner].reshape(-1, 3, 3), place)
        return self._data.site_xpos[self._hands[held]], self._data.xpos[partner] + turned

    def _contacts(self, variant: int, qpos: Array) -> _Contacts:
        model, data = self._models[variant], self._data
        data.qpos[:] = qpos.reshape(-1)
        mujoco.mj_kinematics(model, data)
        mujoco.mj_collision(model, data)
        found = data.contact
        geoms = found.geom.reshape(-1, 2).astype(np.intp)
        return _Contacts(
            depth=-found.dist.reshape(-1),
            kind=self._kinds[geoms[:, 0], geoms[:, 1]],
            geoms=geoms,
            point=found.pos.reshape(-1, 3),
            normal=found.frame.reshape(-1, 9)[:, :3],
        )


def _chains(parents: Sequence[int], bodies: int) -> Array:
    """Whose rotation moves a body: rows are both people's bodies and the world, shape (2 J + 1, 2 J)."""
    own = np.eye(bodies)
    for body, parent in enumerate(parents):
        if parent >= 0:
            own[body] += own[parent]
    chain = np.zeros((2 * bodies + 1, 2 * bodies))
    chain[:bodies, :bodies], chain[bodies:-1, bodies:] = own, own
    return chain


def _cross_matrix(vector: Array) -> Array:
    """Matrices M with ``row @ M == cross(row, vector)``, (..., 3) to (..., 3, 3)."""
    matrix = np.zeros((*vector.shape, 3))
    for x, y, z in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        matrix[..., y, x], matrix[..., z, x] = vector[..., z], -vector[..., y]
    return matrix


def _moved(qpos: Array, shift: Array, turn: Array) -> Array:
    """States (n, 2, 3 + 4 J) after shifts of the roots, (n, 2, 3) [m], and body-frame turns, (n, 2 J, 3) [rad]."""
    shape = (*qpos.shape[:2], -1)
    turns = rotations.from_rotation_vector(turn.reshape(*shape, 3))
    quaternions = rotations.multiply(qpos[..., 3:].reshape(*shape, 4), turns)
    return np.concatenate([qpos[..., :3] + shift, quaternions.reshape(shape)], axis=-1)


def _halfway(qpos: Array, reference: Array) -> Array:
    """States in the middle between two, shape (n, 2, 3 + 4 J)."""
    shape = (*qpos.shape[:2], -1)
    middle = rotations.slerp(qpos[..., 3:].reshape(*shape, 4), reference[..., 3:].reshape(*shape, 4), 0.5)
    return np.concatenate([0.5 * (qpos[..., :3] + reference[..., :3]), middle.reshape(shape)], axis=-1)
