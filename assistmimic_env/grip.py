"""``Hold``: a hand that grips the partner, as an elastic clasp of limited strength.

Capsule hands cannot close around anything, and friction alone lets a clasp slip at a few newtons, so a person on a
stool could never be pulled up. A hold is a tendon between a point in the hand and a point in the partner's body. It
only pulls: with stiffness times the distance beyond touching, plus damping, up to the grip's strength; then it slips.
Its tension is measured by its actuator, so that it counts as force between the two people, and it is switched by a
control, so that saving and restoring a world includes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import rotations
from .body import BodySpec, Point
from .clip import ROLES, Contact, PairClip

HANDS = ("L_Hand", "R_Hand", "L_Wrist", "R_Wrist")
"""Bodies whose contacts in a clip are holds."""

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
    intervals: tuple[tuple[float, float], ...]

    def active(self, time: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether the clip says that the hand holds, at times (...) [s]."""
        return np.any([(start <= time) & (time <= end) for start, end in self.intervals], axis=0)


def clip_holds(clip: PairClip) -> tuple[Hold, ...]:
    """The holds of a clip: its contacts made by hands, one hold per hand and partner body."""
    by_key: dict[Key, list[Contact]] = {}
    for contact in clip.contacts:
        if contact.body in HANDS:
            by_key.setdefault((contact.role, contact.body, contact.partner_body), []).append(contact)
    return tuple(_hold(clip, key, contacts) for key, contacts in sorted(by_key.items()))


def _hold(clip: PairClip, key: Key, contacts: list[Contact]) -> Hold:
    """Attach a hold at the middle of the hand and at the nearest point of the partner's axis when it begins."""
    role = ROLES.index(key[0])
    body, partner = clip.bodies[role], clip.bodies[1 - role]
    hand, target = body.index(key[1]), partner.index(key[2])
    start, end, radius = _axis(body, hand)
    frame = min(round(contacts[0].start * clip.fps), clip.num_frames - 1)
    point = 0.5 * (start + end)
    world = clip.position[frame, role, hand] + rotations.rotate(clip.rotation[frame, role, hand], point)
    local = world - clip.position[frame, 1 - role, target]
    local = rotations.inverse_rotate(clip.rotation[frame, 1 - role, target], local)
    first, last, partner_radius = _axis(partner, target)
    along = np.dot(local - first, last - first) / max(np.dot(last - first, last - first), 1e-9)
    return Hold(
        key=key,
        point=_point(point),
        partner_point=_point(first + np.clip(along, 0.0, 1.0) * (last - first)),
        rest=radius + partner_radius,
        intervals=tuple((contact.start, contact.end) for contact in contacts),
    )


def _axis(body: BodySpec, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Ends [m] and radius [m] of a body's first capsule, in its frame."""
    geom = next(geom for geom in body.geoms if geom.body == index)
    return np.array(geom.start), np.array(geom.end), geom.radius


def _point(vector: NDArray[np.float64]) -> Point:
    x, y, z = (float(value) for value in vector)
    return x, y, z
