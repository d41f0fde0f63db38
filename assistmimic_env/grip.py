"""``Grip``: hands that hold the partner, as elastic clasps of limited strength.

Capsule hands cannot close around anything, and friction alone lets a clasp slip at a few newtons, so a person on a
stool could never be pulled up. A hold is a tendon between a point in the hand and a point in the partner's body. It
only pulls: with stiffness times the length beyond the one at which it closed, plus damping, up to the grip's strength;
then it slips. Its tension is measured by its actuator, so that it counts as force between the two people. Its control
is that length, so that saving and restoring a world includes it. Why not adhesion or a ``connect`` constraint:
`docs/environment.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import rotations
from .body import BodySpec, Point
from .clip import ROLES, Contact, PairClip
from .config import CONTROL_DT, GripConfig

if TYPE_CHECKING:
    from .reference import Reference
    from .worlds import Worlds

GRIPPABLE = ("L_Shoulder", "R_Shoulder", "L_Elbow", "R_Elbow")
"""Bodies of the partner on which hands close by themselves, beside the holding bodies of the partner's own hands."""

OPEN = np.inf
"""Length of a hold that does not pull."""

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ids = NDArray[np.intp]
Key = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Hold:
    """One hand on one body of the partner.

    Attributes:
        key: Role, its hand, the partner's body.
        point: Where it pulls in the hand's frame [m].
        partner_point: Where it pulls in the partner body's frame [m].
        rest: Distance of the two points when the surfaces touch [m].
        intervals: When the clip says it holds: start and end [s].
    """

    key: Key
    point: Point
    partner_point: Point
    rest: float
    intervals: tuple[tuple[float, float], ...] = ()

    def active(self, time: Array) -> Bools:
        """Whether the clip says that the hand holds, at times (...) [s]."""
        return np.any([(start <= time) & (time <= end) for start, end in self.intervals], axis=0)


def clip_holds(clip: PairClip) -> tuple[Hold, ...]:
    """The holds of a clip: its contacts made by hands, one hold per hand and partner body; palms hold for fingers."""
    by_key: dict[Key, list[Contact]] = {}
    body = clip.bodies[0]
    for contact in clip.contacts:
        if body.index(contact.body) in np.concatenate(body.hands):
            key = (contact.role, body.carrier(contact.body), body.carrier(contact.partner_body))
            by_key.setdefault(key, []).append(contact)
    return tuple(_clip_hold(clip, key, contacts) for key, contacts in sorted(by_key.items()))


def _clip_hold(clip: PairClip, key: Key, contacts: list[Contact]) -> Hold:
    """Attach a hold where the hand holds and at the nearest point of the partner's axis when it begins."""
    role = ROLES.index(key[0])
    body, partner = clip.bodies[role], clip.bodies[1 - role]
    hand, target = body.index(key[1]), partner.index(key[2])
    point, radius = _holding(body, hand)
    frame = min(round(contacts[0].start * clip.fps), clip.num_frames - 1)
    world = clip.position[frame, role, hand] + rotations.rotate(clip.rotation[frame, role, hand], point)
    local = world - clip.position[frame, 1 - role, target]
    local = rotations.inverse_rotate(clip.rotation[frame, 1 - role, target], local)
    first, last, partner_radius = partner.axis(target)
    return Hold(
        key=key,
        point=_point(point),
        partner_point=_point(nearest_point(local, first, last)),
        rest=radius + partner_radius,
        intervals=tuple((contact.start, contact.end) for contact in contacts),
    )


def possible_holds(bodies: tuple[BodySpec, BodySpec]) -> tuple[Hold, ...]:
    """Every hand of both people on every grippable body of the partner, sorted by key."""
    holds = []
    hands = holding_bodies(bodies[0])
    for role, hand, target in sorted(
        (role, hand, body) for role in ROLES for hand in hands for body in grippable(bodies[0])
    ):
        own, partner = bodies[ROLES.index(role)], bodies[1 - ROLES.index(role)]
        point, radius = _holding(own, own.index(hand))
        first, last, partner_radius = partner.axis(partner.index(target))
        hold = Hold(
            key=(role, hand, target),
            point=_point(point),
            partner_point=_point(0.5 * (first + last)),
            rest=radius + partner_radius,
        )
        holds.append(hold)
    return tuple(holds)


def holding_bodies(body: BodySpec) -> tuple[str, ...]:
    """Bodies of the left and the right hand that close by themselves in the mode ``automatic``."""
    return tuple(body.names[grasp.body] for grasp in body.grasps)


def grippable(body: BodySpec) -> tuple[str, ...]:
    """Bodies of the partner on which they close: upper arms, forearms and hands."""
    return (*GRIPPABLE, *holding_bodies(body))


def setting_holds(clip: PairClip, bodies: tuple[BodySpec, BodySpec], config: GripConfig) -> tuple[Hold, ...]:
    """The holds that a scene of a clip needs for a grip."""
    if config.mode == "none":
        return ()
    return clip_holds(clip) if config.mode == "reference" else possible_holds(bodies)


def nearest_point(point: Array, first: Array, last: Array) -> Array:
    """Nearest points, shape (..., 3), of segments ``first`` to ``last`` (..., 3) to points (..., 3)."""
    axis = last - first
    along = np.sum((point - first) * axis, axis=-1) / np.maximum(np.sum(axis * axis, axis=-1), 1e-9)
    return first + np.clip(along, 0.0, 1.0)[..., None] * axis


class Grip:
    """Hands that hold while the clip says so and they are near enough (mode ``reference``).

    Args:
        worlds: Whose holds are driven.
        reference: Whose clips are the variants of its scene, in order.
        config: How hands hold.
    """

    def __init__(self, worlds: Worlds, reference: Reference, config: GripConfig) -> None:
        self._worlds = worlds
        self._release = config.release
        keys, settings = worlds.scene.holds, worlds.scene.settings
        self.active = np.zeros((len(reference.rotation), len(keys)), dtype=np.bool_)
        """Whether the clip says that each hold holds, shape (reference rows, holds)."""
        self._rest = np.zeros((len(settings), len(keys)))
        for clip, setting in enumerate(settings):
            rows = reference.first[clip] + np.arange(reference.length[clip])
            for hold in setting.holds:
                column = keys.index(hold.key)
                self.active[rows, column] = hold.active(np.arange(len(rows), dtype=np.float64) * CONTROL_DT)
                self._rest[clip, column] = hold.rest

    def lengths(self, clip: Ids, row: Ids) -> Array:
        """Lengths beyond which the holds pull during the next step.

        Args:
            clip: Clip of each world, shape (N,).
            row: Reference row at the end of the step, shape (N,).

        Returns:
            Shape (N, holds) [m]; ``OPEN`` where the hand does not hold.
        """
        rest = self._rest[clip]
        near = self._worlds.hold_distance() - rest <= self._release
        return np.where(self.active[row] & near, rest, OPEN)


class AutomaticGrip(Grip):
    """Hands that close on whatever they come near (mode ``automatic``), one body per hand, until they slip.

    A hold begins at the length it has then, so that closing by itself pulls nothing.
    """

    def __init__(self, worlds: Worlds, reference: Reference, config: GripConfig) -> None:
        super().__init__(worlds, reference, config)
        self._reach = config.reach
        pairs = [setting.bodies for setting in worlds.scene.settings]
        self._axes = np.array([[_partner_axis(bodies, key) for key in worlds.scene.holds] for bodies in pairs])
        self._hands = len(ROLES) * len(holding_bodies(worlds.scene.body))

    def lengths(self, clip: Ids, row: Ids) -> Array:
        """Lengths beyond which the holds pull during the next step; see ``Grip.lengths``."""
        worlds, rest = self._worlds, self._rest[clip]
        lengths = worlds.hold_lengths
        lengths[worlds.hold_distance() - lengths > self._release] = OPEN
        by_hand = (worlds.num_worlds, self._hands, -1)
        free = np.isinf(lengths).reshape(by_hand).all(axis=-1)
        local = worlds.hands_in_partner()
        point = nearest_point(local, self._axes[clip, :, 0], self._axes[clip, :, 1])
        distance = np.linalg.norm(local - point, axis=-1)
        gap = (distance - rest).reshape(by_hand)
        nearest = np.argmin(gap, axis=-1)
        closing = free & (np.take_along_axis(gap, nearest[..., None], axis=-1)[..., 0] <= self._reach)
        world, hand = np.nonzero(closing)
        hold = hand * (lengths.shape[1] // self._hands) + nearest[world, hand]
        worlds.attach(world, hold, point[world, hold])
        lengths[world, hold] = np.maximum(distance, rest)[world, hold]
        return lengths


def make_grip(worlds: Worlds, reference: Reference, config: GripConfig) -> Grip | None:
    """What drives the holds of some worlds; ``None`` where their scene has none."""
    if not worlds.num_holds:
        return None
    return (Grip if config.mode == "reference" else AutomaticGrip)(worlds, reference, config)


def _holding(body: BodySpec, hand: int) -> tuple[Array, float]:
    """Where a body of a hand holds, in its frame [m], and the radius there [m]."""
    for grasp in body.grasps:
        if grasp.body == hand:
            return np.array(grasp.point), grasp.radius
    start, end, radius = body.axis(hand)
    return 0.5 * (start + end), radius


def _partner_axis(bodies: Sequence[BodySpec], key: Key) -> tuple[Array, Array]:
    partner = bodies[1 - ROLES.index(key[0])]
    return partner.axis(partner.index(key[2]))[:2]


def _point(vector: Array) -> Point:
    x, y, z = (float(value) for value in vector)
    return x, y, z
